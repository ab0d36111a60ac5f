"""The queue in front of a store: calls that change it wait here, and are committed together.

Whatever arrived while one batch was committed is the next batch; see `gathering` for when it may
wait for more.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Final

from taskpush.core.lifecycle import Decide
from taskpush.errors import StoreUnavailable
from taskpush.models.audit import AuditEntry
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import KeptUpload
from taskpush.models.values import is_clean_text
from taskpush.models.webhooks import DeliveryState
from taskpush.store.base import MAX_CREATED_TASKS, Append, Commit, Created, IdempotencyKey
from taskpush.store.batch import Batch, settle
from taskpush.store.calls import (
    Asked,
    Call,
    Create,
    Delete,
    Deliver,
    ForgetAudit,
    ForgetUploads,
    KeepUpload,
    Note,
    Stored,
    Trim,
    Write,
)
from taskpush.store.gathering import Gathering
from taskpush.store.ledger import Ledger
from taskpush.store.uploads import named
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import StoreFailed

MAX_BATCH_TASKS: Final = 512
"""Bounds how long the staging of one batch holds the event loop; the rest is the next batch."""

NOT_OPEN: Final = "the store is not open"
NO_TEXT: Final = "ids and keys are texts that have a UTF-8 form"
NOTHING_STORED: Final = Stored()


class Writer:
    """Owns the queue and the one task that takes from it.

    `load` gives what is committed of tasks that are not live, and of keys, `load_uploads` the same
    of uploads; `commit` makes a batch durable or raises, in which case nothing of it took effect;
    `tidy` is called between batches; `shrink` gives back some unused space, and says whether there
    is more.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        load: Callable[[Collection[str], Collection[IdempotencyKey]], Stored],
        load_uploads: Callable[[Collection[str]], Mapping[str, KeptUpload]],
        commit: Callable[[Batch], Awaitable[None]],
        tidy: Callable[[], Awaitable[None]],
        shrink: Callable[[], Awaitable[bool]],
        telemetry: Telemetry,
        flush_after_s: float,
    ) -> None:
        self._ledger = ledger
        self._load = load
        self._load_uploads = load_uploads
        self._commit = commit
        self._tidy = tidy
        self._shrink = shrink
        self._telemetry = telemetry
        self._flush_after_s = flush_after_s
        # Bounded by its callers: each awaits its write, or counts what it has not awaited.
        self._queue: deque[Call] = deque()
        self._probes: list[Future[None]] = []
        self._shrinks: list[Future[None]] = []
        self._flush_due = False
        # None while no flush is planned.
        self._flush_timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._gathering = Gathering(self._wake.set)
        self._stopping = False
        # Whether nothing is queued any more: it stops, or its task has ended.
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="taskpush-store-writer")

    def write(self, task_id: str, decide: Decide, *, synced: bool) -> Future[Commit]:
        """Queue a write; see `Store.write`."""
        self._check_open()
        _check_texts(task_id)
        future: Future[Commit] = asyncio.get_running_loop().create_future()
        self._add(Write(task_id, decide, synced, future))
        return future

    def append(self, append: Append) -> None:
        """Queue an event; see `Store.append`."""
        if self._closed:
            raise StoreUnavailable(NOT_OPEN)
        if not is_clean_text(append.task_id):
            raise ValueError(NO_TEXT)
        self._queue.append(append)
        self._gathering.add(append)

    def create(
        self,
        records: Sequence[TaskRecord],
        *,
        key: IdempotencyKey | None,
        limits: Mapping[str, int],
    ) -> Future[Created]:
        """Queue a creation; see `Store.create`."""
        self._check_open()
        if not 1 <= len(records) <= MAX_CREATED_TASKS:
            raise ValueError(f"1 to {MAX_CREATED_TASKS} tasks are created at once")
        _check_texts(*(record.task_id for record in records))
        if key is not None:
            _check_texts(*key.name, key.body_hash)
        future: Future[Created] = asyncio.get_running_loop().create_future()
        self._add(Create(tuple(records), key, dict(limits), future))
        return future

    def delete(self, task_id: str, decide: Decide) -> Future[TaskRecord]:
        """Queue a deletion; see `Store.delete`."""
        self._check_open()
        _check_texts(task_id)
        future: Future[TaskRecord] = asyncio.get_running_loop().create_future()
        self._add(Delete(task_id, decide, future))
        return future

    def trim(self, task_id: str, decide: Decide, *, keep_last: int) -> Future[int]:
        """Queue a cut; see `Store.trim`."""
        self._check_open()
        _check_texts(task_id)
        if keep_last < 1:
            raise ValueError("the last event of a log is always kept")
        future: Future[int] = asyncio.get_running_loop().create_future()
        self._add(Trim(task_id, decide, keep_last, future))
        return future

    def note(self, entry: AuditEntry, *, synced: bool) -> Future[None]:
        """Queue an entry of the audit trail; see `Store.note`."""
        self._check_open()
        future: Future[None] = asyncio.get_running_loop().create_future()
        self._add(Note(entry, synced, future))
        return future

    def forget_audit(self, before: datetime) -> Future[int]:
        """Queue a removal of old entries; see `Store.forget_audit`."""
        self._check_open()
        future: Future[int] = asyncio.get_running_loop().create_future()
        self._add(ForgetAudit(before, future))
        return future

    def deliver(self, task_id: str, states: Sequence[DeliveryState]) -> Future[None]:
        """Queue how far webhooks have come; see `Store.deliver`."""
        self._check_open()
        _check_texts(task_id)
        future: Future[None] = asyncio.get_running_loop().create_future()
        self._add(Deliver(task_id, tuple(states), future))
        return future

    def keep_upload(self, upload: KeptUpload) -> Future[None]:
        """Queue a new upload; see `Store.keep_upload`."""
        self._check_open()
        ref = upload.ref
        _check_texts(ref.upload_id, ref.name, ref.media_type, upload.tenant, upload.owner)
        future: Future[None] = asyncio.get_running_loop().create_future()
        self._add(KeepUpload(upload, future))
        return future

    def forget_uploads(self, upload_ids: Collection[str]) -> Future[Collection[str]]:
        """Queue the removal of unused uploads; see `Store.forget_uploads`."""
        self._check_open()
        _check_texts(*upload_ids)
        future: Future[Collection[str]] = asyncio.get_running_loop().create_future()
        self._add(ForgetUploads(tuple(upload_ids), future))
        return future

    def shrink(self) -> Future[None]:
        """Begin to give back unused space; see `Store.shrink`."""
        self._check_open()
        future: Future[None] = asyncio.get_running_loop().create_future()
        self._shrinks.append(future)
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
        self._stopping = self._closed = True
        self._flush()
        # Whoever gives up waiting must not cut a commit in two.
        await asyncio.shield(self._task)

    def _add(self, call: Call) -> None:
        self._queue.append(call)
        self._gathering.add(call)

    def _check_open(self) -> None:
        if self._closed:
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
                await self._shrink_some()
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
        calls = self._next_calls()
        self._gathering.end(len(calls))
        probes, self._probes = self._probes, []
        flush, self._flush_due = self._flush_due, False
        error = await self._commit_together(calls, flush=flush, probed=bool(probes))
        for probe in probes:
            if not probe.done():
                _answer(probe, error)
        if self._queue:
            self._wake.set()
        if self._ledger.has_unflushed:
            self.flush_soon()

    def _next_calls(self) -> list[Call]:
        calls: list[Call] = []
        tasks = 0
        while self._queue and tasks < MAX_BATCH_TASKS:
            call = self._queue.popleft()
            calls.append(call)
            tasks += 1 if isinstance(call, Append) else len(call.task_ids) or 1
        return calls

    async def _commit_together(
        self, calls: list[Call], *, flush: bool, probed: bool
    ) -> Exception | None:
        batch = Batch(synced=False, calls=calls)
        try:
            stored = self._stored(calls)
            synced = probed or any(call.synced for call in calls)
            batch = self._ledger.stage(calls, stored, synced=synced, flush=flush)
            self._queue.extendleft(reversed(calls[len(batch.calls) :]))
            if not batch.is_empty:
                await self._commit(batch)
        except Exception as error:  # noqa: BLE001 - a failed commit is told, whatever failed
            self._telemetry.emit(StoreFailed(error=str(error), writes=len(calls)))
            batch.fail("the store could not commit")
            return error
        except asyncio.CancelledError:
            batch.abandon()
            raise
        self._gathering.begin(batch.calls)
        self._ledger.apply(batch)
        batch.resolve()
        return None

    def _stored(self, calls: Sequence[Call]) -> Stored:
        """What is committed of what the calls are about."""
        # Mostly there is nothing else than appends to tasks that are live.
        asked = [call for call in calls if not isinstance(call, Append)]
        appended = [call.task_id for call in calls if isinstance(call, Append)]
        cold = self._ledger.cold(chain(appended, _task_ids(asked)))
        if not (cold or asked):
            return NOTHING_STORED
        stored = self._load(cold, _keys(asked))
        uploads = set(named(asked, lambda task_id: self._ledger.newest(task_id, stored)))
        return replace(stored, uploads=self._load_uploads(uploads)) if uploads else stored

    async def _shrink_some(self) -> None:
        """A part at a time, so that commits need not wait for the whole."""
        if not self._shrinks or self._stopping:
            return
        error: Exception | None = None
        try:
            if await self._shrink():
                self._wake.set()
                return
        except Exception as caught:  # noqa: BLE001 - it is told, whatever failed
            self._telemetry.emit(StoreFailed(error=str(caught), writes=0))
            error = caught
        shrinks, self._shrinks = self._shrinks, []
        for shrink in shrinks:
            if not shrink.done():
                _answer(shrink, error)

    async def _tidy_up(self) -> None:
        try:
            await self._tidy()
        except Exception as error:  # noqa: BLE001 - no commit depends on it; it is tried again
            self._telemetry.emit(StoreFailed(error=str(error), writes=0))

    def _refuse_waiting(self) -> None:
        """After a stop nothing waits; after a cancellation or a bug nobody may wait for ever."""
        self._closed = True
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        self._gathering.end(0)
        for call in self._queue:
            settle(call, StoreUnavailable(NOT_OPEN))
        for probe in (*self._probes, *self._shrinks):
            if not probe.done():
                probe.set_exception(StoreUnavailable(NOT_OPEN))


def _check_texts(*texts: str) -> None:
    if not all(map(is_clean_text, texts)):
        raise ValueError(NO_TEXT)


def _task_ids(calls: Iterable[Asked]) -> Iterable[str]:
    return (task_id for call in calls for task_id in call.task_ids)


def _keys(calls: Iterable[Asked]) -> list[IdempotencyKey]:
    return [call.key for call in calls if isinstance(call, Create) and call.key is not None]


def _answer(probe: Future[None], error: Exception | None) -> None:
    if error is None:
        probe.set_result(None)
    else:
        failure = StoreUnavailable("the store could not commit")
        failure.__cause__ = error
        probe.set_exception(failure)
