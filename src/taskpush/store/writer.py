"""The queue in front of a store: writes wait here, and are committed together.

Group commit without a timer: whatever arrived while one batch was committed is the next batch.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from taskpush.core.lifecycle import Decide
from taskpush.errors import StoreUnavailable
from taskpush.models.values import is_clean_text
from taskpush.store.base import Commit
from taskpush.store.ledger import Batch, Entry, Ledger, Write
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import StoreFailed

MAX_BATCH_WRITES: Final = 512
"""Bounds how long the staging of one batch holds the event loop; the rest is the next batch."""

NOT_OPEN: Final = "the store is not open"


class Writer:
    """Owns the queue and the one task that takes from it.

    `load` gives the committed entries of tasks that are not live; `commit` makes a batch durable
    or raises, in which case nothing of it took effect; `tidy` is called between batches.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        load: Callable[[Collection[str]], Mapping[str, Entry]],
        commit: Callable[[Batch], Awaitable[None]],
        tidy: Callable[[], Awaitable[None]],
        telemetry: Telemetry,
        flush_after_s: float,
    ) -> None:
        self._ledger = ledger
        self._load = load
        self._commit = commit
        self._tidy = tidy
        self._telemetry = telemetry
        self._flush_after_s = flush_after_s
        # Bounded by its callers: each awaits its write, or counts what it has not awaited.
        self._queue: deque[Write] = deque()
        self._probes: list[Future[None]] = []
        self._flush_due = False
        # None while no flush is planned.
        self._flush_timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name="taskpush-store-writer")

    def write(self, task_id: str, decide: Decide, *, synced: bool) -> Future[Commit]:
        """Queue a write; see `Store.write`."""
        self._check_open()
        if not is_clean_text(task_id):
            raise ValueError("a task id is text that has a UTF-8 form")
        future: Future[Commit] = asyncio.get_running_loop().create_future()
        self._queue.append(Write(task_id, decide, synced, future))
        self._wake.set()
        return future

    def probe(self) -> Future[None]:
        """Queue a synced commit that changes no task."""
        self._check_open()
        future: Future[None] = asyncio.get_running_loop().create_future()
        self._probes.append(future)
        self._wake.set()
        return future

    def flush_soon(self) -> None:
        """Plan to commit the volatile events that the disk lacks."""
        if self._flush_timer is None and not self._stopping:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(self._flush_after_s, self._flush)

    async def stop(self) -> None:
        """Commit what was queued, then end."""
        self._stopping = True
        self._flush()
        # Whoever gives up waiting must not cut a commit in two.
        await asyncio.shield(self._task)

    def _check_open(self) -> None:
        if self._stopping or self._task.done():
            raise StoreUnavailable(NOT_OPEN)

    def _flush(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        self._flush_due = True
        self._wake.set()

    async def _run(self) -> None:
        try:
            while not (self._stopping and self._is_idle()):
                await self._wake.wait()
                self._wake.clear()
                await self._commit_waiting()
                await self._tidy_up()
                # Those who were told go first: what they write next joins the next batch.
                await asyncio.sleep(0)
        except Exception as error:
            # A bug; `stop` raises it too, but that may be long after.
            self._telemetry.emit(StoreFailed(error=repr(error), writes=len(self._queue)))
            raise
        finally:
            self._refuse_waiting()

    def _is_idle(self) -> bool:
        return not (self._queue or self._probes or self._flush_due)

    async def _commit_waiting(self) -> None:
        writes = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH_WRITES))]
        probes, self._probes = self._probes, []
        flush, self._flush_due = self._flush_due, False
        error = await self._commit_together(writes, flush=flush, probed=bool(probes))
        for probe in probes:
            if not probe.done():
                _settle(probe, error)
        if self._queue:
            self._wake.set()
        if self._ledger.has_unflushed:
            self.flush_soon()

    async def _commit_together(
        self, writes: list[Write], *, flush: bool, probed: bool
    ) -> Exception | None:
        batch = Batch(synced=False, writes=writes)
        try:
            stored = self._load(self._ledger.cold(write.task_id for write in writes))
            synced = probed or any(write.synced for write in writes)
            batch = self._ledger.stage(writes, stored, synced=synced, flush=flush)
            self._queue.extendleft(reversed(writes[len(batch.writes) :]))
            if not batch.is_empty:
                await self._commit(batch)
        except Exception as error:  # noqa: BLE001 - a failed commit is told, whatever failed
            self._telemetry.emit(StoreFailed(error=str(error), writes=len(writes)))
            batch.fail("the store could not commit")
            return error
        except asyncio.CancelledError:
            batch.abandon()
            raise
        self._ledger.apply(batch)
        batch.resolve()
        return None

    async def _tidy_up(self) -> None:
        try:
            await self._tidy()
        except Exception as error:  # noqa: BLE001 - no commit depends on it; it is tried again
            self._telemetry.emit(StoreFailed(error=str(error), writes=0))

    def _refuse_waiting(self) -> None:
        """After a stop nothing waits; after a cancellation or a bug nobody may wait for ever."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        for write in self._queue:
            if not write.future.done():
                write.future.set_exception(StoreUnavailable(NOT_OPEN))
        for probe in self._probes:
            if not probe.done():
                probe.set_exception(StoreUnavailable(NOT_OPEN))


def _settle(probe: Future[None], error: Exception | None) -> None:
    if error is None:
        probe.set_result(None)
    else:
        failure = StoreUnavailable("the store could not commit")
        failure.__cause__ = error
        probe.set_exception(failure)
