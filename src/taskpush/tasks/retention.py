"""Retention: finished tasks beyond their limits are trimmed or deleted, a few at a time.

What is decided stands in `core.retention`. Each trim and each deletion is fenced by the attempt
that was judged, so a task that somebody has retried meanwhile is left alone.
"""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.core.retention import Fate, FinishedTask, Judge, Retention, pays_to_shrink
from taskpush.errors import IllegalTransition, NotFound, StaleAttempt, StoreUnavailable
from taskpush.models.task import TaskRecord
from taskpush.store.base import MAX_FORGOTTEN_ENTRIES, Store
from taskpush.store.blobs import Blobs
from taskpush.tasks.uploads import UploadShelf, remove_files
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AuditForgotten, RetentionPruned, UploadsForgotten

PAGE: Final = 200
"""Tasks that are asked for at once: some milliseconds."""
REMOVALS: Final = 50
"""Tasks that are trimmed or deleted together: what others write waits for one such commit."""
FIRST_AFTER_S: Final = 10.0
"""When the first round begins, after the start: then clients have come back."""


class Finished(Protocol):
    """As `Store.finished`."""

    async def __call__(
        self,
        *,
        before: datetime | None = None,
        kind: str | None = None,
        after: FinishedTask | None = None,
        limit: int,
    ) -> Sequence[FinishedTask]: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finished task that is not kept as it is."""

    task: FinishedTask
    fate: Fate

    @property
    def freed_bytes(self) -> int:
        """What it takes less afterwards."""
        task = self.task
        if self.fate is Fate.TRIM:
            return task.log_bytes - task.last_event_bytes
        return task.log_bytes + task.record_bytes + task.file_bytes


@dataclass(slots=True)
class Tally:
    """What was removed, or would be."""

    deleted: int = 0
    trimmed: int = 0
    freed_bytes: int = 0

    def add(self, removed: Iterable[Verdict]) -> None:
        for verdict in removed:
            self.deleted += verdict.fate is Fate.DELETE
            self.trimmed += verdict.fate is Fate.TRIM
            self.freed_bytes += verdict.freed_bytes


async def verdicts(
    finished: Finished, blobs: Blobs, judge: Judge, *, kind: str | None = None
) -> AsyncIterator[Sequence[Verdict]]:
    """What the judge says of all finished tasks, or of one kind, page by page, newest first.

    A page may be empty: all of its tasks are kept.
    """
    after: FinishedTask | None = None
    while page := await finished(before=judge.horizon, kind=kind, after=after, limit=PAGE):
        after = page[-1]
        if judge.counts_files:
            page = await _with_files(page, blobs)
        judged = [(task, judge.judge(task)) for task in page]
        deleted = [task for task, fate in judged if fate is Fate.DELETE]
        if not judge.counts_files:
            deleted = await _with_files(deleted, blobs)
        yield [
            *(Verdict(task, fate) for task, fate in judged if fate is Fate.TRIM),
            *(Verdict(task, Fate.DELETE) for task in deleted),
        ]


async def carry_out(
    store: Store, blobs: Blobs, given: Sequence[Verdict]
) -> AsyncIterator[Sequence[Verdict]]:
    """Trim and delete, a few tasks at a time; gives what took effect."""
    for first in range(0, len(given), REMOVALS):
        step = asyncio.ensure_future(_remove(store, blobs, given[first : first + REMOVALS]))
        try:
            done = await asyncio.shield(step)
        except asyncio.CancelledError:
            # Whoever goes away: the files go with their tasks.
            await step
            raise
        yield done


async def _remove(store: Store, blobs: Blobs, given: Sequence[Verdict]) -> list[Verdict]:
    calls = [_begin(store, verdict) for verdict in given]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    done = list(_effective(given, outcomes))
    deleted = [outcome for outcome in outcomes if isinstance(outcome, TaskRecord)]
    if deleted:
        await remove_files(store, blobs, deleted)
    return done


def _begin(store: Store, verdict: Verdict) -> asyncio.Future[object]:
    task = verdict.task
    fenced = lifecycle.delete(task.attempt)
    act = store.trim if verdict.fate is Fate.TRIM else store.delete
    return asyncio.ensure_future(act(task.task_id, fenced))


def _effective(given: Sequence[Verdict], outcomes: Iterable[object]) -> Iterable[Verdict]:
    """Those that took effect; the others were retried or deleted meanwhile."""
    for verdict, outcome in zip(given, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            if not isinstance(outcome, NotFound | StaleAttempt | IllegalTransition):
                raise outcome
        else:
            yield verdict


async def _with_files(tasks: Sequence[FinishedTask], blobs: Blobs) -> list[FinishedTask]:
    sizes = await blobs.sizes([task.task_id for task in tasks]) if tasks else []
    return [replace(task, file_bytes=size) for task, size in zip(tasks, sizes, strict=True)]


class RetentionRounds:
    """Applies retention while the server runs: soon after `start`, then at an interval.

    A round takes at most half of the time, so that others have theirs. `of_kinds` are the kinds
    with a retention of their own; `audit_age` is how old entries of the audit trail become, None
    for ever. Does nothing when everything is kept: with `uploads`, some of those never are.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        telemetry: Telemetry,
        *,
        retention: Retention,
        of_kinds: Mapping[str, Retention],
        audit_age: timedelta | None = None,
        uploads: UploadShelf | None = None,
        interval_s: float,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._telemetry = telemetry
        self._retention = retention
        self._of_kinds = of_kinds
        self._audit_age = audit_age
        self._uploads = uploads
        self._interval_s = interval_s
        self._stop = asyncio.Event()
        # None before `start`, and when there is nothing to do.
        self._worker: Task[None] | None = None

    def start(self) -> None:
        """Begin, if anything is limited."""
        kept = self._audit_age is None and self._uploads is None
        if not (kept and self._judge().keeps_everything):
            self._worker = asyncio.create_task(self._work(), name="retention")
            self._worker.add_done_callback(_say_broken)

    async def close(self) -> None:
        """End after the few tasks that are being removed."""
        self._stop.set()
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def round(self) -> None:
        """Apply the limits once; ends early when it is closed.

        Raises `StoreUnavailable`.
        """
        begin_s = asyncio.get_running_loop().time()
        await self._forget_audit()
        await self._forget_uploads()
        tally = Tally() if self._judge().keeps_everything else await self._remove()
        if tally.deleted or tally.trimmed:
            given_back = await self._shrink()
            took_s = asyncio.get_running_loop().time() - begin_s
            self._telemetry.emit(
                RetentionPruned(tally.deleted, tally.trimmed, tally.freed_bytes, given_back, took_s)
            )

    async def _remove(self) -> Tally:
        """Trim and delete, pausing after each few tasks for as long as they took."""
        loop = asyncio.get_running_loop()
        tally = Tally()
        turn_s = loop.time()
        async for page in verdicts(self._store.finished, self._blobs, self._judge()):
            async for done in carry_out(self._store, self._blobs, page):
                tally.add(done)
                if await self._is_stopped_within(loop.time() - turn_s):
                    return tally
                turn_s = loop.time()
            if not page and await self._is_stopped_within(loop.time() - turn_s):
                return tally
            turn_s = loop.time()
        return tally

    async def _forget_audit(self) -> None:
        """Remove old entries of the audit trail, pausing as `_remove` does."""
        if self._audit_age is None:
            return
        loop = asyncio.get_running_loop()
        before = self._clock.now() - self._audit_age
        removed = 0
        while True:
            turn_s = loop.time()
            some = await self._store.forget_audit(before)
            removed += some
            stopped = await self._is_stopped_within(loop.time() - turn_s)
            if stopped or some < MAX_FORGOTTEN_ENTRIES:
                break
        if removed:
            self._telemetry.emit(AuditForgotten(removed))

    async def _forget_uploads(self) -> None:
        if self._uploads is not None and (removed := await self._uploads.forget_expired()):
            self._telemetry.emit(UploadsForgotten(removed))

    def _judge(self) -> Judge:
        return Judge(self._clock.now(), self._retention, self._of_kinds)

    async def _work(self) -> None:
        pause_s = min(FIRST_AFTER_S, self._interval_s)
        while not await self._is_stopped_within(pause_s):
            # The store has said what is wrong; the next round tries again.
            with suppress(StoreUnavailable):
                await self.round()
            pause_s = self._interval_s

    async def _is_stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()

    async def _shrink(self) -> int:
        """Give unused space back when it is much; returns how many bytes of it."""
        usage = await self._store.usage()
        if self._stop.is_set() or not pays_to_shrink(usage.bytes, usage.unused_bytes):
            return 0
        shrinking = asyncio.ensure_future(self._store.shrink())
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({shrinking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not shrinking.done():
            # What is left is given back another time.
            shrinking.cancel()
            return 0
        shrinking.result()
        return usage.unused_bytes


def _say_broken(worker: Task[None]) -> None:
    """A fault of ours: nothing is removed from now on, and somebody should know."""
    if not worker.cancelled() and (error := worker.exception()):
        worker.get_loop().call_exception_handler(
            {"message": "retention ended", "exception": error, "task": worker}
        )
