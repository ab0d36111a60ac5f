"""A TCP link between client and server that a test can cut, stall and slow down."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SeverableLink:
    """Forwards connections from its own port to a server's, until it is told otherwise."""

    def __init__(self, upstream_port: int, *, narrow: bool = False) -> None:
        self.upstream_port = upstream_port
        self._narrow = narrow
        self.port = 0
        self.delay_s = 0.0
        self.refusing = False
        self.cuts = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pipes: dict[
            asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.StreamWriter]
        ] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._pipes)

    @property
    def upstream_ports(self) -> set[int]:
        """The ports that the server sees these connections come from."""
        return {up.get_extra_info("sockname")[1] for _, up in self._pipes.values()}

    def cut(self, chance: random.Random | None = None, share: float = 1.0) -> None:
        """Reset connections: what was on its way is lost.

        All at once; or, by chance, about `share` of them.
        """
        self.cuts += 1
        for writers in tuple(self._pipes.values()):
            if chance is None or chance.random() < share:
                for writer in writers:
                    writer.transport.abort()

    def stall(self) -> None:
        """Take bytes no further, keeping the connections open."""
        self._flowing.clear()

    def flow(self) -> None:
        """End a stall."""
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._pipes[task] = (writer, up_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pipe(reader, up_writer))
                group.create_task(self._pipe(up_reader, writer))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._pipes[task]
            writer.transport.abort()
            up_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._narrow:
            return await asyncio.open_connection("127.0.0.1", self.upstream_port)
        with contextlib.ExitStack() as unless_connected:
            sock = unless_connected.enter_context(socket.socket())
            # Both before connecting: the server's buffer grows with what the peer announces.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            sock.setblocking(False)
            address = ("127.0.0.1", self.upstream_port)
            await asyncio.get_running_loop().sock_connect(sock, address)
            unless_connected.pop_all()
        return await asyncio.open_connection(sock=sock, limit=16384)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def severable_link(
    upstream_port: int, *, narrow: bool = False
) -> AsyncIterator[SeverableLink]:
    """A link to the server's port, closed with everything it carries at the end.

    A `narrow` one holds little on the way, so that the server soon notices when it stalls.
    """
    link = SeverableLink(upstream_port, narrow=narrow)
    server = await asyncio.start_server(link._serve, "127.0.0.1", 0)
    link.port = server.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        link.flow()
        link.cut()
        await server.wait_closed()
