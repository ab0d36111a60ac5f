"""Server-Sent Events as one more way into the `/tasks` namespace: a stream for each task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.support.stream import raw_stream

UNREAD_EVENTS: Final = 16


class StreamingSocket:
    """Several streams, each read by a task, as one connection: what ends one ends all."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reading: list[asyncio.Task[None]] = []
        # Events, and how the connection was lost.
        self._came: asyncio.Queue[tuple[str, Any] | Exception] = asyncio.Queue(UNREAD_EVENTS)

    async def event(self) -> tuple[str, Any]:
        """The next event of any stream: its name and its argument."""
        came = await self._came.get()
        if isinstance(came, Exception):
            raise came
        return came

    async def emit(self, name: str, payload: Any, ack: int | None = None) -> None:
        """Subscribe, which is all that a stream can be asked for."""
        assert name == "subscribe"
        self._reading.append(asyncio.create_task(self._read(**payload)))

    async def leave(self) -> None:
        """Read no more."""
        for reading in self._reading:
            reading.cancel()
        # What went wrong has been raised by `event`.
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def _read(self, task_id: str, after: dict[str, Any] | None = None) -> None:
        """One stream, to its end; a task that is over has nothing more to say."""
        headers = {} if after is None else {"last_event_id": f"{after['epoch']}:{after['seq']}"}
        try:
            async with raw_stream(self._port, f"/api/tasks/{task_id}/stream", **headers) as stream:
                assert stream.status in {200, 204}
                while stream.status == 200 and (event := await stream.event()) is not None:
                    if event.name is not None:
                        await self._came.put((event.name, event.data))
        except Exception as lost:  # noqa: BLE001 - `event` raises it
            await self._came.put(lost)


@asynccontextmanager
async def streaming_socket(port: int) -> AsyncIterator[StreamingSocket]:
    """A connection to `port` with as many streams as there are subscriptions."""
    socket = StreamingSocket(port)
    try:
        yield socket
    finally:
        await socket.leave()
