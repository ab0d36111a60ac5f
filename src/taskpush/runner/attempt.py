"""One attempt at one task, from taking it to recording its outcome, as named steps."""

from __future__ import annotations

import asyncio
import traceback
from asyncio import Future, TimerHandle
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.errors import IllegalTransition, StoreUnavailable, TaskPushError
from taskpush.models.events import Status
from taskpush.models.task import TaskError, TaskRecord
from taskpush.runner import outcomes
from taskpush.runner.aside import read_aside
from taskpush.runner.channel import LocalChannel
from taskpush.runner.context import TaskContext
from taskpush.runner.ending import (
    Ending,
    Lost,
    Raised,
    Returned,
    Stopped,
    TimedOut,
    redacted,
    refused,
    unresumable,
)
from taskpush.runner.execution import Execution, LoopExecution, ThreadExecution
from taskpush.runner.kind import KindSpec, Style
from taskpush.runner.policy import Key
from taskpush.runner.process import ProcessExecution
from taskpush.runner.recorder import Recorder
from taskpush.runner.uploads import Uploads, handed_over
from taskpush.runner.workshop import Workshop
from taskpush.store.base import Commit
from taskpush.store.blobs import BadBlob, Blobs
from taskpush.telemetry.events import (
    AttemptBroken,
    HandlerRaised,
    OutcomeRefused,
    TaskEnded,
    TaskStarted,
)

Answer = TypeVar("Answer")

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
"""Between tries to write what must not be lost, while the store is unavailable."""


class Attempt:
    """Executes a task once. `run` is to be awaited in an asyncio task that nobody cancels."""

    def __init__(self, workshop: Workshop, task_id: str, spec: KindSpec) -> None:
        self.task_id = task_id
        # None until the outcome is committed by this attempt, and where the store refused it.
        self.outcome: Status | None = None
        # The task when it is pending (again) in the store; None when there is no more to execute.
        self.again: TaskRecord | None = None
        self._workshop = workshop
        self._spec = spec
        self._cancelled = False
        self._timed_out = False
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
            run_times=work.run_times(self._spec.name, record.params),
            resumed=record.checkpoint is not None,
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

    async def key(self) -> Key | None:
        """What it has in common with those it must not run beside; None when it waits no more."""
        record = await self._pending()
        if record is None:
            return None
        try:
            return self._spec.key_of(record.tenant, record.owner, record.params)
        except Exception as error:  # noqa: BLE001 - the kind's own function
            # One key for all that have none: it must not be what lifts the limit.
            self._workshop.telemetry.emit(AttemptBroken(self.task_id, broken(error)))
            return ()

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
        except IllegalTransition as error:
            # Delayed still, or again: the wall clock was set back.
            if error.extra["task_status"] == "delayed":
                self.again = await self._pending()
            return None
        except TaskPushError:  # cancelled, taken or deleted meanwhile, or the server stops
            return None
        return commit.record

    async def _pending(self) -> TaskRecord | None:
        """The task as it waits in the store; None when it does not, or the server stops."""
        store = self._workshop.store
        try:
            record = await self._persist(lambda: store.get(self.task_id))
        except StoreUnavailable:
            return None
        return record if record is not None and record.status is Status.PENDING else None

    async def _ending(self, record: TaskRecord, recorder: Recorder) -> Ending:
        """How the handler ended; also when it could not even be begun."""
        try:
            return await self._execute(record, recorder)
        except Exception as error:  # noqa: BLE001 - no thread to be had, or a fault of ours
            self._workshop.telemetry.emit(AttemptBroken(self.task_id, broken(error)))
            return Lost(f"The handler could not be run ({type(error).__name__})")

    async def _execute(self, record: TaskRecord, recorder: Recorder) -> Ending:
        """Run the handler until it ends or is let go."""
        uploads = handed_over(record.uploads, self._workshop.blobs.upload_path)
        reading = asyncio.ensure_future(read_aside(self._spec.parse_params, record.params, uploads))
        await _either(reading, self._let_go)
        if not reading.done():
            reading.cancel()
            return Stopped()
        try:
            params = reading.result()
        except TaskPushError as error:
            return refused(error)
        try:
            state = await self._state(record)
        except BadBlob as error:
            return unresumable(error)
        if self._cancelled or self._stopping:
            return Stopped()
        execution = self._execution = self._begin(record, recorder, params, uploads, state)
        timer = self._time(record.timeout_s)
        await _either(execution.ended, self._let_go)
        if timer is not None:
            timer.cancel()
        if not execution.ended.done():
            execution.let_go()
            return Stopped()
        if not self._let_go.done():
            await self._drained(recorder)
        return Stopped() if execution.ended.cancelled() else execution.ended.result()

    async def _state(self, record: TaskRecord) -> bytes | None:
        """The content of the newest checkpoint; None on a fresh start."""
        if record.checkpoint is None:
            return None
        return await self._workshop.blobs.read_checkpoint(self.task_id, record.checkpoint.sha256)

    def _begin(
        self,
        record: TaskRecord,
        recorder: Recorder,
        params: Any,
        uploads: Uploads,
        state: bytes | None,
    ) -> Execution:
        work = self._workshop
        if self._spec.style is Style.PROCESS:
            return ProcessExecution(
                self._spec,
                record,
                recorder,
                uploads=uploads,
                spool=work.blobs.spool(f"{self.task_id}-{record.attempt}"),
                env=work.process_env,
                grace_s=work.grace_s,
                strict_reporting=work.strict_reporting,
                resumed_from=_state_path(work.blobs, record),
            )
        channel = LocalChannel(recorder)
        context = TaskContext(
            task_id=self.task_id,
            attempt=record.attempt,
            channel=channel,
            strict_reporting=work.strict_reporting,
            resumed_from=None if state is None else orjson.loads(state),
        )
        run = LoopExecution if self._spec.style is Style.ASYNC else ThreadExecution
        return run(self._spec, context, params, channel)

    def _time(self, timeout_s: float | None) -> TimerHandle | None:
        """Have the attempt stopped when it has taken that long; None: it may take for ever."""
        if timeout_s is None:
            return None
        return asyncio.get_running_loop().call_later(timeout_s, self._time_out)

    async def _drained(self, recorder: Recorder) -> None:
        """Let artifacts that nobody waited for come before the outcome."""
        draining = asyncio.ensure_future(recorder.drain())
        await _either(draining, self._let_go)
        draining.cancel()

    async def _record(self, record: TaskRecord, recorder: Recorder, ending: Ending) -> None:
        """Commit the outcome."""
        work, attempt = self._workshop, record.attempt
        if isinstance(ending, Raised):
            ending = redacted(ending, self._spec, record)
        if isinstance(ending, Raised) and ending.traceback is not None:
            work.telemetry.emit(
                HandlerRaised(
                    self.task_id, self._spec.name, attempt, ending.error.error, ending.traceback
                )
            )
        outcome = self._outcome(attempt, self._seen(record, ending))
        try:
            commit = await self._persist(lambda: recorder.finish(outcome))
            self.outcome = commit.record.status
            if self._goes_on(commit.record):
                commit = await self._persist(lambda: self._resume(attempt))
        except TaskPushError as error:
            # Fenced: somebody else has ended this attempt. Or the store went away for good.
            work.telemetry.emit(OutcomeRefused(self.task_id, attempt, error.code, error.detail))
            return
        if commit.record.status is Status.PENDING:
            self.again = commit.record

    def _seen(self, record: TaskRecord, ending: Ending) -> Ending | TimedOut:
        """A timeout is what stopped it, unless somebody had wished it away."""
        if self._timed_out and not self._cancelled and isinstance(ending, Stopped | Lost):
            return TimedOut(record.timeout_s or 0.0)
        return ending

    def _goes_on(self, record: TaskRecord) -> bool:
        """Whether the task lost its worker, and goes on by itself."""
        lost = record.status is Status.INTERRUPTED and record.reason == "worker_lost"
        return lost and self._spec.resume == "auto" and not self._stopping

    def _resume(self, attempt: int) -> Future[Commit]:
        message = "Resumed after its worker was lost"
        decide = lifecycle.retry(attempt, by_hand=False, message=message)
        return self._workshop.store.write(self.task_id, decide, synced=True)

    def _outcome(self, attempt: int, ending: Ending | TimedOut) -> Decide:
        now = self._workshop.clock.now()
        match ending:
            case Returned(result):
                return outcomes.completed(self._spec, self.task_id, attempt, now, result)
            case Raised(error):
                return self._failure(attempt, error)
            case TimedOut():
                return self._failure(attempt, ending.error, reason="timeout")
            case Stopped() | Lost() if self._cancelled:
                return lifecycle.stop(attempt, now)
            case Stopped() | Lost() if self._stopping:
                message = "The server stopped"
                return lifecycle.interrupt(
                    attempt, now, reason="server_stopped", message=message, crashed=False
                )
            case Lost(message):
                return lifecycle.interrupt(attempt, now, reason="worker_lost", message=message)
            case Stopped():  # told to stop because the store fenced it: nothing will take effect
                error = TaskError("The attempt was replaced", "StaleAttempt", "stale_attempt")
                return lifecycle.fail(attempt, now, error)

    def _failure(self, attempt: int, error: TaskError, *, reason: str | None = None) -> Decide:
        work = self._workshop
        now = work.clock.now()
        return outcomes.failed(self._spec, attempt, now, error, work.random, reason=reason)

    async def _clear_away(self) -> None:
        if self._execution is not None:
            await self._execution.close()

    # -------------------------------------------------------------------------

    def _tell(self) -> None:
        if self._execution is not None and not self._execution.ended.done():
            self._execution.cancel()

    def _time_out(self) -> None:
        if not self._cancelled and not self._stopping:
            self._timed_out = True
            self._tell()

    async def _persist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask the store, again while it is unavailable, until the server stops."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                if self._stopping:
                    raise
            await asyncio.wait({self._let_go}, timeout=pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _state_path(blobs: Blobs, record: TaskRecord) -> Path | None:
    if record.checkpoint is None:
        return None
    return blobs.checkpoint_path(record.task_id, record.checkpoint.sha256)


def broken(error: BaseException) -> str:
    """The traceback of an error of our own."""
    return "".join(traceback.format_exception(error))


async def _either(one: Future[Any], other: Future[Any]) -> None:
    await asyncio.wait({one, other}, return_when=asyncio.FIRST_COMPLETED)
