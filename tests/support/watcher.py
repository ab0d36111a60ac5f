"""A raw Socket.IO watcher: as little client as possible, so that it hides nothing.

It keeps the position of each task and resumes from it, but drops and reorders nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

PREFIX: Final = "42/tasks,"
ACK: Final = "43/tasks,"


class TaskSocket(Protocol):
    """A connection in the `/tasks` namespace, whatever its transport."""

    async def event(self) -> tuple[str, Any]:
        """The next event: its name (or `ack`) and its argument."""
        ...

    async def emit(self, name: str, payload: Any, ack: int | None = None) -> None:
        """Send an event."""
        ...


Door = Callable[[int], AbstractAsyncContextManager[TaskSocket]]
"""Opens a connection to a port."""


def decoded(packet: str) -> tuple[str, Any]:
    """An event of the namespace: its name (or `ack`) and its argument."""
    if packet.startswith(ACK):
        start = packet.index("[")
        return "ack", orjson.loads(packet[start:])[0]
    assert packet.startswith(PREFIX), packet
    name, argument = orjson.loads(packet[len(PREFIX) :])
    return name, argument


class RawSocket:
    """One engine.io connection over WebSocket, in the `/tasks` namespace, packet by packet."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    async def packet(self, *, answer_pings: bool = True) -> str:
        """The next packet that is not a heartbeat; heartbeats are answered, if so wanted."""
        while True:
            packet = await self.ws.recv()
            assert isinstance(packet, str)
            if packet != "2":
                return packet
            if answer_pings:
                await self.ws.send("3")

    async def event(self) -> tuple[str, Any]:
        """The next event of the namespace: its name (or `ack`) and its argument."""
        return decoded(await self.packet())

    async def emit(self, name: str, payload: Any, ack: int | None = None) -> None:
        """Send an event."""
        number = "" if ack is None else str(ack)
        await self.ws.send(f"42/tasks,{number}{orjson.dumps([name, payload]).decode()}")


@asynccontextmanager
async def raw_socket(
    port: int, *, namespace: str | None = "/tasks", max_queue: int = 16
) -> AsyncIterator[RawSocket]:
    """A connection; with a namespace, that namespace is connected. Cut at the end.

    It stops reading from the network while `max_queue` packets have not been asked for.
    """
    async with connect(
        f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket",
        compression=None,
        max_size=None,
        max_queue=max_queue,
        ping_interval=None,
        proxy=None,
    ) as ws:
        try:
            socket = RawSocket(ws)
            opened = await ws.recv()
            assert isinstance(opened, str), opened
            assert opened.startswith("0{"), opened
            if namespace is not None:
                await ws.send(f"40{namespace},")
                answer = await socket.packet()
                assert answer.startswith(f'40{namespace},{{"sid"'), answer
            yield socket
        finally:
            ws.transport.abort()


class Watcher:
    """Watches tasks through cuts and restarts, and keeps every envelope as it came."""

    def __init__(self, port: int, task_ids: Iterable[str] = (), *, door: Door = raw_socket) -> None:
        self.port = port
        self._door = door
        self.task_ids = list(task_ids)
        self.received: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.resyncs: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.reconnects = 0
        self._positions: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()
        # None while it is not connected.
        self._socket: TaskSocket | None = None

    async def add(self, task_id: str) -> None:
        """Watch one more task."""
        self.task_ids.append(task_id)
        if self._socket is not None:
            await self._subscribe(self._socket, task_id)

    async def run(self) -> None:
        """Connect, watch, and come back after every loss; until cancelled."""
        while True:
            try:
                async with self._door(self.port) as self._socket:
                    for task_id in tuple(self.task_ids):
                        await self._subscribe(self._socket, task_id)
                    while True:
                        self._take(*await self._socket.event())
            except (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, EOFError):
                self.reconnects += 1
                # The server may be away: there is nothing to await but another try.
                await asyncio.sleep(0.02)
            finally:
                self._socket = None

    async def until(self, condition: Callable[[Watcher], bool], timeout_s: float = 60) -> None:
        """Until the condition holds; checked whenever something was received."""
        async with asyncio.timeout(timeout_s):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def is_over(self, task_id: str) -> bool:
        """Whether the last logged event of the task ended it, or interrupted it."""
        for event in reversed(self.received[task_id]):
            if event["event_type"] == "status_change":
                return bool(event["data"]["final"] or event["data"]["status"] == "interrupted")
        return False

    async def _subscribe(self, socket: TaskSocket, task_id: str) -> None:
        position = self._positions.get(task_id)
        after = {} if position is None else {"after": position}
        await socket.emit("subscribe", {"task_id": task_id, **after})

    def _take(self, name: str, payload: Any) -> None:
        if name == "task_update":
            self.received[payload["task_id"]].append(payload)
            if payload["seq"] is not None:
                self._positions[payload["task_id"]] = {
                    "epoch": payload["epoch"],
                    "seq": payload["seq"],
                }
        elif name == "resync":
            self.resyncs.append(payload)
            self._positions[payload["task_id"]] = payload["position"]
        elif name == "error":
            self.errors.append(payload)
        self._changed.set()
