"""How each server is started, subscribed to and told to send."""

from __future__ import annotations

from typing import Final

from bench.adapters.base import Server
from bench.adapters.debian import Nats, Nchan
from bench.adapters.flask import FlaskSocketIO
from bench.adapters.floor import Floor
from bench.adapters.node import Node
from bench.adapters.plain import PlainSocketIO
from bench.adapters.taskpush import Taskpush, TaskpushStreams

SERVERS: Final[dict[str, type[Server]]] = {
    server.name: server
    for server in (
        Taskpush,
        TaskpushStreams,
        PlainSocketIO,
        FlaskSocketIO,
        Node,
        Nats,
        Nchan,
        Floor,
    )
}
"""All that can be measured, by name; the first is the one compared with the others."""

OURS: Final = Taskpush.name
