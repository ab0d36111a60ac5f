"""One attempt at one task, from taking it to recording its outcome, as named steps."""

from __future__ import annotations

import asyncio
import traceback
from asyncio import Future
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import JsonValue

from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.errors import StoreUnavailable, TaskPushError
from taskpush.models.events import Status
from taskpush.models.task import TaskError, TaskRecord
from taskpush.runner.channel import LocalChannel
from taskpush.runner.context import TaskContext
from taskpush.runner.ending import Ending, Lost, Raised, Returned, Stopped, refused
from taskpush.runner.execution import Execution, LoopExecution, ThreadExecution
from taskpush.runner.process import ProcessExecution
from taskpush.runner.recorder import DEFAULT_LOG_BUDGET, LogBudget, Recorder
from taskpush.runner.registry import KindSpec, Style
from taskpush.runner.reports import MAX_DATA_BYTES
from taskpush.store.base import Commit, Store
from taskpush.store.blobs import Blobs
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import (
    AttemptBroken,
    HandlerRaised,
    OutcomeRefused,
    TaskEnded,
    TaskStarted,
)

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
"""Between tries to write what must not be lost, while the store is unavailable."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every attempt of a runner works with."""

    store: Store
    blobs: Blobs
    telemetry: Telemetry
    clock: Clock
    strict_reporting: bool = False
    # What worker processes find in their environment besides the server's.
    process_env: Mapping[str, str] = field(default_factory=dict)
    # How long a worker process may take to stop before it is terminated.
    grace_s: float = 5.0
    log_budget: LogBudget = DEFAULT_LOG_BUDGET


class Attempt:
    """Executes a task once. `run` is to be awaited in an asyncio task that nobody cancels."""

    def __init__(self, workshop: Workshop, task_id: str, spec: KindSpec) -> None:
        self.task_id = task_id
        # None until the outcome is committed by this attempt, and where the store refused it.
        self.outcome: Status | None = None
        self._workshop = workshop
        self._spec = spec
        self._cancelled = False
        self._stopping = False
        self._let_go: Future[None] = asyncio.get_running_loop().create_future()
        # None while no handler runs.
        self._execution: Execution | None = None

    @property
    def let_go_unfinished(self) -> bool:
        """Whether a handler may still be running that nobody waits for any more."""
        return self._execution is not None and not self._execution.ended.done()

    def cancel(self) -> None:
        """The task is to be cancelled."""
        self._cancelled = True
        self._tell()

    def stop(self) -> None:
        """The server stops."""
        self._stopping = True
        self._tell()

    def let_go(self) -> None:
        """The deadline has passed: record the outcome without the handler."""
        self._stopping = True
        if not self._let_go.done():
            self._let_go.set_result(None)
        if self._execution is not None:
            self._execution.let_go()

    async def run(self) -> None:
        """Take the task, run its handler, record the outcome."""
        record = await self._take()
        if record is None:
            return
        work = self._workshop
        began = work.clock.monotonic()
        work.telemetry.emit(TaskStarted(self.task_id, self._spec.name, record.attempt))
        recorder = Recorder(
            work.store,
            work.blobs,
            work.clock,
            task_id=self.task_id,
            attempt=record.attempt,
            on_fenced=self._tell,
            log_budget=work.log_budget,
            strict_reporting=work.strict_reporting,
        )
        try:
            ending = await self._ending(record, recorder)
            await self._record(record, recorder, ending)
        finally:
            recorder.close()
            await self._clear_away()
        duration_s = work.clock.monotonic() - began
        status = self.outcome.value if self.outcome else "refused"
        work.telemetry.emit(
            TaskEnded(self.task_id, self._spec.name, record.attempt, status, duration_s)
        )

    # -- the steps ------------------------------------------------------------

    async def _take(self) -> TaskRecord | None:
        """Commit the start; None when there is nothing to execute (any more)."""
        if self._stopping:
            return None
        store, clock = self._workshop.store, self._workshop.clock
        try:
            commit = await self._persist(
                lambda: store.write(
                    self.task_id, lifecycle.start(store.epoch, clock.now()), synced=True
                )
            )
        except TaskPushError:  # cancelled, taken or deleted meanwhile, or the server stops
            return None
        return commit.record

    async def _ending(self, record: TaskRecord, recorder: Recorder) -> Ending:
        """How the handler ended; also when it could not even be begun."""
        try:
            return await self._execute(record, recorder)
        except Exception as error:  # noqa: BLE001 - no thread to be had, or a fault of ours
            self._workshop.telemetry.emit(AttemptBroken(self.task_id, broken(error)))
            return Lost(f"The handler could not be run ({type(error).__name__})")

    async def _execute(self, record: TaskRecord, recorder: Recorder) -> Ending:
        """Run the handler until it ends or is let go."""
        try:
            params = self._spec.parse_params(record.params)
        except TaskPushError as error:
            return refused(error)
        if self._cancelled or self._stopping:
            return Stopped()
        execution = self._execution = self._begin(record, recorder, params)
        await _either(execution.ended, self._let_go)
        if not execution.ended.done():
            execution.let_go()
            return Stopped()
        if not self._let_go.done():
            await self._drained(recorder)
        return Stopped() if execution.ended.cancelled() else execution.ended.result()

    def _begin(self, record: TaskRecord, recorder: Recorder, params: Any) -> Execution:
        work = self._workshop
        if self._spec.style is Style.PROCESS:
            return ProcessExecution(
                self._spec,
                record,
                recorder,
                spool=work.blobs.spool(f"{self.task_id}-{record.attempt}"),
                env=work.process_env,
                grace_s=work.grace_s,
                strict_reporting=work.strict_reporting,
            )
        channel = LocalChannel(recorder)
        context = TaskContext(
            task_id=self.task_id,
            attempt=record.attempt,
            channel=channel,
            strict_reporting=work.strict_reporting,
        )
        run = LoopExecution if self._spec.style is Style.ASYNC else ThreadExecution
        return run(self._spec, context, params, channel)

    async def _drained(self, recorder: Recorder) -> None:
        """Let artifacts that nobody waited for come before the outcome."""
        draining = asyncio.ensure_future(recorder.drain())
        await _either(draining, self._let_go)
        draining.cancel()

    async def _record(self, record: TaskRecord, recorder: Recorder, ending: Ending) -> None:
        """Commit the outcome."""
        work, attempt = self._workshop, record.attempt
        if isinstance(ending, Raised) and ending.traceback is not None:
            work.telemetry.emit(
                HandlerRaised(
                    self.task_id, self._spec.name, attempt, ending.error.error, ending.traceback
                )
            )
        outcome = self._outcome(attempt, ending)
        try:
            commit = await self._persist(lambda: recorder.finish(outcome))
        except TaskPushError as error:
            # Fenced: somebody else has ended this attempt. Or the store went away for good.
            work.telemetry.emit(OutcomeRefused(self.task_id, attempt, error.code, error.detail))
            return
        self.outcome = commit.record.status

    def _outcome(self, attempt: int, ending: Ending) -> Decide:
        now = self._workshop.clock.now()
        match ending:
            case Returned(result):
                url = f"/api/tasks/{self.task_id}/result" if _is_large(result) else None
                return lifecycle.complete(attempt, now, result=result, result_url=url)
            case Raised(error):
                return lifecycle.fail(attempt, now, error)
            case Stopped() | Lost() if self._cancelled:
                return lifecycle.stop(attempt, now)
            case Stopped() | Lost() if self._stopping:
                message = "The server stopped"
                return lifecycle.interrupt(attempt, now, reason="server_stopped", message=message)
            case Lost(message):
                return lifecycle.interrupt(attempt, now, reason="worker_lost", message=message)
            case Stopped():  # told to stop because the store fenced it: nothing will take effect
                error = TaskError("The attempt was replaced", "StaleAttempt", "stale_attempt")
                return lifecycle.fail(attempt, now, error)

    async def _clear_away(self) -> None:
        if self._execution is not None:
            await self._execution.close()

    # -------------------------------------------------------------------------

    def _tell(self) -> None:
        if self._execution is not None and not self._execution.ended.done():
            self._execution.cancel()

    async def _persist(self, write: Callable[[], Future[Commit]]) -> Commit:
        """Commit, trying again while the store is unavailable, until the server stops."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await write()
            except StoreUnavailable:
                if self._stopping:
                    raise
            await asyncio.wait({self._let_go}, timeout=pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def broken(error: BaseException) -> str:
    """The traceback of an error of our own."""
    return "".join(traceback.format_exception(error))


async def _either(one: Future[Any], other: Future[Any]) -> None:
    await asyncio.wait({one, other}, return_when=asyncio.FIRST_COMPLETED)


def _is_large(result: JsonValue) -> bool:
    return len(orjson.dumps(result)) > MAX_DATA_BYTES
