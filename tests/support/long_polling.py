"""Long polls as one more way into the `/tasks` namespace: of each task's log, over REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

UNREAD_EVENTS: Final = 16
WAIT_S: Final = 5


class PollingReader:
    """Several tasks, each asked for by a loop, as one connection: what ends one ends all.

    Of each page it tells what a client has to: the logged events but the one that ends the task,
    then the newest states, then the end.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._reading: list[asyncio.Task[None]] = []
        # Events, and how the connection was lost.
        self._came: asyncio.Queue[tuple[str, Any] | Exception] = asyncio.Queue(UNREAD_EVENTS)

    async def event(self) -> tuple[str, Any]:
        """The next event of any task: its name and its argument."""
        came = await self._came.get()
        if isinstance(came, Exception):
            raise came
        return came

    async def emit(self, name: str, payload: Any, ack: int | None = None) -> None:
        """Subscribe, which is all that there is to ask for."""
        assert name == "subscribe"
        self._reading.append(asyncio.create_task(self._read(**payload)))

    async def leave(self) -> None:
        """Read no more."""
        for reading in self._reading:
            reading.cancel()
        # What went wrong has been raised by `event`.
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def _read(self, task_id: str, after: dict[str, Any] | None = None) -> None:
        """One task, to its end."""
        place, rev, over = after, 0, False
        try:
            while not over:
                at = "" if place is None else f"&after={place['epoch']}:{place['seq']}"
                query = f"wait_s={WAIT_S}&limit=500&after_rev={rev}{at}"
                page = await self._page(f"/api/tasks/{task_id}/events?{query}")
                for event in _told(page, rev):
                    await self._came.put(("task_update", event))
                    rev = max(rev, event.get("rev") or 0)
                place, over = page["position"], page["final"] and page["next"] is None
        except Exception as lost:  # noqa: BLE001 - `event` raises it
            await self._came.put(lost)

    async def _page(self, path: str) -> dict[str, Any]:
        """One answer, over a socket of its own; raises `EOFError` for one that is cut short."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = dict(line.lower().split(": ", 1) for line in lines if line)
            assert status.split()[1] == "200", status
            page: dict[str, Any] = orjson.loads(
                await reader.readexactly(int(headers["content-length"]))
            )
            return page
        finally:
            writer.close()


def _told(page: dict[str, Any], rev: int) -> Iterator[dict[str, Any]]:
    logged = page["items"]
    if page["final"] and not logged:
        return  # Whoever asks after the end has had everything.
    last = [event for event in logged[-1:] if page["final"] and page["next"] is None]
    yield from logged[: len(logged) - len(last)]
    yield from (event for event in page["volatile"] if event["rev"] > rev)
    yield from last


@asynccontextmanager
async def long_polling_socket(port: int) -> AsyncIterator[PollingReader]:
    """A reader of `port` with a poll for each subscription."""
    reader = PollingReader(port)
    try:
        yield reader
    finally:
        await reader.leave()
