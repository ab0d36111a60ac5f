"""What a server says over Socket.IO and in streams, beside the envelope. Protocol section 2.

The published schemas come from these models. What is sent is put together where it is sent, and
the tests hold it against them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel

from taskpush.errors import CODES
from taskpush.models.events import Envelope
from taskpush.models.feed import DeletedTask, FeedName, WatchedFeed
from taskpush.models.pages import Limits
from taskpush.models.position import WirePosition
from taskpush.models.queue import KindQueue
from taskpush.models.task import Snapshot, Summary


class Said(BaseModel):
    """Base: a field with a default may be left out."""

    model_config = ConfigDict(frozen=True)


class ErrorCode(RootModel[str]):
    """What went wrong, for programs. Later versions may know more of them."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"enum": list(CODES)})


class TaskUpdate(RootModel[Envelope]):
    """`task_update`: an event of a task, told apart by `event_type`."""


class ConnectionLimits(Limits):
    """The limits, with how much may wait for a connection that does not keep up."""

    outbox_bytes: int = Field(description="For this connection.")
    outboxes_bytes: int = Field(description="For all connections together.")


class Connected(Said):
    """`connected`: the greeting."""

    message: str
    protocol: Literal[1]
    server_version: str
    connection_id: str
    limits: ConnectionLimits


class ConnectRefusedData(Said):
    """Why a connection of the namespace was refused."""

    code: ErrorCode
    retry_after_s: int | None = None


class ConnectRefused(Said):
    """Answer to CONNECT, which Socket.IO clients tell as `connect_error`."""

    message: str
    data: ConnectRefusedData


class TaskNamed(Said):
    """`subscribed` to a task, and `task_deleted`."""

    task_id: str


class FeedNamed(Said):
    """`subscribed` to a feed, or to `queue`."""

    feed: WatchedFeed


class Resync(Said):
    """`resync`: replace what you have with `snapshot`, and go on from `position`."""

    task_id: str
    reason: str = Field(description="Why the log cannot be continued, for people.")
    snapshot: Snapshot
    position: WirePosition = Field(description="The snapshot's.")
    oldest: int = Field(description="The first seq that is still in the log.")


class ActiveTasks(Said):
    """`active_tasks`: the tasks of a feed, or what changed in it after a cursor."""

    feed: FeedName
    tasks: list[Summary | DeletedTask]
    cursor: str
    reset: bool = Field(description="Forget everything known of the feed first.")
    more: bool = Field(description="Another part follows.")


class FeedUpdate(Said):
    """`task_created` and `feed_update`: the newest state of one task of a feed."""

    feed: FeedName
    task: Summary | DeletedTask
    cursor: str


class QueueUpdate(Said):
    """`queue_update`: every kind's queue at first, then those that look different."""

    feed: Literal["queue"]
    queues: list[KindQueue] = Field(description="Each in the place of what was known of its kind.")


class ErrorMessage(Said):
    """`error`: what is wrong with a client's event, or why the connection ends."""

    code: ErrorCode
    message: str
    task_id: str | None = None
    retry_after_s: int | None = None


class Refusal(ErrorMessage):
    """Acknowledges an event that was refused; `error` says the same."""

    ok: Literal[False]


class TaskSubscribed(Said):
    """Acknowledges `subscribe` for a task."""

    ok: Literal[True]
    task_id: str
    mode: Literal["replay", "live", "resync", "pending"]
    position: WirePosition = Field(description="Where the following events start.")
    snapshot: Snapshot | None = Field(description="Null when the task does not exist yet.")


class FeedAcknowledged(Said):
    """Acknowledges `subscribe` and `unsubscribe` for a feed, or for `queue`."""

    ok: Literal[True]
    feed: WatchedFeed


class TaskUnsubscribed(Said):
    """Acknowledges `unsubscribe` for a task."""

    ok: Literal[True]
    task_id: str


class CancelAccepted(Said):
    """Acknowledges `cancel`."""

    ok: Literal[True]
    task_id: str
    snapshot: Snapshot


class Authenticated(Said):
    """Acknowledges `authenticate`."""

    ok: Literal[True]
    expires_at: AwareDatetime | None = Field(description="Null when it does not expire.")
