"""Feeds: sets of tasks that can be subscribed to; what changes in them, and since when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from taskpush.models.commands import NAME
from taskpush.models.task import Summary, TaskRecord

FeedName = Annotated[str, StringConstraints(pattern=rf"^(all|owner:me|(kind|tag):{NAME})$")]
"""`all`, `kind:NAME`, `tag:NAME` or `owner:me`."""
QUEUE_FEED: Final = "queue"
"""What the queues are watched by, as the feeds are by their names."""
WatchedFeed = Annotated[
    str, StringConstraints(pattern=rf"^(all|owner:me|queue|(kind|tag):{NAME})$")
]
"""A feed, or `queue`."""
CursorText = Annotated[str, Field(max_length=200)]
"""A cursor as clients keep it. Any text will do: one that is none is unknown."""


_TEXT: Final = re.compile(
    r"([0-9a-z]{1,32})\.(0|[1-9a-f][0-9a-f]{0,14})\.(0|[1-9a-f][0-9a-f]{0,14})"
    r"(?:\.([1-9a-f][0-9a-f]{0,14}))?"
)


class Born(Protocol):
    """What a task was created with, as far as it decides which feeds it is in."""

    @property
    def tenant(self) -> str: ...

    @property
    def owner(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def tags(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """Which tasks a feed holds. None means: any.

    Only what a task was created with decides, so that no task moves from feed to feed.
    """

    tenant: str
    # None means every owner's (for those who may).
    owner: str | None = None
    kind: str | None = None
    tag: str | None = None

    def holds(self, task: Born) -> bool:
        """Whether the task is in the feed."""
        return (
            task.tenant == self.tenant
            and self.owner in (None, task.owner)
            and self.kind in (None, task.kind)
            and (self.tag is None or self.tag in task.tags)
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in the history of a store, as the process with this epoch counts it."""

    epoch: str
    written: int
    stirred: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader of changes has come: everything up to `mark` is known to it.

    It counts what everybody does: readers are given it sealed.
    """

    mark: Mark
    # None unless the list of active tasks is still being read: to come are those that were
    # created before this place in the order of creation.
    before: int | None = None

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read a cursor's text form; None for what is none."""
        match = _TEXT.fullmatch(text)
        if match is None:
            return None
        before = int(match[4], 16) if match[4] else None
        return cls(Mark(match[1], int(match[2], 16), int(match[3], 16)), before)

    def __str__(self) -> str:
        mark = self.mark
        listing = "" if self.before is None else f".{self.before:x}"
        return f"{mark.epoch}.{mark.written:x}.{mark.stirred:x}{listing}"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a deleted task: enough to tell the feeds that it was in."""

    task_id: str
    tenant: str
    owner: str
    kind: str
    tags: tuple[str, ...]
    # Its place in the line `written`.
    changed: int


class How(StrEnum):
    """In which way a task changed."""

    CREATED = "created"
    WRITTEN = "written"
    # Its record is as it was, but not what is shown of its log or its volatile events.
    STIRRED = "stirred"
    DELETED = "deleted"


class Change(NamedTuple):
    """A change that took effect, and the newest state it led to."""

    how: How
    # A tombstone when, and only when, it was deleted.
    task: TaskRecord | Tombstone


class SubscribeFeed(BaseModel):
    """Payload of `subscribe` for a feed, or `queue`; `after` None means its active tasks."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    feed: WatchedFeed
    after: CursorText | None = None


class UnsubscribeFeed(BaseModel):
    """Payload of `unsubscribe` for a feed, or `queue`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    feed: WatchedFeed


class DeletedTask(BaseModel):
    """What a feed says of a task that was deleted."""

    task_id: str
    deleted: Literal[True]


class FeedPage(BaseModel):
    """The newest states of tasks of a feed, and where to go on."""

    tasks: list[Summary | DeletedTask] = Field(description="Each task once.")
    cursor: str = Field(description="What to give as `after` next; opaque.")
    reset: bool = Field(
        description="The cursor that was given is unknown: `tasks` begins the list of active tasks"
        " anew, in the place of everything known before."
    )
    more: bool = Field(description="There is more at once: ask again with `cursor`.")
