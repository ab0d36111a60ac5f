"""uvicorn, stopped in the order that a server of long jobs needs, and within a known time.

Handlers first, while those who watch them are still connected and see how each task was left;
then the connections, and the answers that wait; then the rest.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any, Final, Protocol

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from taskpush.serving.connection import HttpConnection
from taskpush.sockets.wire import WireProtocol

ANSWERS_WITHIN_S: Final = 2
"""How long requests under way may take, after the handlers' time."""
TICK_S: Final = 0.1


class Stoppable(Protocol):
    """What stops before its connections do: a `TaskPush`."""

    async def drain(self, within_s: float | None = None) -> None: ...

    def hang_up(self) -> None: ...


def config_for(app: ASGIApp, *, deflate: bool, **options: Any) -> uvicorn.Config:
    """How uvicorn is to serve a TaskPush application."""
    # It tells of every connection at level info.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        http=HttpConnection,
        ws=WireProtocol,
        ws_max_size=64 * 1024,
        ws_per_message_deflate=deflate,
        # Engine.IO has pings of its own.
        ws_ping_interval=None,
        # The application heeds those of trusted proxies; uvicorn would trust all of this machine.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=ANSWERS_WITHIN_S,
        **options,
    )


class OrderlyServer(uvicorn.Server):
    """Drains what it serves before it lets go of the connections."""

    def __init__(self, config: uvicorn.Config, stopping: Stoppable) -> None:
        super().__init__(config)
        self._stopping = stopping

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.ensure_future(self._stopping.drain())
        while not draining.done():
            if self.force_exit:
                await self._stopping.drain(0)
            await asyncio.wait([draining], timeout=TICK_S)
        await draining
        self._stopping.hang_up()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound there; raises `OSError`."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a client reaches it, that is on the same machine."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
