"""What producers outside the server do: report an attempt, and hand over its files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from taskpush.access.policy import demand, may
from taskpush.access.principal import Principal, Role
from taskpush.core import producing
from taskpush.core.progress import BadReport
from taskpush.core.transitions import Command, next_status
from taskpush.errors import InvalidRequest, NotFound, TaskPushError
from taskpush.models.events import EventType, Status
from taskpush.models.position import WirePosition
from taskpush.models.producing import ArtifactTaken, ReportBatch, ReportsTaken
from taskpush.models.task import TaskRecord
from taskpush.runner.producing.attempts import ReportedAttempt, ReportedAttempts
from taskpush.runner.registry import Registry
from taskpush.runner.reporting.reports import new_artifact
from taskpush.store.base import Store
from taskpush.store.blobs import BadBlob, Blob, Blobs

Outcome = TypeVar("Outcome")

_NONE: Final = b""


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that a producer sends: of which attempt, and what it is called."""

    attempt: int
    producer_id: str
    name: str
    # None: the name decides.
    media_type: str | None


class Producers:
    """Takes what producers say of tasks, for a principal, by the policy."""

    def __init__(
        self, store: Store, registry: Registry, blobs: Blobs, attempts: ReportedAttempts
    ) -> None:
        self._store = store
        self._registry = registry
        self._blobs = blobs
        self._attempts = attempts
        self._under_way: set[asyncio.Task[Any]] = set()

    async def report(self, principal: Principal, task_id: str, batch: ReportBatch) -> ReportsTaken:
        """Append what a producer says: all of it or nothing, and each event once.

        Raises `NotFound`, `Forbidden`, `not_external`, `StaleAttempt`, `ProducerConflict`,
        `ProducerGap`, `IllegalTransition`, and `invalid_request` or `payload_too_large` naming the
        event that is wrong.
        """
        await self._mine(principal, task_id)
        first = _first(batch)
        return await self._see_through(self._report(principal, task_id, batch, first))

    async def _report(
        self, principal: Principal, task_id: str, batch: ReportBatch, first: int
    ) -> ReportsTaken:
        async with self._attempts.lock(task_id):
            record = await self._mine(principal, task_id)
            count = len(batch.events)
            attempt = self._attempts.find(record, batch.producer_id)
            if attempt is not None and batch.attempt == record.attempt:
                # Whatever is wrong with it, somebody said it.
                attempt.heard()
            fresh = producing.first_fresh(record, batch.attempt, batch.producer_id, first, count)
            if fresh is not None and count:
                record = await self._take(record, attempt, batch, first, fresh)
            elif fresh is not None:
                next_status(record.status, Command.REPORT)
            return self._answer(record, batch, first)

    async def _take(
        self,
        record: TaskRecord,
        attempt: ReportedAttempt | None,
        batch: ReportBatch,
        first: int,
        fresh: int,
    ) -> TaskRecord:
        if attempt is None:
            attempt = self._attempts.begin(record, batch.producer_id)
        try:
            reading = attempt.read(batch.events[fresh - first :], skipped=fresh - first)
        except TaskPushError:
            if record.status is not Status.RUNNING:
                self._attempts.forget(attempt)
            raise
        return (await self._attempts.write(attempt, reading, fresh)).record

    async def keep(
        self,
        principal: Principal,
        task_id: str,
        sent: SentFile,
        content: AsyncIterator[bytes],
    ) -> tuple[ArtifactTaken, bool]:
        """Keep a file that a producer sends, and announce it; whether that was new.

        The same content under the same name, sent again in the same attempt, is announced once.
        Raises as `report`, and `payload_too_large`.
        """
        record = await self._mine(principal, task_id)
        attempt = self._present(record, sent)
        try:
            media_type = new_artifact(sent.name, _NONE, sent.media_type).media_type
        except BadReport as error:
            raise InvalidRequest(str(error)) from None
        try:
            blob = await self._blobs.put_stream(task_id, _alive(content, attempt))
        except BadBlob as error:
            raise TaskPushError(str(error), code="payload_too_large") from None
        return await self._see_through(self._announce(principal, task_id, sent, media_type, blob))

    async def _announce(
        self, principal: Principal, task_id: str, sent: SentFile, media_type: str, blob: Blob
    ) -> tuple[ArtifactTaken, bool]:
        async with self._attempts.lock(task_id):
            # It may have ended while the content came.
            record = await self._mine(principal, task_id)
            attempt = self._present(record, sent)
            attempt.heard()
            event = await self._announced(record, sent.name, blob)
            fresh = event is None
            if event is None:
                commit = await attempt.announce(sent.name, media_type, blob)
                record, event = commit.record, commit.events[-1].body
            data = orjson.loads(event)["data"]
        return ArtifactTaken(**data, cancel_wanted=record.cancel_requested), fresh

    async def _announced(self, record: TaskRecord, name: str, blob: Blob) -> bytes | None:
        """The event of the newest file of that name, when it is of this attempt and the same."""
        events = await self._store.read_type(record.task_id, EventType.ARTIFACT)
        for event in reversed(events):
            data = orjson.loads(event.body)["data"]
            if data["name"] == name:
                same = event.attempt == record.attempt and data["sha256"] == blob.sha256
                return event.body if same else None
        return None

    def _present(self, record: TaskRecord, sent: SentFile) -> ReportedAttempt:
        """The running attempt, which this producer reports; raises unless there is one."""
        producing.first_fresh(record, sent.attempt, sent.producer_id, 1, 0)
        next_status(record.status, Command.REPORT)
        attempt = self._attempts.find(record, sent.producer_id)
        if attempt is None:
            attempt = self._attempts.begin(record, sent.producer_id)
        attempt.heard()
        return attempt

    async def _mine(self, principal: Principal, task_id: str) -> TaskRecord:
        """The task, which this principal may report on, and a producer may run."""
        demand(principal, Role.REPORT)
        record = await self._store.get(task_id)
        if record is None or not may(principal, Role.REPORT, record):
            raise NotFound
        spec = self._registry.require(record.kind)
        if not spec.is_external:
            raise TaskPushError(code="not_external")
        return record

    def _answer(self, record: TaskRecord, batch: ReportBatch, first: int) -> ReportsTaken:
        known = record.producer
        found = producing.positions(record, first, len(batch.events))
        return ReportsTaken(
            task_id=record.task_id,
            attempt=batch.attempt,
            status=record.status,
            positions=[None if it is None else WirePosition.of(it) for it in found],
            next_producer_seq=known.last_seq + 1 if known else 1,
            cancel_wanted=record.cancel_requested,
            lease_s=self._attempts.lease_s,
        )

    async def _see_through(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Await `work`, which goes on when the caller goes away: what it began is ended."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)


async def _alive(content: AsyncIterator[bytes], attempt: ReportedAttempt) -> AsyncIterator[bytes]:
    """The content; whoever sends it is alive."""
    async for piece in content:
        attempt.heard()
        yield piece


def _first(batch: ReportBatch) -> int:
    """The number of the first event; raises `invalid_request` for holes between them."""
    if not batch.events:
        return 1
    first = batch.events[0].producer_seq
    for index, event in enumerate(batch.events):
        if event.producer_seq != first + index:
            raise InvalidRequest(
                f"events.{index}: producer_seq {first + index} comes here, without holes"
            )
    return first
