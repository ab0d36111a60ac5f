"""The port to the store: the only way to what is true about tasks.

Two adapters keep the promises written here, `memory` and `sqlite`; one contract suite
(`tests/store/contract.py`) tests these sentences on each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from taskpush.core.lifecycle import Decide
from taskpush.models.events import EventType, Status
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Commit:
    """What one write made true."""

    record: TaskRecord
    events: tuple[LoggedEvent, ...]


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


CommitListener = Callable[[Sequence[LoggedEvent | VolatileEvent]], None]
"""Is told of what was committed or published. Must not block, await or raise."""


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

        Logged events are told once each, after their commit and before the write's future is
        done, in the order of their seq; volatile ones when they are published. The call is made
        on the event loop.
        """

    @abstractmethod
    def write(self, task_id: str, decide: Decide, *, synced: bool = False) -> Future[Commit]:
        """Let `decide` act on the newest state of the task, and commit what it says.

        Checking, giving seqs, appending and changing the record are one transaction: all of it
        takes effect or nothing. Calls take effect in the order in which they were made. Writes
        that wait are committed together, as soon as the writer is idle.

        The future gives the `Commit`; or what `decide` raised; or `ValueError` or `TypeError` for
        a record that cannot be stored, or that is not what the task was created with (id, tenant,
        owner, kind, `created_at`, tags); or `StoreUnavailable` when the commit failed. When it is
        done, the commit survives the end of this process; with `synced` also power loss.
        Cancelling the future, or who awaits it, does not undo the write.
        """

    @abstractmethod
    def publish(self, task_id: str, attempt: int, event: NewEvent) -> VolatileEvent | None:
        """Give a volatile event its rev, keep it as the newest of its type, tell listeners.

        Returns None, and does nothing, when the attempt is not the task's present one or is over
        (the fence). Raises `payload_too_large`. What is kept reaches the disk within about a
        second, or with the next write.
        """

    @abstractmethod
    async def get(self, task_id: str) -> TaskRecord | None:
        """The task with its newest volatile events and its head, as of one moment."""

    @abstractmethod
    async def read(
        self, task_id: str, after: Position, limit: int, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> LogPage:
        """The logged events after a position, in order, at most `limit`.

        A page ends with the event that brings its bodies to `max_bytes` or beyond.

        Raises `NotFound` for an unknown task, and `PositionGone` when the position is not valid:
        seq 0 always is; a position with an epoch is valid if, and only if, the stored event at
        that seq has it; a bare seq is, if an event is stored there.
        """

    @abstractmethod
    async def read_type(self, task_id: str, event_type: EventType) -> Sequence[LoggedEvent]:
        """All stored events of one logged type, in order; raises `NotFound` for an unknown task.

        For the types of which a task has few (`artifact`, `checkpoint`): there is no limit.
        """

    @abstractmethod
    async def tasks(self, where: TaskFilter, *, limit: int, after: str | None = None) -> TaskPage:
        """A page of tasks, newest first; `after` is a page's `next`.

        Raises `invalid_request` for an `after` that no page gave. Volatile events are those of
        the moment, events committed while the pages are followed do not shift them.
        """

    @abstractmethod
    async def waiting(self) -> Sequence[Waiting]:
        """All pending tasks: higher priority first, then in the order of their creation."""

    @abstractmethod
    async def abandoned(self) -> Sequence[TaskRecord]:
        """Running tasks whose runner is not this store's epoch, in the order of their creation."""

    @abstractmethod
    async def probe(self) -> None:
        """Commit something small, synced; raises `StoreUnavailable` when that fails."""
