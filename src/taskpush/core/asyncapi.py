"""The AsyncAPI document: what travels through the doors that push, for people and generators.

Source: the AsyncAPI specification, 3.1.0. REST has its OpenAPI document beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson

from taskpush.core.wire_schema import REF, Schema, schemas

PATH: Final = "/asyncapi.json"

DESCRIPTION: Final = """
Watch tasks and feeds, live: over Socket.IO (path `/socket.io`, namespace `/tasks`), or by
Server-Sent Events. The data of one event is the same through every door. Clients ignore an
`event_type`, an event or a field that they don't know. Creating tasks, and long poll, are in the
OpenAPI document (`/openapi.json`).
"""


@dataclass(frozen=True, slots=True)
class _Event:
    """An event of Socket.IO, which is its name in a stream, too."""

    name: str
    summary: str
    # Names of schemas: one of them.
    payload: tuple[str, ...]
    # What acknowledges it; empty for what the server says.
    acks: tuple[str, ...] = ()


_ASKED: Final = (
    _Event(
        "subscribe",
        "Watch a task, a feed or the queues, from the start or after a position",
        ("Subscribe", "SubscribeFeed"),
        ("TaskSubscribed", "FeedAcknowledged", "Refusal"),
    ),
    _Event(
        "unsubscribe",
        "Watch it no more",
        ("Unsubscribe", "UnsubscribeFeed"),
        ("TaskUnsubscribed", "FeedAcknowledged", "Refusal"),
    ),
    _Event("cancel", "Ask a task to end", ("SocketCancel",), ("CancelAccepted", "Refusal")),
    _Event(
        "authenticate",
        "Go on by another credential",
        ("Authenticate",),
        ("Authenticated", "Refusal"),
    ),
)
_SAID: Final = (
    _Event("connected", "The greeting", ("Connected",)),
    _Event("connect_error", "The answer to CONNECT that is refused", ("ConnectRefused",)),
    _Event("subscribed", "A subscription begins", ("TaskNamed", "FeedNamed")),
    _Event("task_update", "An event of a task", ("TaskUpdate",)),
    _Event("resync", "The log cannot be continued: go on from a snapshot", ("Resync",)),
    _Event("task_deleted", "A watched task was deleted", ("TaskNamed",)),
    _Event("active_tasks", "Tasks of a feed, newest states", ("ActiveTasks",)),
    _Event("task_created", "A task that is new in a feed", ("FeedUpdate",)),
    _Event("feed_update", "The newest state of a task of a feed", ("FeedUpdate",)),
    _Event("queue_update", "Who waits for what, as the reader may see it", ("QueueUpdate",)),
    _Event("error", "What is wrong", ("ErrorMessage",)),
)
_IN_TASK_STREAM: Final = ("task_update", "resync", "task_deleted", "error")
_IN_FEED_STREAM: Final = ("active_tasks", "task_created", "feed_update", "queue_update", "error")


@cache
def encoded_document(version: str) -> bytes:
    """The document as JSON, which never changes while a process runs."""
    return orjson.dumps(document(version), option=orjson.OPT_INDENT_2)


def document(version: str) -> dict[str, Any]:
    """The document of the server with that version."""
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "taskpush",
            "version": version,
            "description": DESCRIPTION.strip(),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": _channels(),
        "operations": dict(_operations()),
        "components": {
            "schemas": schemas(),
            "messages": dict(_messages()),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key or a token, in `Authorization`, or over Socket.IO"
                    " as `token` in the `auth` of CONNECT. Nothing while no access is configured.",
                }
            },
        },
    }


_HOST: Final = {"default": "127.0.0.1:8000", "description": "Where taskpush is served."}
_SECURITY: Final = [{"$ref": "#/components/securitySchemes/bearer"}]
_SERVERS: Final[Schema] = {
    "socketio": {
        "host": "{host}",
        "pathname": "/socket.io/",
        "protocol": "ws",
        "description": "Socket.IO, protocol version 5 over Engine.IO 4; long-polling, too.",
        "variables": {"host": _HOST},
        "security": _SECURITY,
    },
    "http": {
        "host": "{host}",
        "protocol": "http",
        "description": "Server-Sent Events.",
        "variables": {"host": _HOST},
        "security": _SECURITY,
    },
    "receiver": {
        "host": "{host}",
        "protocol": "https",
        "description": "Whoever receives webhooks.",
        "variables": {"host": {"description": "As the webhook's address has it."}},
    },
}

_WEBHOOK_HEADERS: Final[Schema] = {
    "type": "object",
    "properties": {
        "webhook-id": {"type": "string", "description": "The same at every try."},
        "webhook-timestamp": {"type": "string", "pattern": "^[0-9]+$"},
        "webhook-signature": {"type": "string", "description": "`v1,…` for each secret."},
    },
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
}


def _channels() -> Schema:
    acks = (_ack_name(event) for event in _ASKED)
    return {
        "tasks": {
            "address": "/tasks",
            "title": "The namespace of Socket.IO",
            "servers": [{"$ref": "#/servers/socketio"}],
            "messages": _listed([*(event.name for event in (*_ASKED, *_SAID)), *acks]),
        },
        "taskStream": {
            "address": "/api/tasks/{task_id}/stream",
            "title": "Events of one task",
            "description": "`event:` is the name of the message, `id:` the position; volatile"
            " events have none. Goes on after `Last-Event-ID`, or `?after=`.",
            "servers": [{"$ref": "#/servers/http"}],
            "parameters": {"task_id": {"description": "The task's id, a UUID."}},
            "messages": _listed(_IN_TASK_STREAM),
        },
        "feedStream": {
            "address": "/api/stream",
            "title": "Tasks of a feed",
            "description": "`?feed=` is `all`, `kind:NAME`, `tag:NAME` or `owner:me`; `event:` is"
            " the name of the message, `id:` the cursor. Goes on after `Last-Event-ID`. With"
            " `?feed=queue` come the queues, which have no cursor.",
            "servers": [{"$ref": "#/servers/http"}],
            "messages": _listed(_IN_FEED_STREAM),
        },
        "webhook": {
            "address": None,
            "title": "Webhooks of a task",
            "description": "The addresses that its create or its kind named. Headers are those of"
            " Standard Webhooks: https://www.standardwebhooks.com.",
            "servers": [{"$ref": "#/servers/receiver"}],
            "messages": _listed(["webhook_event"]),
        },
    }


def _operations() -> Iterable[tuple[str, Schema]]:
    for event in _ASKED:
        yield (
            event.name,
            _operation("receive", "tasks", event.summary, [event.name])
            | {"reply": _said_in("tasks", [_ack_name(event)])},
        )
    for event in _SAID:
        yield event.name, _operation("send", "tasks", event.summary, [event.name])
    yield (
        "streamTask",
        _operation("send", "taskStream", "Watch a task by Server-Sent Events", _IN_TASK_STREAM),
    )
    yield (
        "sendToWebhook",
        _operation("send", "webhook", "Post an event of a task to a webhook", ["webhook_event"])
        | {"bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}}},
    )
    yield (
        "streamFeed",
        _operation("send", "feedStream", "Watch a feed by Server-Sent Events", _IN_FEED_STREAM),
    )


def _operation(action: str, channel: str, summary: str, names: Iterable[str]) -> Schema:
    return {"action": action, "summary": summary, **_said_in(channel, names)}


def _said_in(channel: str, names: Iterable[str]) -> Schema:
    messages = [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]
    return {"channel": {"$ref": f"#/channels/{channel}"}, "messages": messages}


def _listed(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _messages() -> Iterable[tuple[str, Schema]]:
    for event in (*_ASKED, *_SAID):
        yield (
            event.name,
            {"name": event.name, "summary": event.summary, "payload": _one_of(event.payload)},
        )
    yield (
        "webhook_event",
        {
            "name": "webhook_event",
            "summary": "A logged event of a task",
            "headers": _WEBHOOK_HEADERS,
            "payload": _one_of(("TaskUpdate",)),
        },
    )
    for event in _ASKED:
        name = _ack_name(event)
        summary = f"Acknowledges `{event.name}`"
        yield name, {"name": name, "summary": summary, "payload": _one_of(event.acks)}


def _ack_name(event: _Event) -> str:
    return f"{event.name}_ack"


def _one_of(names: tuple[str, ...]) -> Mapping[str, Any]:
    refs = [{"$ref": REF + name} for name in names]
    return refs[0] if len(refs) == 1 else {"oneOf": refs}
