"""Which finished tasks are kept, and which of them with their whole log.

Tasks are judged from the newest end to the oldest, so what stays is always the newest: once one
does not fit a limit, nothing older does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

SHRINK_AT_BYTES: Final = 32 * 1024 * 1024
SHRINK_AT_SHARE: Final = 0.2
"""A file is shortened when both are unused: new tasks would fill a smaller hole soon anyway, and
some twenty megabytes are what recent events take and leave, again and again."""


class Fate(Enum):
    """What becomes of a finished task."""

    KEEP = auto()
    # Its logged events go but the last one; the record, the result and the files stay.
    TRIM = auto()
    # It goes, with its files.
    DELETE = auto()


@dataclass(frozen=True, slots=True)
class FinishedTask:
    """A task that is over for good, as retention needs it."""

    task_id: str
    kind: str
    # Its place in the order of creation.
    order: int
    # The one that ended: what is done to the task is fenced by it.
    attempt: int
    finished_at: datetime
    # How many logged events there are: 1 in a trimmed log.
    events: int
    # What the bodies of its logged events take, and of that the last one.
    log_bytes: int
    last_event_bytes: int
    # What the record takes, with params and result, and the files that it was created with.
    record_bytes: int
    # What its files take; 0 as long as nobody has looked.
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept; None: without limit. Raises `ValueError` for what is no limit."""

    # Since the task's end.
    max_age: timedelta | None = None
    max_count: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.max_age is not None and self.max_age < timedelta(0):
            raise ValueError("Keep: max_age is not negative")
        for name in ("max_count", "max_bytes"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 0):
                raise ValueError(f"Keep: {name} is an integer, not negative")

    @property
    def limits_amount(self) -> bool:
        """Whether it depends on the other tasks what is kept."""
        return self.max_count is not None or self.max_bytes is not None

    @property
    def is_unlimited(self) -> bool:
        return self.max_age is None and not self.limits_amount

    def is_outlived(self, age: timedelta) -> bool:
        """Whether something of this age is too old."""
        return self.max_age is not None and age > self.max_age

    def has_room(self, count: int, size_bytes: int) -> bool:
        """Whether so much may be kept."""
        return (self.max_count is None or count <= self.max_count) and (
            self.max_bytes is None or size_bytes <= self.max_bytes
        )


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of finished tasks: everything, unless limits are given.

    Beyond the limits of `tasks` a task is deleted, with its log and its files; beyond those of
    `logs` its log is trimmed to its last event. A size is, for a log, that of its events; for a
    task that of its record, its log and its files.
    """

    tasks: Keep = Keep()
    logs: Keep = Keep()
    # Limits of count and size leave a task alone for so long after its end: whoever waits for its
    # result gets it, however many end at once.
    spare: timedelta = timedelta(hours=1)

    @property
    def is_unlimited(self) -> bool:
        return self.tasks.is_unlimited and self.logs.is_unlimited


@dataclass(slots=True)
class _Scope:
    """The tasks that share one retention: what was kept of the newer ones."""

    retention: Retention
    tasks: int = 0
    task_bytes: int = 0
    logs: int = 0
    log_bytes: int = 0
    # Once something did not fit, nothing older is kept.
    tasks_full: bool = False
    logs_full: bool = False

    def judge(self, task: FinishedTask, now: datetime) -> Fate:
        age = now - task.finished_at
        spared = age < self.retention.spare
        trims = task.events > 1 and self._trims(task, age, spared=spared)
        log_bytes = task.last_event_bytes if trims else task.log_bytes
        size_bytes = task.record_bytes + task.file_bytes + log_bytes
        if self._deletes(size_bytes, age, spared=spared):
            return Fate.DELETE
        self.tasks += 1
        self.task_bytes += size_bytes
        if trims:
            return Fate.TRIM
        if task.events > 1:
            self.logs += 1
            self.log_bytes += task.log_bytes
        return Fate.KEEP

    def _trims(self, task: FinishedTask, age: timedelta, *, spared: bool) -> bool:
        keep = self.retention.logs
        fits = keep.has_room(self.logs + 1, self.log_bytes + task.log_bytes)
        self.logs_full = self.logs_full or not (spared or fits)
        return self.logs_full or keep.is_outlived(age)

    def _deletes(self, size_bytes: int, age: timedelta, *, spared: bool) -> bool:
        keep = self.retention.tasks
        fits = keep.has_room(self.tasks + 1, self.task_bytes + size_bytes)
        self.tasks_full = self.tasks_full or not (spared or fits)
        return self.tasks_full or keep.is_outlived(age)


@dataclass(slots=True)
class Judge:
    """Says of each finished task what becomes of it; they come newest end first, each once.

    A kind with a retention of its own is judged by that, and counted by itself; all others share
    `retention`.
    """

    now: datetime
    retention: Retention = Retention()
    of_kinds: Mapping[str, Retention] = field(default_factory=dict)
    _shared: _Scope = field(init=False)
    _scopes: dict[str, _Scope] = field(init=False)

    def __post_init__(self) -> None:
        self._shared = _Scope(self.retention)
        self._scopes = {kind: _Scope(retention) for kind, retention in self.of_kinds.items()}

    def judge(self, task: FinishedTask) -> Fate:
        """What becomes of the next older task."""
        return self._scopes.get(task.kind, self._shared).judge(task, self.now)

    @property
    def keeps_everything(self) -> bool:
        """Whether nobody needs to be asked about."""
        return all(retention.is_unlimited for retention in self._retentions())

    @property
    def counts_files(self) -> bool:
        """Whether it must be told what the tasks' files take."""
        return any(each.tasks.max_bytes is not None for each in self._retentions())

    @property
    def horizon(self) -> datetime | None:
        """Tasks that ended then or later are kept whatever they are; None: each must be judged."""
        keeps = [keep for each in self._retentions() for keep in (each.tasks, each.logs)]
        ages = [keep.max_age for keep in keeps if keep.max_age is not None]
        return self.now - min(ages) if ages and not any(k.limits_amount for k in keeps) else None

    def _retentions(self) -> list[Retention]:
        return [self.retention, *self.of_kinds.values()]


def pays_to_shrink(used_bytes: int, unused_bytes: int) -> bool:
    """Whether a file with so much unused space is worth the work of making it shorter."""
    share = unused_bytes / max(1, used_bytes + unused_bytes)
    return unused_bytes >= SHRINK_AT_BYTES and share >= SHRINK_AT_SHARE
