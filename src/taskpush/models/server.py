"""How the server is: `GET /api/server`, and what `/metrics` is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """Who is connected. Sockets that have not said who they are count towards the limit only."""

    doors: Annotated[
        Mapping[str, int],
        Field(description="How many watch by `socketio`, `sse` and `long_poll`."),
    ]
    inside: Annotated[int, Field(description="All that count towards the limit.")]
    limit: int
    watched_tasks: Annotated[int, Field(description="How many tasks somebody watches.")]
    watched_feeds: int


@dataclass(frozen=True, slots=True)
class Outboxes:
    """What was committed and waits for watchers; looked at once a second."""

    waiting_bytes: int
    waiting_connections: Annotated[int, Field(description="For how many something waits.")]
    limit_bytes: Annotated[int, Field(description="What may wait for all together.")]
    cut_off: Annotated[
        int, Field(description="Connections given up because they took nothing, since the start.")
    ]


@dataclass(frozen=True, slots=True)
class KindCount:
    """The tasks of one kind that are not over."""

    kind: str
    running: int
    waiting: int
    slots: Annotated[int, Field(description="How many run at once; 0 where producers do.")]


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """How late the event loop is, which pushes everything."""

    lag_seconds: float
    worst_lag_seconds: Annotated[float, Field(description="Of the last minute.")]


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """How much the store holds; counted once a minute."""

    tasks: int
    events: Annotated[int, Field(description="Logged ones.")]
    bytes: Annotated[int, Field(description="What the database uses, without files of tasks.")]
    unused_bytes: int


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """How the server is. What is counted is counted from its start: compare two readings."""

    version: str
    started_at: datetime
    uptime_seconds: float
    connections: ConnectionCounts
    outboxes: Outboxes
    kinds: list[KindCount]
    delayed: Annotated[int, Field(description="Pending tasks that may not start yet.")]
    events: Annotated[
        Mapping[str, int],
        Field(description="Events since the start, by `event_type`: committed, or published."),
    ]
    pushes: Annotated[
        int,
        Field(
            description="How often a subscription was told of an event or of a feed's task, since"
            " the start. Without what was replayed from the log, and without previews."
        ),
    ]
    loop: LoopFigures
    rss_bytes: int
    store: Annotated[StoreFigures | None, Field(description="Null while it cannot be counted.")]
