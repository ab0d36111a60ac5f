"""The recorder of one attempt: the only writer of execution events.

It lives on the event loop. Logged events are handed to the store in call order, volatile ones are
merged at the source, and nothing comes after the outcome.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.core.conflation import DEFAULT_RATE_PER_S, Throttle
from taskpush.core.lifecycle import Decide
from taskpush.core.pace import Pace
from taskpush.core.progress import BadReport
from taskpush.core.remaining import remaining_s
from taskpush.errors import StoreUnavailable, TaskPushError
from taskpush.models.events import MAX_LOG_LINE_BYTES, Artifact, EventType
from taskpush.models.task import CheckpointRef, NewEvent
from taskpush.runner.receipt import Receipt
from taskpush.runner.reporting.reports import (
    LOGS_IN_FLIGHT,
    Iteration,
    LogLine,
    NewArtifact,
    NewCheckpoint,
    Newest,
    Report,
    log_line,
    shortened,
)
from taskpush.store.base import Commit, Store
from taskpush.store.blobs import BadBlob, Blob, Blobs

LOGS_IN_FLIGHT_UNWAITED: Final = 10_000
"""So many log events may be uncommitted before those that cannot wait are left out."""


@dataclass(frozen=True, slots=True)
class LogBudget:
    """How much one attempt may write into its log."""

    records: int = 100_000
    size_bytes: int = 64 * 1024 * 1024
    # Of one message, in JSON.
    line_bytes: int = MAX_LOG_LINE_BYTES


DEFAULT_LOG_BUDGET: Final = LogBudget()


class Recorder:
    """Takes the reports of one attempt, on the event loop, until the outcome is written.

    `on_fenced` is called once when the store refuses a report because the attempt is not the
    task's present one or is over. `elapsed_s` is how long the attempt has run already. `run_times`
    gives what tasks like it took, shortest first, and `resumed` says that an earlier attempt has
    done a part: both for the remaining time.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        *,
        task_id: str,
        attempt: int,
        on_fenced: Callable[[], None],
        log_budget: LogBudget = DEFAULT_LOG_BUDGET,
        rate_per_s: float = DEFAULT_RATE_PER_S,
        strict_reporting: bool = False,
        run_times: Callable[[], Sequence[float]] = tuple,
        resumed: bool = False,
        elapsed_s: float = 0.0,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._task_id = task_id
        self._attempt = attempt
        self._on_fenced = on_fenced
        self._budget = log_budget
        self._interval_s = 1 / rate_per_s
        self._strict = strict_reporting
        self._run_times = run_times
        self._resumed = resumed
        self._pace = Pace()
        self._loop = asyncio.get_running_loop()
        self._started = clock.monotonic() - elapsed_s
        self._closed = False
        self._throttles: dict[EventType, Throttle[Newest]] = {}
        self._timers: dict[EventType, TimerHandle] = {}
        self._logs_in_flight = 0
        self._roomless: deque[Future[None]] = deque()
        self._records = 0
        self._size_bytes = 0
        # Left out: past the budget, and because the store was too slow or could not write.
        self._over_budget = 0
        self._unstored = 0
        # Whether log events are left out until the store has caught up.
        self._overrun = False
        self._puts: set[asyncio.Task[None]] = set()
        # One checkpoint after the other, in call order, so that the newest is the last.
        self._checkpointing = asyncio.Lock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the attempt began."""
        return self._clock.monotonic() - self._started

    def take(self, report: Report) -> Future[None] | Receipt | None:
        """Take the next report.

        What it gives back is done when the report is committed; then it raises what kept it from
        that. None: there is nothing to wait for. After the outcome reports are ignored, and who
        relies on a checkpoint is cancelled.
        """
        if self._closed:
            return self._never() if isinstance(report, NewCheckpoint) else None
        match report:
            case Iteration():
                return self._append(NewEvent(EventType.ITERATION_COMPLETE, report.data))
            case LogLine():
                return self._log(report)
            case Newest():
                self._offer(report)
                return None
            case NewArtifact():
                return self._begin_put(self._put(report), f"artifact of {self._task_id}")
            case NewCheckpoint():
                kept = self._keep_checkpoint(report)
                return self._begin_put(kept, f"checkpoint of {self._task_id}")

    def _never(self) -> Future[None]:
        never: Future[None] = self._loop.create_future()
        never.cancel()
        return never

    def room(self) -> Future[None] | None:
        """Done when few enough log events are in flight; None when they are now."""
        if self._logs_in_flight <= LOGS_IN_FLIGHT:
            return None
        waiting: Future[None] = self._loop.create_future()
        self._roomless.append(waiting)
        return waiting

    def append(self, batch: Decide, *, synced: bool) -> Future[Commit]:
        """Write what a producer says at once, all of it or nothing.

        What is wrong with it is told to whoever awaits this, and to nobody else.
        """
        return self._store.write(self._task_id, batch, synced=synced)

    def budgeted(self, line: LogLine) -> NewEvent | None:
        """The event of a line that is part of a batch; None when the log takes no more.

        What it does not take is counted, and told at the end.
        """
        if not self._fits_budget(line):
            self._over_budget += 1
            return None
        self._count(line)
        return NewEvent(EventType.LOG, line.data)

    def announce(self, name: str, media_type: str, blob: Blob) -> Future[Commit]:
        """Say that a file is kept."""
        artifact = Artifact(
            name=name,
            media_type=media_type,
            size_bytes=blob.size_bytes,
            sha256=blob.sha256,
            url=artifact_url(self._task_id, name, blob.sha256),
        )
        event = NewEvent(EventType.ARTIFACT, artifact.to_data())
        return self._commit(lifecycle.report(self._attempt, [event]))

    def flush(self) -> None:
        """Tell the newest states now."""
        if not self._closed:
            self._flush_all()

    async def drain(self) -> None:
        """Wait until the files under way are kept. Reports are still taken meanwhile."""
        while self._puts:
            await asyncio.wait(self._puts)

    def finish(self, outcome: Decide) -> Future[Commit]:
        """Write what waits, then the outcome, synced; takes no report from now on.

        To be called again when the store could not write.
        """
        if not self._closed:
            self._flush_all()
            self._own_up()
            self.close()
        return self._store.write(self._task_id, outcome, synced=True)

    def close(self) -> None:
        """Take no report from now on, and let go of timers and of who waits."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for put in self._puts:
            put.cancel()
        self._let_in()

    # -- logged ---------------------------------------------------------------

    def _append(self, event: NewEvent) -> Receipt:
        receipt = Receipt(self._task_id, self._attempt, event, self._refused, self._loop)
        try:
            self._store.append(receipt)
        except StoreUnavailable as error:  # closed
            receipt.refused(error)
        return receipt

    def _commit(self, decide: Decide, *, synced: bool = False) -> Future[Commit]:
        try:
            written = self._store.write(self._task_id, decide, synced=synced)
        except StoreUnavailable as error:  # closed
            written = self._loop.create_future()
            written.set_exception(error)
        written.add_done_callback(self._written)
        return written

    def _written(self, written: Future[Commit]) -> None:
        if not written.cancelled() and (error := written.exception()) is not None:
            self._refused(error)

    def _refused(self, error: BaseException) -> None:
        """Notice what went wrong, also for reports that nobody waits for."""
        match error:
            case asyncio.CancelledError():
                return
            case StoreUnavailable():
                self._unstored += 1
            case TaskPushError(code="stale_attempt" | "illegal_transition" | "not_found"):
                if not self._closed:
                    self.close()
                    self._on_fenced()
            case _:
                self._unstored += 1

    # -- log ------------------------------------------------------------------

    def _log(self, line: LogLine) -> Receipt | None:
        if self._budget.line_bytes < MAX_LOG_LINE_BYTES:
            line = shortened(line, self._budget.line_bytes)
        if not self._fits_budget(line):
            self._over_budget += 1
            return None
        if self._logs_in_flight >= LOGS_IN_FLIGHT_UNWAITED:
            self._overrun = True
        if self._overrun:
            self._unstored += 1
            return None
        if self._unstored:
            self._say_unstored()
        self._count(line)
        return self._write_log(line.data)

    def _count(self, line: LogLine) -> None:
        self._records += 1
        self._size_bytes += line.size_bytes

    def _write_log(self, data: Mapping[str, Any]) -> Receipt:
        self._logs_in_flight += 1
        written = self._append(NewEvent(EventType.LOG, data))
        written.add_done_callback(self._log_written)
        return written

    def _log_written(self, _: Future[None]) -> None:
        self._logs_in_flight -= 1
        if self._logs_in_flight <= LOGS_IN_FLIGHT:
            self._overrun = False
            self._let_in()

    def _let_in(self) -> None:
        while self._roomless:
            waiting = self._roomless.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def _fits_budget(self, line: LogLine) -> bool:
        # Once over, always over: what follows must not slip in because it is shorter.
        return (
            not self._over_budget
            and self._records < self._budget.records
            and self._size_bytes + line.size_bytes <= self._budget.size_bytes
        )

    def _own_up(self) -> None:
        """The last log records: how many were left out. Outside the budget, so that they fit."""
        if self._unstored:
            self._say_unstored()
        if self._over_budget:
            budget = f"{self._budget.records} records or {self._budget.size_bytes} bytes"
            self._say_left_out(self._over_budget, f"the log budget of {budget} is used up")

    def _say_unstored(self) -> None:
        left_out, self._unstored = self._unstored, 0
        self._say_left_out(left_out, "they could not be stored in time")

    def _say_left_out(self, count: int, why: str) -> None:
        message = f"{count} log records were left out: {why}"
        line, _ = log_line(message, "warning", {"left_out": count})
        self._write_log(line.data)

    # -- volatile -------------------------------------------------------------

    def _offer(self, newest: Newest) -> None:
        event_type = newest.event_type
        throttle = self._throttles.get(event_type) or Throttle(interval_s=self._interval_s)
        self._throttles[event_type], due = throttle.offer(newest, self._clock.monotonic())
        if due is not None:
            self._publish(due)
        elif event_type not in self._timers:
            wait_s = self._throttles[event_type].due_in(self._clock.monotonic()) or 0.0
            self._timers[event_type] = self._loop.call_later(wait_s, self._flush, event_type)

    def _flush(self, event_type: EventType) -> None:
        timer = self._timers.pop(event_type, None)
        if timer is not None:
            timer.cancel()
        throttle = self._throttles[event_type]
        self._throttles[event_type], due = throttle.flush(self._clock.monotonic())
        if due is not None:
            self._publish(due)

    def _flush_all(self) -> None:
        for event_type in list(self._throttles):
            self._flush(event_type)

    def _publish(self, newest: Newest) -> None:
        data = newest.read(self.elapsed_s)
        if newest.event_type is EventType.PROGRESS:
            data = self._with_remaining(data)
        event = NewEvent(newest.event_type, data)
        # A closed store misses a state that nobody could be told of.
        with suppress(StoreUnavailable):
            self._store.publish(self._task_id, self._attempt, event)

    def _with_remaining(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The progress with what is left by its own rate and by earlier runs together."""
        percent, own_s = data.get("progress_percent"), data.get("eta_seconds")
        elapsed_s = self.elapsed_s
        if own_s is not None and elapsed_s > 0:
            # What it has done of its own part: an attempt that goes on has less of one.
            self._pace.saw(elapsed_s, elapsed_s / (elapsed_s + own_s))
        if self._resumed and percent is None:
            return data
        undone = 1 - percent / 100 if self._resumed and percent is not None else None
        left_s = remaining_s(
            elapsed_s,
            own_s,
            self._run_times(),
            undone=undone,
            unsteadiness=self._pace.unsteadiness,
        )
        return data if left_s is None else {**data, "eta_seconds": round(left_s, 1)}

    # -- artifacts and checkpoints --------------------------------------------

    def _begin_put(self, putting: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        put = self._loop.create_task(putting, name=name)
        self._puts.add(put)
        put.add_done_callback(self._put_ended)
        return put

    def _put_ended(self, put: asyncio.Task[None]) -> None:
        self._puts.discard(put)
        if not put.cancelled() and isinstance(put.exception(), StoreUnavailable):
            self._unstored += 1

    async def _put(self, report: NewArtifact) -> None:
        try:
            blob = await self._blobs.put(self._task_id, report.source)
        except BadBlob as error:
            said = f"artifact {report.name}: {error}"
            line, _ = log_line(f"{said}; left out", "error", {})
            self.take(line)
            if self._strict:
                raise BadReport(said) from None
            return
        if self._closed:
            return
        await self.announce(report.name, report.media_type, blob)

    async def _keep_checkpoint(self, report: NewCheckpoint) -> None:
        """Keep the content, then say so, then remove what it replaces."""
        async with self._checkpointing:
            try:
                blob = await self._blobs.put_checkpoint(self._task_id, report.source)
            except BadBlob as error:  # a spooled file that somebody took away
                raise StoreUnavailable(f"the checkpoint cannot be kept: {error}") from error
            if self._closed:
                return
            content = CheckpointRef(blob.sha256, blob.size_bytes, self._attempt, report.label)
            percent = report.progress_percent
            decide = lifecycle.checkpoint(self._attempt, content, progress_percent=percent)
            # Shielded: who gives up waiting for it must not make the next one overtake it.
            await asyncio.shield(self._commit(decide, synced=True))
            await self._blobs.drop_checkpoints(self._task_id, but=blob.sha256)


def artifact_url(task_id: str, name: str, sha256: str) -> str:
    """Where that version of the file is served, below the place where taskpush is mounted."""
    return f"/api/tasks/{task_id}/artifacts/{quote(name)}?sha256={sha256}"
