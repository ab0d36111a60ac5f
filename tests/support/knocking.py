"""A socket that shows who it is, and what it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from websockets.asyncio.client import connect

from tests.support.server import ServerProcess
from tests.support.watcher import RawSocket


@asynccontextmanager
async def knocking(
    server: ServerProcess, auth: Any = None, header: str | None = None, query: str = ""
) -> AsyncIterator[tuple[RawSocket, str]]:
    """A socket that has asked for the namespace, and the packet it was answered with."""
    headers = {} if header is None else {"Authorization": header}
    async with connect(
        f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket{query}",
        compression=None,
        ping_interval=None,
        proxy=None,
        additional_headers=headers,
        open_timeout=20,
    ) as ws:
        try:
            socket = RawSocket(ws)
            await ws.recv()
            await ws.send(f"40/tasks,{'' if auth is None else orjson.dumps(auth).decode()}")
            yield socket, await socket.packet()
        finally:
            ws.transport.abort()


def refusal(packet: str) -> str:
    """The code that it was refused with."""
    assert packet.startswith("44/tasks,"), packet
    code: str = orjson.loads(packet.removeprefix("44/tasks,"))["data"]["code"]
    return code
