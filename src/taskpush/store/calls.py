"""What waits in the writer's queue: one value for each kind of call that changes the store."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from taskpush.core.lifecycle import Decide
from taskpush.models.audit import AuditEntry
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import KeptUpload
from taskpush.models.webhooks import DeliveryState
from taskpush.store.base import KEY_LIFETIME, Append, Commit, Created, IdempotencyKey


class Write(NamedTuple):
    """One call of `Store.write`."""

    task_id: str
    decide: Decide
    synced: bool
    future: Future[Commit]

    @property
    def task_ids(self) -> tuple[str, ...]:
        return (self.task_id,)


@dataclass(frozen=True, slots=True)
class Create:
    """One call of `Store.create`."""

    records: tuple[TaskRecord, ...]
    # None when the creation cannot be repeated.
    key: IdempotencyKey | None
    # By kind: how many tasks may be pending.
    limits: Mapping[str, int]
    future: Future[Created]
    synced: bool = True

    @property
    def task_ids(self) -> tuple[str, ...]:
        return tuple(record.task_id for record in self.records)


@dataclass(frozen=True, slots=True)
class Delete:
    """One call of `Store.delete`."""

    task_id: str
    decide: Decide
    future: Future[TaskRecord]
    synced: bool = True

    @property
    def task_ids(self) -> tuple[str, ...]:
        return (self.task_id,)


@dataclass(frozen=True, slots=True)
class Trim:
    """One call of `Store.trim`."""

    task_id: str
    decide: Decide
    keep_last: int
    future: Future[int]
    synced: bool = True

    @property
    def task_ids(self) -> tuple[str, ...]:
        return (self.task_id,)


@dataclass(frozen=True, slots=True)
class Note:
    """One call of `Store.note`."""

    entry: AuditEntry
    synced: bool
    future: Future[None]
    task_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForgetAudit:
    """One call of `Store.forget_audit`."""

    before: datetime
    future: Future[int]
    synced: bool = False
    task_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deliver:
    """One call of `Store.deliver`."""

    task_id: str
    states: tuple[DeliveryState, ...]
    future: Future[None]
    synced: bool = False

    @property
    def task_ids(self) -> tuple[str, ...]:
        return (self.task_id,)


@dataclass(frozen=True, slots=True)
class KeepUpload:
    """One call of `Store.keep_upload`."""

    upload: KeptUpload
    future: Future[None]
    synced: bool = True
    task_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForgetUploads:
    """One call of `Store.forget_uploads`."""

    upload_ids: tuple[str, ...]
    future: Future[Collection[str]]
    synced: bool = True
    task_ids: tuple[str, ...] = ()


Asked = Write | Create | Delete | Trim | Note | ForgetAudit | Deliver | KeepUpload | ForgetUploads
"""Calls that are answered by their future."""

Call = Append | Asked


@dataclass(frozen=True, slots=True)
class KeptKey:
    """An idempotency key, with what was created under it."""

    key: IdempotencyKey
    created_at: datetime
    task_ids: tuple[str, ...]

    def is_forgotten(self, now: datetime) -> bool:
        """Whether its time is over."""
        return now - self.created_at >= KEY_LIFETIME


class Entry(NamedTuple):
    """A task's record, and its place in the order of creation: what the database keys it by."""

    order: int
    record: TaskRecord


@dataclass(frozen=True, slots=True)
class Stored:
    """What the committed state holds of the tasks and keys that some calls are about."""

    # Also of the tasks that were created under the keys.
    entries: Mapping[str, Entry] = field(default_factory=dict)
    # Those of the ids that belonged to deleted tasks.
    deleted: Collection[str] = ()
    # By `IdempotencyKey.name`.
    keys: Mapping[tuple[str, str, str], KeptKey] = field(default_factory=dict)
    # Those that the calls use, give back, keep or forget.
    uploads: Mapping[str, KeptUpload] = field(default_factory=dict)
