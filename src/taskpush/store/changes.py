"""What changed since when: marks and cursors, tombstones, and tasks that changed beside the disk.

Two lines are counted. `written` counts commits of records and deletions, in commit order; it is
kept with each task. `stirred` counts what moves a summary without its record being written (a
log's head, progress, a queue position), only in memory, so that such an event costs no write:
a task that is neither pending nor running has none that its last write does not cover, and after
a restart every task that ran is written anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from taskpush.models.feed import Born, Cursor, FeedFilter, Mark, Tombstone
from taskpush.models.task import TaskRecord

MAX_TOMBSTONES: Final = 10_000
"""Deletions that are remembered for feeds; a cursor from before the oldest is unknown."""
MAX_ERAS: Final = 1000
"""Openings of the store that are remembered; a cursor from before them is unknown."""


@dataclass(frozen=True, slots=True)
class ChangePage:
    """The newest states of tasks that changed after a cursor."""

    # Each task once.
    tasks: Sequence[TaskRecord | Tombstone]
    # Where the next page begins.
    cursor: Cursor
    # The cursor that was given is unknown: the pages from here on hold all active tasks anew.
    reset: bool
    # It comes up to the moment at which its reading began: nothing was left for the next page.
    end: bool
    # The same, but for what was stirred: of which there may always be more than fits.
    writes_end: bool


@dataclass(frozen=True, slots=True)
class History:
    """What an opened store knows of the time before."""

    # The newest number of the line `written`.
    written: int = 0
    # Deletions up to this number may have been forgotten.
    forgotten: int = 0
    # The numbers of the remembered deletions, oldest first.
    tombstones: Sequence[int] = ()
    # By the epoch of each opening before this one: the newest number that is left of it.
    eras: Mapping[str, int] = field(default_factory=dict)


class _Stir(NamedTuple):
    number: int
    born: Born


class _Birth(NamedTuple):
    tenant: str
    owner: str
    kind: str
    tags: tuple[str, ...]


class ChangeBook:
    """The two lines of one opened store, and which cursors they can be followed from."""

    def __init__(self, epoch: str, history: History) -> None:
        self._epoch = epoch
        self._eras = history.eras
        self._forgotten = history.forgotten
        self._tombstones = list(history.tombstones)
        self._written = history.written
        # Numbers of a batch that was not committed are not given again.
        self._given = history.written
        self._stirred = 0
        # By task id, in the order of their numbers.
        self._stirs: dict[str, _Stir] = {}

    @property
    def mark(self) -> Mark:
        """Everything that took effect so far."""
        return Mark(self._epoch, self._written, self._stirred)

    def next_written(self) -> int:
        """A number for a record or a deletion that is about to be committed."""
        self._given += 1
        return self._given

    def forgets_with(self, deletions: Sequence[Tombstone]) -> int | None:
        """Up to which number tombstones go when these are added; None when all fit."""
        excess = len(self._tombstones) + len(deletions) - MAX_TOMBSTONES
        if excess <= 0:
            return None
        return [*self._tombstones, *(gone.changed for gone in deletions)][excess - 1]

    def committed(self, newest: int, deletions: Sequence[Tombstone], forgotten: int | None) -> None:
        """Numbers up to `newest` are on disk, and those deletions among them."""
        self._written = max(self._written, newest)
        self._tombstones += [gone.changed for gone in deletions]
        if forgotten is not None:
            self._forgotten = forgotten
            del self._tombstones[: bisect_right(self._tombstones, forgotten)]

    def stir(self, record: TaskRecord) -> None:
        """The task's summary moved, but its record was not written."""
        self._stirred += 1
        stir = self._stirs.pop(record.task_id, None)
        # Not the record itself, whose params may be large.
        born = stir.born if stir else _Birth(record.tenant, record.owner, record.kind, record.tags)
        self._stirs[record.task_id] = _Stir(self._stirred, born)

    def settle(self, task_id: str, up_to: int) -> None:
        """The task is over or gone, and its last write covers its stirs up to a number."""
        stir = self._stirs.get(task_id)
        if stir is not None and stir.number <= up_to:
            del self._stirs[task_id]

    def stirs(
        self, where: FeedFilter, *, after: int, up_to: int, but_for: Collection[str]
    ) -> list[tuple[int, str]]:
        """The tasks of a feed that were last stirred within these numbers, in their order."""
        found = []
        for task_id in reversed(self._stirs):
            stir = self._stirs[task_id]
            if stir.number <= after:
                break
            if stir.number <= up_to and task_id not in but_for and where.holds(stir.born):
                found.append((stir.number, task_id))
        found.reverse()
        return found

    def knows(self, mark: Mark) -> bool:
        """Whether it can be said what changed after the mark.

        A number that is beyond what is left of its era belongs to a history that was cut short.
        """
        if mark.written < self._forgotten:
            return False
        if mark.epoch == self._epoch:
            return mark.written <= self._written and mark.stirred <= self._stirred
        return mark.written <= self._eras.get(mark.epoch, -1)


class ChangeSource(Protocol):
    """What an adapter is asked for; each answer is as of one moment after the call."""

    async def active_tasks(
        self, where: FeedFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, TaskRecord]]:
        """Pending and running tasks with their order of creation, newest first."""
        ...

    async def written_tasks(
        self, where: FeedFilter, after: int, limit: int
    ) -> Sequence[tuple[int, TaskRecord | Tombstone]]:
        """What was written after a number, with its own, in that order."""
        ...

    async def records(self, task_ids: Collection[str]) -> Iterable[TaskRecord]:
        """Those of the tasks that exist."""
        ...


async def read_changes(
    book: ChangeBook, source: ChangeSource, where: FeedFilter, *, after: str | None, limit: int
) -> ChangePage:
    """See `Store.changes`."""
    asked = Cursor.parse(after) if after is not None else None
    if asked is not None and book.knows(asked.mark):
        if asked.before is None:
            return await _changed_page(book, source, where, asked.mark, limit)
        return await _active_page(book, source, where, asked, limit)
    page = await _active_page(book, source, where, Cursor(book.mark), limit)
    return replace(page, reset=after is not None)


async def _active_page(
    book: ChangeBook, source: ChangeSource, where: FeedFilter, cursor: Cursor, limit: int
) -> ChangePage:
    now = book.mark
    found = await source.active_tasks(where, cursor.before, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    end = not more and now == cursor.mark
    return ChangePage(
        tasks=[record for _, record in page],
        # What happens to them meanwhile comes after the mark.
        cursor=Cursor(cursor.mark, page[-1][0] if more else None),
        reset=False,
        end=end,
        writes_end=end,
    )


async def _changed_page(
    book: ChangeBook, source: ChangeSource, where: FeedFilter, mark: Mark, limit: int
) -> ChangePage:
    now = book.mark
    known_stirs = mark.stirred if mark.epoch == now.epoch else 0
    written = await source.written_tasks(where, mark.written, limit + 1)
    if len(written) > limit:
        page = written[:limit]
        cursor = Cursor(Mark(now.epoch, page[-1][0], known_stirs))
        tasks = [task for _, task in page]
        return ChangePage(tasks, cursor, reset=False, end=False, writes_end=False)
    # What was stirred while that was read is left for the next page: it need not be in it.
    known = {task.task_id for _, task in written}
    stirs = book.stirs(where, after=known_stirs, up_to=now.stirred, but_for=known)
    room = limit - len(written)
    # Some of the latest too, when not all fit: those that are stirred all the time.
    late = room // 4 if len(stirs) > room else 0
    taken = stirs[: room - late]
    reached = taken[-1][0] if taken else known_stirs
    taken += stirs[len(stirs) - late :]
    records = await source.records([task_id for _, task_id in taken])
    # The answer may know of later commits than `now`.
    newest = max(now.written, written[-1][0]) if written else now.written
    end = len(stirs) <= room
    cursor = Cursor(Mark(now.epoch, newest, now.stirred if end else reached))
    return ChangePage(
        tasks=[*(task for _, task in written), *records],
        cursor=cursor,
        reset=False,
        end=end,
        writes_end=True,
    )
