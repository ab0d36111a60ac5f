"""One watch of one feed, as a value: what arrives goes in, what the application sees comes out.

No I/O, no clock. What the application has not taken yet is merged: of each task it gets the newest
state only, and what waits is never more than the feed has tasks. Source of the rules: protocol
section 2, "Feeds".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from taskpush.client.errors import BadAnswer, ClientError, RequestRefused
from taskpush.client.session import MAX_TRIES, Subscribe, is_passing
from taskpush.client.task import Task
from taskpush.models.feed import QUEUE_FEED

FEED_EVENTS: Final = ("active_tasks", "task_created", "feed_update")


@dataclass(frozen=True, slots=True)
class FeedChange:
    """The newest state of one task of a feed."""

    feed: str
    task_id: str
    # None when the task was deleted.
    task: Task | None
    # Gives what follows, also to another program on another day; None until the first time that
    # the application had taken everything.
    cursor: str | None


@dataclass(frozen=True, slots=True)
class FeedReset:
    """The server cannot say what changed: forget what the feed told, its active tasks follow."""

    feed: str


FeedItem = FeedChange | FeedReset


class FeedSession:
    """The state of one watch of a feed across any number of links; it is over only by failing."""

    def __init__(self, feed: str, *, after: str | None = None) -> None:
        self.feed = feed
        # Why the watch ended; None while it goes on.
        self.failure: ClientError | None = None
        if feed == QUEUE_FEED:
            detail = "the queues are watched by that name, and tasks are not"
            self.fail(RequestRefused("invalid_request", detail=detail))
        # Newest that arrived; None until something did.
        self._cursor = after
        # Everything up to here was taken.
        self._taken = after
        # By task id, in the order in which they began to wait; None for a deleted one.
        self._waiting: dict[str, Task | None] = {}
        self._reset_due = False
        self._linked = False
        self._number = 0
        self._asked = False
        self._answered = False
        self._refusals = 0

    @property
    def key(self) -> str:
        """What its events are found by on a connection."""
        return self.feed

    @property
    def farewell(self) -> dict[str, Any]:
        """Payload of `unsubscribe`."""
        return {"feed": self.feed}

    @property
    def subscription(self) -> dict[str, Any]:
        """Payload of `subscribe`, as things are."""
        if self._cursor is None:
            return {"feed": self.feed}
        return {"feed": self.feed, "after": self._cursor}

    @property
    def over(self) -> bool:
        """Whether nothing more will arrive."""
        return self.failure is not None

    # ------------------------------------------------------------ out

    def take(self) -> FeedItem | None:
        """The next item for the application; None when there is none yet."""
        if self._reset_due:
            self._reset_due = False
            return FeedReset(self.feed)
        if not self._waiting:
            return None
        task_id = next(iter(self._waiting))
        task = self._waiting.pop(task_id)
        if not self._waiting:
            self._taken = self._cursor
        return FeedChange(self.feed, task_id, task, self._taken)

    def next_request(self) -> Subscribe | None:
        """What has to be sent now, once; None when nothing has."""
        if not self._linked or self._asked or self.over:
            return None
        self._asked = True
        self._number += 1
        return Subscribe(self._number, self.subscription, self._refusals)

    def awaits(self, number: int) -> bool:
        """Whether the answer to that request is still missing."""
        return self._asked and not self._answered and self._number == number

    # ------------------------------------------------------------ the link

    def link_up(self) -> None:
        """A link is there."""
        self._linked = True

    def link_down(self) -> None:
        """The link is gone, and what was asked over it with it."""
        self._linked = self._asked = self._answered = False

    # ------------------------------------------------------------ in

    def answered(self, number: int, answer: object) -> None:
        """The server answered request `number`."""
        if not self.awaits(number):
            return
        if not isinstance(answer, dict):
            self.fail(BadAnswer("the server answered subscribe with something else"))
        elif answer.get("ok") is not True:
            self._refuse(str(answer.get("code")), str(answer.get("message") or ""))
        else:
            self._answered = True
            self._refusals = 0

    def receive(self, name: str, payload: dict[str, Any]) -> None:
        """An event of this feed arrived."""
        # Before the answer comes what an earlier subscription is still told.
        if not self._answered or name not in FEED_EVENTS:
            return
        try:
            if name == "active_tasks":
                self._take_list(payload)
            else:
                self._note(payload.get("task"))
        except BadAnswer as error:
            self.fail(error)
            return
        if isinstance(payload.get("cursor"), str):
            self._cursor = payload["cursor"]

    def fail(self, error: ClientError) -> None:
        """End the watch, unless it is over."""
        if self.failure is None:
            self.failure = error

    # ------------------------------------------------------------ how

    def _take_list(self, payload: dict[str, Any]) -> None:
        tasks = payload.get("tasks")
        if not isinstance(tasks, list):
            raise BadAnswer(f"the server sent a list of tasks that is none: {tasks!r:.80}")
        if payload.get("reset") is True:
            self._waiting.clear()
            self._taken = None
            self._reset_due = True
        for fields in tasks:
            self._note(fields)

    def _note(self, fields: object) -> None:
        task = Task(fields)
        # A task that waits keeps its place.
        self._waiting[task.task_id] = None if task.get("deleted") is True else task

    def _refuse(self, code: str, message: str) -> None:
        self._refusals += 1
        if is_passing(code) and self._refusals < MAX_TRIES:
            self._asked = False
        else:
            self.fail(RequestRefused(code, detail=message))
