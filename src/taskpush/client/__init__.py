"""Clients of a taskpush server: create tasks, watch them live, get their results.

`AsyncClient` is for asyncio programs, `Client` for all others; both do the same.
"""

from taskpush.client.asynchronous import AsyncClient
from taskpush.client.callbacks import Callback
from taskpush.client.calls import After
from taskpush.client.doors import DOORS, Door
from taskpush.client.errors import (
    BadAnswer,
    ClientError,
    QueueFull,
    RequestRefused,
    ServerUnreachable,
    TaskCancelled,
    TaskFailed,
    TaskInterrupted,
    TaskNotCompleted,
    WaitTimeout,
)
from taskpush.client.events import Resync, WatchEvent, WatchItem
from taskpush.client.feed import FeedChange, FeedItem, FeedReset
from taskpush.client.health import ConnectionState, ConnectionStatus
from taskpush.client.patience import Patience
from taskpush.client.synchronous import Client, TaskWebSocketClient
from taskpush.client.task import Task
from taskpush.models.position import Position

__all__ = [
    "DOORS",
    "After",
    "AsyncClient",
    "BadAnswer",
    "Callback",
    "Client",
    "ClientError",
    "ConnectionState",
    "ConnectionStatus",
    "Door",
    "FeedChange",
    "FeedItem",
    "FeedReset",
    "Patience",
    "Position",
    "QueueFull",
    "RequestRefused",
    "Resync",
    "ServerUnreachable",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "TaskInterrupted",
    "TaskNotCompleted",
    "TaskWebSocketClient",
    "WaitTimeout",
    "WatchEvent",
    "WatchItem",
]
