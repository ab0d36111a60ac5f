"""The part of a store that is the same wherever it keeps its tasks: the writes of one process."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from typing_extensions import override

from taskpush.core.lifecycle import Decide
from taskpush.errors import StoreUnavailable
from taskpush.models.audit import AuditEntry
from taskpush.models.feed import Mark
from taskpush.models.task import NewEvent, TaskRecord, VolatileEvent
from taskpush.models.uploads import KeptUpload
from taskpush.models.webhooks import DeliveryState
from taskpush.store.base import (
    NO_LIMITS,
    Append,
    ChangeListener,
    Commit,
    CommitListener,
    Created,
    IdempotencyKey,
    Store,
)
from taskpush.store.ledger import Ledger
from taskpush.store.writer import NOT_OPEN, Writer


@dataclass(frozen=True, slots=True)
class Opened:
    """What a store has between `open` and `close`."""

    ledger: Ledger
    writer: Writer


State = TypeVar("State", bound=Opened)


class EmbeddedStore(Store, Generic[State]):
    """Every write goes through the ledger and the writer of this process.

    An adapter opens and closes them, and answers what is asked of the tasks.
    """

    def __init__(self) -> None:
        self.epoch = ""
        self._listeners: list[CommitListener] = []
        self._followers: list[ChangeListener] = []
        # None while the store is not open.
        self._state: State | None = None

    @override
    def listen(self, listener: CommitListener) -> None:
        self._listeners.append(listener)

    @override
    def follow(self, follower: ChangeListener) -> None:
        self._followers.append(follower)

    @property
    @override
    def mark(self) -> Mark:
        return self._opened().ledger.changes.mark

    @override
    def write(self, task_id: str, decide: Decide, *, synced: bool = False) -> Future[Commit]:
        return self._opened().writer.write(task_id, decide, synced=synced)

    @override
    def append(self, append: Append) -> None:
        self._opened().writer.append(append)

    @override
    def create(
        self,
        records: Sequence[TaskRecord],
        *,
        key: IdempotencyKey | None = None,
        limits: Mapping[str, int] = NO_LIMITS,
    ) -> Future[Created]:
        return self._opened().writer.create(records, key=key, limits=limits)

    @override
    def delete(self, task_id: str, decide: Decide) -> Future[TaskRecord]:
        return self._opened().writer.delete(task_id, decide)

    @override
    def trim(self, task_id: str, decide: Decide, *, keep_last: int = 1) -> Future[int]:
        return self._opened().writer.trim(task_id, decide, keep_last=keep_last)

    @override
    def publish(self, task_id: str, attempt: int, event: NewEvent) -> VolatileEvent | None:
        opened = self._opened()
        volatile = opened.ledger.publish(task_id, attempt, event)
        if volatile is not None:
            opened.writer.flush_soon()
        return volatile

    @override
    def note(self, entry: AuditEntry, *, synced: bool = True) -> Future[None]:
        return self._opened().writer.note(entry, synced=synced)

    @override
    def forget_audit(self, before: datetime) -> Future[int]:
        return self._opened().writer.forget_audit(before)

    @override
    def deliver(self, task_id: str, states: Sequence[DeliveryState]) -> Future[None]:
        return self._opened().writer.deliver(task_id, states)

    @override
    def keep_upload(self, upload: KeptUpload) -> Future[None]:
        return self._opened().writer.keep_upload(upload)

    @override
    def forget_uploads(self, upload_ids: Collection[str]) -> Future[Collection[str]]:
        return self._opened().writer.forget_uploads(upload_ids)

    @override
    async def shrink(self) -> None:
        await self._opened().writer.shrink()

    @override
    async def probe(self) -> None:
        await self._opened().writer.probe()

    def _opened(self) -> State:
        if self._state is None:
            raise StoreUnavailable(NOT_OPEN)
        return self._state
