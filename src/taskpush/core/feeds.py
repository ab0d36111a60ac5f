"""What a feed tells next: each task once in its newest state, so many a second, none forgotten."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from taskpush.models.feed import Change, How, Mark, Tombstone
from taskpush.models.task import TaskRecord

MAX_WAITING: Final = 20_000
"""Tasks whose states one feed keeps to tell; beyond that its watchers read the store."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a feed tells: at most `batch` states every `interval_s`."""

    interval_s: float = 0.2
    batch: int = 50

    def due_in(self, told_at: float | None, now: float) -> float:
        """Seconds until the next batch; `told_at` is when the last one was told, if any was."""
        return 0.0 if told_at is None else max(0.0, told_at + self.interval_s - now)


@dataclass(frozen=True, slots=True)
class Told:
    """A state that is due, and the mark up to which everything is told with it."""

    task: TaskRecord | Tombstone
    created: bool
    mark: Mark


@dataclass(slots=True)
class _Waiting:
    task: TaskRecord | Tombstone
    # Whether the task was created since it was told last.
    created: bool
    # Where its line stood before the first change that was not told.
    since: int


class Agenda:
    """The tasks of a feed that changed since they were told.

    Two lines, each first come, first served, so that a task that changes all the time waits no
    longer than others: what was written goes first, but what was stirred gets its share.
    """

    def __init__(self) -> None:
        self._written: OrderedDict[str, _Waiting] = OrderedDict()
        self._stirred: OrderedDict[str, _Waiting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._written) + len(self._stirred)

    @property
    def is_full(self) -> bool:
        """Whether its watchers had better read the store."""
        return len(self) > MAX_WAITING

    def note(self, change: Change, before: Mark) -> None:
        """The task changed, which `before` did not cover."""
        task_id = change.task.task_id
        waiting = self._written.get(task_id)
        if waiting is not None:
            waiting.task = change.task
        elif change.how is How.STIRRED:
            waiting = self._stirred.get(task_id)
            if waiting is None:
                self._stirred[task_id] = _Waiting(change.task, False, before.stirred)
            else:
                waiting.task = change.task
        else:
            # A reader who goes on from before this write is told of the stir with it.
            self._stirred.pop(task_id, None)
            created = change.how is How.CREATED
            self._written[task_id] = _Waiting(change.task, created, before.written)

    def take(self, limit: int, now: Mark) -> list[Told]:
        """Take out what is told next, at most `limit`; `now` covers every change so far."""
        stirred = min(len(self._stirred), max(limit // 4, limit - len(self._written)))
        written = min(len(self._written), limit - stirred)
        return [
            *(self._pop(self._written, now) for _ in range(written)),
            *(self._pop(self._stirred, now) for _ in range(stirred)),
        ]

    def clear(self) -> None:
        """Forget it all."""
        self._written.clear()
        self._stirred.clear()

    def _pop(self, line: OrderedDict[str, _Waiting], now: Mark) -> Told:
        _, waiting = line.popitem(last=False)
        mark = Mark(
            now.epoch,
            written=_since(self._written, now.written),
            stirred=_since(self._stirred, now.stirred),
        )
        return Told(waiting.task, waiting.created, mark)


def _since(line: OrderedDict[str, _Waiting], now: int) -> int:
    return next(iter(line.values())).since if line else now
