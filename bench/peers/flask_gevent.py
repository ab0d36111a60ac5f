"""Flask-SocketIO on gevent, as its documentation shows it."""

from __future__ import annotations

# Before anything that uses sockets or threads, as gevent demands; hence the E402 below.
from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from flask import Flask, request  # noqa: E402
from flask_socketio import SocketIO, join_room  # noqa: E402

from bench.event import NAME, NAMESPACE, envelope, now_us  # noqa: E402

app = Flask(__name__)
socketio = SocketIO(app, async_mode="gevent", cors_allowed_origins="*")


@socketio.on("connect", namespace=NAMESPACE)  # type: ignore[untyped-decorator]  # no types
def connect() -> None:
    """Everybody may come in."""


@socketio.on("subscribe", namespace=NAMESPACE)  # type: ignore[untyped-decorator]  # no types
def subscribe(command: dict[str, str]) -> dict[str, object]:
    """Let the client into the room of a channel."""
    join_room(command["task_id"])
    return {"ok": True, "task_id": command["task_id"]}


@app.get("/healthz")
def health() -> dict[str, bool]:
    """It runs."""
    return {"ok": True}


@app.post("/flow")
def start() -> dict[str, int]:
    """Start the events."""
    flow: dict[str, Any] = request.get_json()
    for i, channel in enumerate(flow["channels"]):
        gevent.spawn(emit, flow, channel, flow["start_us"] + i * flow["stagger_us"])
    return {"channels": len(flow["channels"])}


def emit(flow: dict[str, Any], channel: str, start_us: float) -> None:
    """Send the events of one channel."""
    for i in range(flow["events"]):
        due_us = start_us + (i * 1e6 / flow["rate_hz"] if flow["rate_hz"] else 0)
        # Also when it is late: without a pause nothing would be sent.
        gevent.sleep(max(0, due_us - now_us()) / 1e6)
        event = envelope(channel, i + 1, flow["size_bytes"])
        socketio.emit(NAME, event, room=channel, namespace=NAMESPACE)


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_output=False)
