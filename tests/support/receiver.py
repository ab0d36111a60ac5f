"""A receiver of webhooks over a real socket, which does what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.support.server import free_port


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def envelope(self) -> dict[str, Any]:
        envelope: dict[str, Any] = orjson.loads(self.body)
        return envelope

    @property
    def status(self) -> str:
        """What the status change says."""
        status: str = self.envelope["data"]["status"]
        return status


Answers = Callable[[Received], Awaitable[web.StreamResponse]]


async def take(_: Received) -> web.StreamResponse:
    """Take everything."""
    return web.Response(status=204)


@dataclass
class Receiver:
    """Keeps what it was sent, in order."""

    port: int
    answers: Answers = take
    received: list[Received] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook", *, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def until(self, condition: Callable[[list[Received]], bool]) -> list[Received]:
        """Until the condition holds of what was received."""
        async with asyncio.timeout(30):
            while not condition(self.received):
                self.changed.clear()
                await self.changed.wait()
        return self.received

    async def until_count(self, count: int) -> list[Received]:
        """Until so many requests have come."""
        return await self.until(lambda received: len(received) >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Received(request.path, headers, await request.read())
        self.received.append(got)
        self.changed.set()
        return await self.answers(got)


@asynccontextmanager
async def receiver(answers: Answers = take, *, port: int | None = None) -> AsyncIterator[Receiver]:
    """A receiver on loopback, until the end."""
    made = Receiver(port or free_port(), answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", made.port).start()
        yield made
    finally:
        await runner.cleanup()
