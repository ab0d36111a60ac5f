"""Who is connected, and what they watch: `GET /api/connections`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field


class WatchDoor(StrEnum):
    """A way to watch that holds a connection."""

    SOCKETIO = "socketio"
    SSE = "sse"
    LONG_POLL = "long_poll"


Transport = Literal["websocket", "polling", "stream"]
"""What carries it: a stream is an answer over HTTP that goes on."""


class WatchState(StrEnum):
    """How far a subscription is."""

    # What is committed is sent at once.
    LIVE = "live"
    # The log or the list is read from the store first.
    BEHIND = "behind"
    # The task does not exist for whoever watches it, so far.
    PENDING = "pending"
    # A long poll, which is answered with whatever comes next.
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Watched:
    """A task or a feed that a connection watches."""

    state: WatchState
    task_id: Annotated[str | None, Field(description="Null for a feed.")] = None
    feed: Annotated[str | None, Field(description="Null for a task.")] = None
    seq: Annotated[
        int | None,
        Field(description="The last logged event that was put on its way; null for a feed."),
    ] = None
    lag_events: Annotated[
        int | None,
        Field(
            description="So many logged events at least were committed after `seq` while it is"
            " behind; null for a feed, a long poll, and a task that does not exist so far."
        ),
    ] = None
    previews: bool = False


@dataclass(frozen=True, slots=True)
class WatchingConnection:
    """One connection. Nothing secret is in it, and nothing of the tasks but their ids."""

    connection_id: str
    owner: str
    credential: Annotated[
        str,
        Field(
            description="What was shown: `key:ID`, `token:ID`, `jwt`, `hook`, `none` while no"
            " access is configured."
        ),
    ]
    address: Annotated[str | None, Field(description="Where it came from; null off the network.")]
    door: WatchDoor
    transport: Transport
    since: datetime
    watches: Annotated[
        list[Watched],
        Field(description="The first 20, tasks before feeds; with `task_id`, that task."),
    ]
    subscriptions: Annotated[int, Field(description="How many there are in all.")]
    backlog_bytes: Annotated[int, Field(description="What was sent to it and not taken by it.")]
    stalled_seconds: Annotated[
        float | None,
        Field(description="For how long it has taken nothing; null while nothing waits for it."),
    ]
