"""The port to the store: the only way to what is true about tasks.

Two adapters keep the promises written here, `memory` and `sqlite`; one contract suite
(`tests/store/contract.py`) tests these sentences on each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from taskpush.core.lifecycle import Decide
from taskpush.core.retention import FinishedTask
from taskpush.models.audit import AuditEntry, AuditFilter, AuditPlace, PlacedEntry
from taskpush.models.events import EventType, Status
from taskpush.models.feed import Change, FeedFilter, Mark
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.models.uploads import HeldUploads, KeptUpload
from taskpush.models.webhooks import DeliveryState, Hooked
from taskpush.store.changes import ChangePage
from taskpush.store.daystats import DayStats

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
MAX_CREATED_TASKS: Final = 1000
"""How many tasks one call creates at most."""
MAX_FORGOTTEN_ENTRIES: Final = 1000
"""How many entries of the audit trail one call removes at most: some milliseconds."""
KEY_LIFETIME: Final = timedelta(hours=24)
"""How long an idempotency key is remembered."""
NO_LIMITS: Final[Mapping[str, int]] = MappingProxyType({})


class Commit(NamedTuple):
    """What one write made true."""

    record: TaskRecord
    events: tuple[LoggedEvent, ...]


class Append:
    """One event of a running attempt on its way into the log, which is told what becomes of it.

    Nearly all that is ever written is that, so there is neither a future nor a callback for it.
    """

    __slots__ = ("attempt", "event", "task_id")

    # None of them is synced.
    synced: Final = False

    def __init__(self, task_id: str, attempt: int, event: NewEvent) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.event = event

    def committed(self) -> None:
        """It survives the end of this process. Must not block, await or raise."""

    def refused(self, error: BaseException) -> None:
        """It did not take effect. Must not block, await or raise."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a client calls one creation, so that it can repeat the call without a second task."""

    tenant: str
    owner: str
    key: str
    # Tells whether a repeated call asks for the same.
    body_hash: str

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is found by: keys belong to tenant and owner."""
        return (self.tenant, self.owner, self.key)


@dataclass(frozen=True, slots=True)
class Created:
    """What one creation made true, or what an earlier one with its key did."""

    # In the order of the call; of an earlier creation, without those that were deleted since.
    records: tuple[TaskRecord, ...]
    events: tuple[LoggedEvent, ...]
    # False when an earlier call had created them.
    fresh: bool


@dataclass(frozen=True, slots=True)
class TaskDeleted:
    """The task is gone, with its log; no event of it follows."""

    task_id: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Logged events after a position, read in one transaction."""

    events: Sequence[LoggedEvent]
    # Whether the last of them (or the position, when there are none) is the head of the log.
    end: bool
    # Whether the event at the head of the log is final.
    final: bool
    # The newest volatile events as of the same moment.
    latest: Mapping[EventType, VolatileEvent]
    # The log's head as of the same moment.
    head: Position


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a list holds. None means: any."""

    tenant: str
    # None means every owner's (for those who may).
    owner: str | None = None
    status: Status | None = None
    kind: str | None = None
    tag: str | None = None
    # Both exclusive.
    created_after: datetime | None = None
    created_before: datetime | None = None
    # Part of the title or the id, without regard to case.
    q: str | None = None

    def holds(self, record: TaskRecord) -> bool:
        """Whether the task is in the list; the rule that SQL follows too."""
        return (
            record.tenant == self.tenant
            and self.owner in (None, record.owner)
            and self.status in (None, record.status)
            and self.kind in (None, record.kind)
            and (self.tag is None or self.tag in record.tags)
            and (self.created_after is None or record.created_at > self.created_after)
            and (self.created_before is None or record.created_at < self.created_before)
            and (
                self.q is None
                or self.q.casefold() in (record.title or "").casefold()
                or self.q.casefold() in record.task_id.casefold()
            )
        )


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Tasks, newest first."""

    records: Sequence[TaskRecord]
    # Opaque; None at the end of the list.
    next: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pending task, as the runner's queues need it."""

    task_id: str
    kind: str
    priority: int
    # Not before this time; None means at once.
    run_at: datetime | None = None
    tenant: str = ""
    owner: str = ""

    @staticmethod
    def of(record: TaskRecord) -> Waiting:
        """What the queues need of a record."""
        return Waiting(
            task_id=record.task_id,
            kind=record.kind,
            priority=record.priority,
            run_at=record.run_at,
            tenant=record.tenant,
            owner=record.owner,
        )


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """How much there is."""

    tasks: int
    # Logged ones.
    events: int
    # What is in use; without the files beside the store.
    bytes: int
    # What `shrink` would give back.
    unused_bytes: int


Announcement = LoggedEvent | VolatileEvent | TaskDeleted
"""What listeners are told of."""

CommitListener = Callable[[Sequence[Announcement]], None]
"""Is told of what was committed or published. Must not block, await or raise."""

ChangeListener = Callable[[Sequence[Change], Mark], None]
"""Is told which tasks changed, and the mark that covers it. Must not block, await or raise."""


class Store(ABC):
    """Truth about tasks and their logs.

    One store object is used from one event loop. Its methods may be called from any task of that
    loop, at any time between `open` and `close`.
    """

    epoch: str
    """Minted when the store is opened; stored with every event it appends."""

    @abstractmethod
    async def open(self) -> None:
        """Make the store usable.

        Raises `StoreLocked` when another process has it open, and `StoreUnavailable` when it
        cannot be read or was written by a newer version.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish the writes that were begun, then let go. Later calls raise `StoreUnavailable`."""

    @abstractmethod
    def listen(self, listener: CommitListener) -> None:
        """Tell `listener` of every event of this store from now on.

        Logged events and deletions are told once each, after their commit and before the call's
        future is done, in the order in which they took effect; volatile events when they are
        published. The call is made on the event loop.
        """

    @abstractmethod
    def follow(self, follower: ChangeListener) -> None:
        """Tell `follower` of every task whose summary changed, from now on.

        It gets the newest state of each task that a commit or a publication changed, once per
        commit, in the order in which they took effect, with the `mark` as it is from then on. The
        call is made on the event loop.
        """

    @property
    @abstractmethod
    def mark(self) -> Mark:
        """Where the changes stand: everything up to it has taken effect, and can be read."""

    @abstractmethod
    async def changes(self, where: FeedFilter, *, after: str | None, limit: int) -> ChangePage:
        """The tasks of a feed that changed after a cursor, in their newest states.

        Without `after`: the pending and running tasks, newest first, and then, page by page, what
        has changed since. A cursor is the text of a page's `cursor`, or of any `Cursor` made of a
        `mark`; it survives restarts. One that cannot be followed is answered as if there were
        none, with `reset`: of another store, of a history that was cut short (power loss, an
        older copy put back), from before a deletion that was forgotten, or no cursor at all.

        Every task is told, in its newest state or a later one, whose summary changed after the
        cursor; deleted ones as tombstones. What changed long ago comes first.
        """

    @abstractmethod
    def write(self, task_id: str, decide: Decide, *, synced: bool = False) -> Future[Commit]:
        """Let `decide` act on the newest state of the task, and commit what it says.

        Checking, giving seqs, appending and changing the record are one transaction: all of it
        takes effect or nothing. Calls take effect in the order in which they were made. Writes
        that wait are committed together: soon, and within milliseconds where others come too.

        The future gives the `Commit`; or what `decide` raised; or `ValueError` or `TypeError` for
        a record that cannot be stored, or that is not what the task was created with (id, tenant,
        owner, kind, `created_at`, tags, uploads); or `StoreUnavailable` when the commit failed.
        When it is done, the commit survives the end of this process; with `synced` also power loss.
        Cancelling the future, or who awaits it, does not undo the write.

        The decision's notes are entries of the audit trail, of the same transaction.

        A write that raises the attempt drops the volatile events of the older ones. One that
        would create a task under the id of a deleted one raises `task_id_taken`.
        """

    @abstractmethod
    def append(self, append: Append) -> None:
        """Append an event of a running attempt: as `write` of `lifecycle.report`, in its order.

        In place of a future `append` is told: `committed` after the listeners, or `refused` with
        what the future would have raised (`asyncio.CancelledError` where it would have been
        cancelled), once, on the event loop.
        """

    @abstractmethod
    def create(
        self,
        records: Sequence[TaskRecord],
        *,
        key: IdempotencyKey | None = None,
        limits: Mapping[str, int] = NO_LIMITS,
    ) -> Future[Created]:
        """Create all of the tasks, 1 to `MAX_CREATED_TASKS`, or none; synced, as `write` is.

        Creations take their place in the order of the writes; the tasks' own order of creation is
        that of `records`. An id that a task has or had, or that stands in `records` twice, fails
        the whole with `task_id_taken`.

        A `key` is committed with the tasks and forgotten `KEY_LIFETIME` later. Until then the same
        key with the same `body_hash` creates nothing and gives the tasks of the first call as
        they are now; with another one it raises `idempotency_conflict`. A creation that failed
        leaves no key.

        `limits` says of some kinds how many of their tasks, of all tenants, may be pending: a
        creation that would make them more raises `QueueFull`, unless its key makes it the
        repetition of an earlier one. Raises `ValueError` at once for no tasks or too many, and for
        texts that have no UTF-8 form.

        The uploads of the records are in use from then on. One that does not exist for the
        record's owner, or has expired, fails the whole with `invalid_params`.
        """

    @abstractmethod
    async def created_under(self, key: IdempotencyKey) -> Created | None:
        """What a creation with this key gives that repeats an earlier one; None: none came before.

        Raises `idempotency_conflict` as `create` does.
        """

    @abstractmethod
    def delete(self, task_id: str, decide: Decide) -> Future[TaskRecord]:
        """Remove a task with its events, tags and volatile events, synced, as `write` is.

        `decide` raises unless the task may be deleted; of what it returns the notes alone count,
        which outlive the task in the audit trail. The future gives the record as it was, or what
        `decide` raised, or `NotFound`. Deletions take their
        place in the order of the writes. From then on the task does not exist, and its id is never
        given again; nor do the uploads exist that no other task uses.
        """

    @abstractmethod
    def publish(self, task_id: str, attempt: int, event: NewEvent) -> VolatileEvent | None:
        """Give a volatile event its rev, keep it as the newest of its type, tell listeners.

        Returns None, and does nothing, when the attempt is not the task's present one or is over
        (the fence), for a `queue` event when the task does not wait, and for a `preview` when it
        does not run. Raises `payload_too_large`. What is kept reaches the disk within about a
        second, or with the next write; a `preview` never does.
        """

    @abstractmethod
    async def get(self, task_id: str) -> TaskRecord | None:
        """The task with its newest volatile events and its head, as of one moment.

        Volatile events, here and wherever they are read, are those of the present attempt; the
        `queue` event is among them while the task waits, the `preview` while it runs.
        """

    @abstractmethod
    async def was_deleted(self, task_id: str, *, tenant: str, owner: str) -> bool:
        """Whether that owner had a task with this id, which was deleted."""

    @abstractmethod
    async def read(
        self, task_id: str, after: Position, limit: int, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> LogPage:
        """The logged events after a position, in order, at most `limit`.

        A page ends with the event that brings its bodies to `max_bytes` or beyond.

        Raises `NotFound` for an unknown task, and `PositionGone` when the position is not valid:
        seq 0 always is; a position with an epoch is valid if, and only if, the stored event at
        that seq has it; a bare seq is, if an event is stored there or the log begins right after
        it.
        """

    @abstractmethod
    async def read_type(self, task_id: str, event_type: EventType) -> Sequence[LoggedEvent]:
        """All stored events of one logged type, in order; raises `NotFound` for an unknown task.

        Of a trimmed log what was retained, and all of its `artifact` events.
        For the types of which a task has few (`artifact`, `checkpoint`): there is no limit.
        """

    @abstractmethod
    async def tasks(self, where: TaskFilter, *, limit: int, after: str | None = None) -> TaskPage:
        """A page of tasks, newest first; `after` is a page's `next`.

        Raises `invalid_request` for an `after` that no page gave. Volatile events are those of
        the moment, events committed while the pages are followed do not shift them.
        """

    @abstractmethod
    async def missing(self, task_ids: Collection[str]) -> Collection[str]:
        """Those of the ids that no task has (any more)."""

    @abstractmethod
    async def waiting(self) -> Sequence[Waiting]:
        """All pending tasks: higher priority first, then in the order of their creation."""

    @abstractmethod
    async def abandoned(self) -> Sequence[TaskRecord]:
        """Running tasks whose runner is not this store's epoch, in the order of their creation.

        Those of producers outside the server are among them.
        """

    @abstractmethod
    async def interrupted(self, kinds: Collection[str]) -> Sequence[TaskRecord]:
        """Interrupted tasks of these kinds, in the order of their creation."""

    @abstractmethod
    async def ended(self, kind: str, *, limit: int) -> Sequence[TaskRecord]:
        """The newest tasks of a kind that completed or failed, newest end first.

        Of all tenants and owners.
        """

    @abstractmethod
    async def finished(
        self,
        *,
        before: datetime | None = None,
        kind: str | None = None,
        after: FinishedTask | None = None,
        limit: int,
    ) -> Sequence[FinishedTask]:
        """Tasks that are over for good, of all tenants, newest `finished_at` first.

        Interrupted ones, which may be gone on with, are not among them. Of those with one
        `finished_at` the last created is first. `before` is exclusive; None means: any. With
        `after`, those that follow it, whatever has become of it since.
        """

    @abstractmethod
    def trim(self, task_id: str, decide: Decide, *, keep_last: int = 1) -> Future[int]:
        """Remove a task's logged events but the last `keep_last`; synced, as `write` is.

        `decide` raises unless the log may be trimmed; what it returns is ignored. The future gives
        the bytes of the bodies that went, 0 when there were none to remove; or what `decide`
        raised, or `NotFound`. Positions before the first retained event are gone from then on, and
        `START` means the log from there. `read_type` goes on to give the `artifact` events, whose
        files stay; they count as removed all the same. Raises `ValueError` at once for a
        `keep_last` below 1.
        """

    @abstractmethod
    def note(self, entry: AuditEntry, *, synced: bool = True) -> Future[None]:
        """Add an entry to the audit trail by itself; committed, as `write` is, when it is done.

        Nothing changes an entry, and only `forget_audit` removes any. The future raises
        `ValueError` for a text that has no UTF-8 form.
        """

    @abstractmethod
    async def audit(
        self, where: AuditFilter, *, before: AuditPlace | None = None, limit: int
    ) -> Sequence[PlacedEntry]:
        """Entries of the audit trail, newest first, at most `limit`.

        With `before`, those that stand before that place, whatever is added meanwhile. Of entries
        of one moment the last noted is first.
        """

    @abstractmethod
    def forget_audit(self, before: datetime) -> Future[int]:
        """Remove entries of all tenants that are older, the oldest `MAX_FORGOTTEN_ENTRIES` at most.

        The future gives how many went.
        """

    @abstractmethod
    def deliver(self, task_id: str, states: Sequence[DeliveryState]) -> Future[None]:
        """Keep how far the webhooks of a task have come, one state for each of them.

        Takes its place in the order of the writes; committed, as `write` is, when it is done. The
        future raises `NotFound` for an unknown task.
        """

    @abstractmethod
    async def hooked(self, task_id: str) -> Hooked | None:
        """The webhooks of a task, and how far they have come; None when there is no such task."""

    @abstractmethod
    async def undelivered(self) -> Sequence[Hooked]:
        """Tasks with webhooks of which something is left to deliver, or will be.

        In the order of their creation: those that are not over, or have a webhook that is behind
        the head of the log and not gone.
        """

    @abstractmethod
    def keep_upload(self, upload: KeptUpload) -> Future[None]:
        """Add a file that no task uses so far, whose content is kept already; synced, as `write`.

        The future raises `ValueError` for an id that is taken, and for a text without UTF-8 form.
        """

    @abstractmethod
    async def uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        """Those of the uploads that exist, by their ids; expired ones are among them."""

    @abstractmethod
    async def held_uploads(self, tenant: str, owner: str) -> HeldUploads:
        """How much an owner has, with what has expired."""

    @abstractmethod
    async def expired_uploads(self, now: datetime, *, limit: int) -> Sequence[str]:
        """Uploads that no task uses and whose time is over, oldest first."""

    @abstractmethod
    def forget_uploads(self, upload_ids: Collection[str]) -> Future[Collection[str]]:
        """Remove those of the uploads that no task uses; synced, as `write` is.

        The future gives those of the ids that name nothing (any more): what was kept for them can
        go.
        """

    @abstractmethod
    async def usage(self) -> StoreUsage:
        """How much there is, as of one moment."""

    @abstractmethod
    async def shrink(self) -> None:
        """Give back to the system what deleted and trimmed logs took.

        Done in small parts between the commits. The file itself is shorter when the readers of
        that moment are done. Raises `StoreUnavailable` when it fails.
        """

    @abstractmethod
    async def daily(self, where: TaskFilter, days: int) -> Sequence[DayStats]:
        """The statistics of the last `days` days, today included (UTC, the store's clock).

        By day, oldest first, then by kind; without those on which no task ended.
        """

    @abstractmethod
    async def probe(self) -> None:
        """Commit something small, synced; raises `StoreUnavailable` when that fails."""
