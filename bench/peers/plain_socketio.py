"""python-socketio with FastAPI on uvicorn, as its documentation shows it."""

from __future__ import annotations

import asyncio
import sys

import socketio
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bench.event import DEFAULT_SIZE_BYTES, NAME, NAMESPACE, envelope, now_us

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
app = FastAPI()
running: set[asyncio.Task[None]] = set()


class Flow(BaseModel):
    """Events for each of `channels`, the starts `stagger_us` apart."""

    channels: list[str]
    events: int
    rate_hz: float = 0
    start_us: int = 0
    size_bytes: int = DEFAULT_SIZE_BYTES
    stagger_us: float = 0


class Thing(BaseModel):
    """A body like that of a create."""

    kind: str
    params: dict[str, object]


@sio.on("subscribe", namespace=NAMESPACE)  # type: ignore[untyped-decorator]  # the library ships no types
async def subscribe(sid: str, command: dict[str, str]) -> dict[str, object]:
    """Let the client into the room of a channel."""
    await sio.enter_room(sid, command["task_id"], namespace=NAMESPACE)
    return {"ok": True, "task_id": command["task_id"]}


@sio.on("connect", namespace=NAMESPACE)  # type: ignore[untyped-decorator]  # the library ships no types
async def connect(sid: str, environ: dict[str, object]) -> None:
    """Everybody may come in."""


@app.get("/healthz")
async def health() -> dict[str, bool]:
    """It runs."""
    return {"ok": True}


@app.post("/things", status_code=201)
async def create(thing: Thing) -> Thing:
    """Check a body and answer 201, without storing anything."""
    return thing


@app.post("/flow")
async def start(flow: Flow) -> dict[str, int]:
    """Start the events."""
    for i, channel in enumerate(flow.channels):
        task = asyncio.create_task(emit(flow, channel, flow.start_us + i * flow.stagger_us))
        running.add(task)
        task.add_done_callback(running.discard)
    return {"channels": len(flow.channels)}


async def emit(flow: Flow, channel: str, start_us: float) -> None:
    """Send the events of one channel."""
    for i in range(flow.events):
        due_us = start_us + (i * 1e6 / flow.rate_hz if flow.rate_hz else 0)
        if (wait_us := due_us - now_us()) > 0:
            await asyncio.sleep(wait_us / 1e6)
        event = envelope(channel, i + 1, flow.size_bytes)
        await sio.emit(NAME, event, room=channel, namespace=NAMESPACE)


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(sio, other_asgi_app=app),
        port=int(sys.argv[1]),
        log_level="warning",
        backlog=4096,
    )
