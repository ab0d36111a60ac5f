"""A peer that sends what it is told to, right or wrong, and adds nothing of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import aiohttp
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SEPARATOR: Final = "\x1e"
WITHIN_S: Final = 60


@dataclass(frozen=True)
class Answer:
    """What one HTTP request was answered."""

    status: int
    content_type: str
    text: str

    @property
    def packets(self) -> list[str]:
        return self.text.split(SEPARATOR)


class Polling:
    """One session over long polling."""

    def __init__(self, peer: Peer, opened: dict[str, Any]) -> None:
        self._peer = peer
        self.opened = opened
        self.sid: str = opened["sid"]
        self._unread: list[str] = []

    async def get(self) -> Answer:
        return await self._peer.http("GET", f"EIO=4&transport=polling&sid={self.sid}")

    async def post(self, *packets: str) -> Answer:
        return await self._peer.http(
            "POST", f"EIO=4&transport=polling&sid={self.sid}", SEPARATOR.join(packets)
        )

    async def packet(self) -> str:
        """The next packet, by as many requests as it takes."""
        while not self._unread:
            answer = await self.get()
            assert answer.status == 200, answer
            self._unread += answer.packets
        return self._unread.pop(0)

    async def is_known(self) -> bool:
        """Whether the server keeps the session; asked so that it changes nothing."""
        return (await self.post("3")).status == 200


class Peer:
    """Sends requests to a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def http(
        self,
        method: str,
        query: str,
        body: str | bytes | AsyncIterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request to Engine.IO's path, on a connection of its own."""
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            address = f"http://127.0.0.1:{self._port}/socket.io/?{query}"
            async with client.request(method, address, data=body, headers=headers) as answer:
                content_type = answer.headers.get("Content-Type", "")
                return Answer(answer.status, content_type, await answer.text())

    async def polling(self) -> Polling:
        """A session over long polling that has done nothing but the handshake."""
        answer = await self.http("GET", "EIO=4&transport=polling")
        assert answer.status == 200, answer
        assert answer.text.startswith("0"), answer
        return Polling(self, orjson.loads(answer.text[1:]))

    @asynccontextmanager
    async def websocket(
        self, query: str = "EIO=4&transport=websocket", *, opened: bool = True
    ) -> AsyncIterator[WebSocket]:
        """A WebSocket; raises `InvalidStatus` when it is refused."""
        async with connect(
            f"ws://127.0.0.1:{self._port}/socket.io/?{query}",
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=WITHIN_S,
        ) as ws:
            try:
                socket = WebSocket(ws)
                if opened:
                    first = await socket.text()
                    assert first.startswith("0{"), first
                    socket.opened = orjson.loads(first[1:])
                yield socket
            finally:
                ws.transport.abort()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[WebSocket]:
        """A WebSocket with the namespace `/tasks` connected and its greeting read."""
        async with self.websocket() as socket:
            await socket.send("40/tasks,")
            assert (await socket.text()).startswith('40/tasks,{"sid":"')
            assert (await socket.text()).startswith('42/tasks,["connected",')
            yield socket


class WebSocket:
    """One WebSocket to Engine.IO."""

    opened: dict[str, Any]

    def __init__(self, ws: ClientConnection) -> None:
        self._ws = ws

    @property
    def address(self) -> str:
        """As the server has it."""
        host, port = self._ws.local_address[:2]
        return f"{host}:{port}"

    async def send(self, packet: str | bytes) -> None:
        await self._ws.send(packet)

    async def text(self) -> str:
        """The next packet, which is a text and no ping."""
        async with asyncio.timeout(WITHIN_S):
            while (packet := await self._ws.recv()) == "2":
                await self._ws.send("3")
        assert isinstance(packet, str), packet
        return packet

    async def raw(self) -> str | bytes:
        """The next packet, whatever it is."""
        async with asyncio.timeout(WITHIN_S):
            return await self._ws.recv()

    async def closed(self) -> int:
        """Until the server has closed it; the code that it gave."""
        async with asyncio.timeout(WITHIN_S):
            try:
                while True:
                    await self._ws.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006

    async def lives(self) -> None:
        """Assert that it takes an event and answers it; `/tasks` has to be connected."""
        await self.send(f'42/tasks,900["unsubscribe",{{"task_id":"{uuid4()}"}}]')
        async with asyncio.timeout(WITHIN_S):
            while not (await self.text()).startswith("43/tasks,900["):
                pass
