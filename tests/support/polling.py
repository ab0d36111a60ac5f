"""Socket.IO by long polling: one request per connection, and none repeated."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

from tests.support.watcher import decoded

_SEPARATOR: Final = "\x1e"
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class PollingSocket:
    """One engine.io session over long polling, in the `/tasks` namespace.

    Libraries repeat a GET whose connection broke, which would hide that its answer was lost.
    """

    def __init__(self, port: int, auth: dict[str, Any] | None = None) -> None:
        self._port = port
        self._auth = "" if auth is None else orjson.dumps(auth).decode()
        self._path = "/socket.io/?EIO=4&transport=polling"
        self._packets: deque[str] = deque()

    async def open(self) -> None:
        """Shake hands, and connect the namespace."""
        opened = await self._request("GET")
        self._path += f"&sid={orjson.loads(opened[1:])['sid']}"
        await self._request("POST", f"40/tasks,{self._auth}")
        answer = await self._packet()
        assert answer.startswith('40/tasks,{"sid"'), answer

    async def event(self) -> tuple[str, Any]:
        """The next event of the namespace: its name (or `ack`) and its argument."""
        return decoded(await self._packet())

    async def emit(self, name: str, payload: Any, ack: int | None = None) -> None:
        """Send an event."""
        number = "" if ack is None else str(ack)
        await self._request("POST", f"42/tasks,{number}{orjson.dumps([name, payload]).decode()}")

    async def leave(self) -> None:
        """Say goodbye."""
        await self._request("POST", "1")

    async def _packet(self) -> str:
        while True:
            while not self._packets:
                self._packets += (await self._request("GET")).split(_SEPARATOR)
            packet = self._packets.popleft()
            if packet == "2":
                await self._request("POST", "3")
            elif packet != "6":
                return packet

    async def _request(self, method: str, body: str = "") -> str:
        """The answer's body; raises `ConnectionResetError` unless the whole of it came."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = (
                f"{method} {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                f"Content-Type: text/plain\r\nContent-Length: {len(body.encode())}\r\n\r\n"
            )
            writer.write(head.encode() + body.encode())
            status, _, fields = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
            length = _LENGTH.search(fields)
            if length is None:
                assert b"transfer-encoding: chunked" in fields.lower(), fields
                content = await _chunks(reader)
            else:
                content = await reader.readexactly(int(length[1]))
        except EOFError as cut:
            raise ConnectionResetError(str(cut)) from cut
        finally:
            writer.transport.abort()
        if b" 200 " not in status:
            raise ConnectionResetError(f"{status!r}: {content[:200]!r}")
        return content.decode()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A body in chunks, to its end. Source: RFC 9112 section 7.1."""
    content = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        content += (await reader.readexactly(size + 2))[:-2]
    return content


@asynccontextmanager
async def polling_socket(
    port: int, auth: dict[str, Any] | None = None
) -> AsyncIterator[PollingSocket]:
    """A session over long polling with the namespace connected; left without a goodbye."""
    socket = PollingSocket(port, auth)
    await socket.open()
    yield socket
