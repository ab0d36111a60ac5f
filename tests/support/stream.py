"""A raw reader of Server-Sent Events: as little client as possible, so that it hides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from tests.support.feed_view import FeedView


@dataclass(frozen=True)
class StreamEvent:
    """What one block of a stream said."""

    # None when it said only an id, or how long to wait before coming back.
    name: str | None
    id: str | None
    data: Any = None


class RawStream:
    """One answer of a stream over a socket of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.comments = 0
        # How long the server wants to be left alone after a loss; None until it said so.
        self.retry_ms: int | None = None
        self.writer = writer
        self._reader = reader
        self._text = b""

    async def open(self, path: str, headers: Mapping[str, str]) -> None:
        """Ask, and read the head of the answer."""
        said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{said}\r\n"
        self.writer.write(request.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        self.status = int(head[0].split()[1])
        for line in head[1:-1]:
            name, value = line.split(": ", 1)
            self.headers[name.lower()] = value

    async def event(self) -> StreamEvent | None:
        """The next event, None when the server has ended the answer in order.

        Raises what asyncio raises when the connection is lost; what came of an event is lost too.
        """
        while True:
            while b"\n\n" not in self._text:
                chunk = await self._chunk()
                if not chunk:
                    assert self._text == b"", self._text
                    return None
                self._text += chunk
            block, self._text = self._text.split(b"\n\n", 1)
            event = self._parse(block.decode())
            if event.id is not None or event.name is not None:
                return event

    async def events(self) -> list[StreamEvent]:
        """All events until the end."""
        events = []
        while (event := await self.event()) is not None:
            events.append(event)
        return events

    async def _chunk(self) -> bytes:
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    def _parse(self, block: str) -> StreamEvent:
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, _, value = line.partition(":")
            if not name:
                self.comments += 1
            else:
                assert name not in fields, block
                fields[name] = value.removeprefix(" ")
        if "retry" in fields:
            self.retry_ms = int(fields["retry"])
        data = orjson.loads(fields["data"]) if "data" in fields else None
        return StreamEvent(fields.get("event"), fields.get("id"), data)


@asynccontextmanager
async def raw_stream(port: int, path: str, **headers: str) -> AsyncIterator[RawStream]:
    """An answer; the connection is cut at the end. `last_event_id=` is sent as `Last-Event-ID`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        stream = RawStream(reader, writer)
        await stream.open(path, {name.replace("_", "-"): text for name, text in headers.items()})
        yield stream
    finally:
        writer.transport.abort()


class StreamWatcher:
    """Watches one task as a browser's `EventSource` does: it comes back until it is told 204."""

    def __init__(self, port: int, task_id: str) -> None:
        self.port = port
        self.task_id = task_id
        self.received: list[dict[str, Any]] = []
        self.resyncs: list[dict[str, Any]] = []
        self.reconnects = 0
        self._last_id: str | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until the server says that there is nothing more."""
        while await self._once():
            self.reconnects += 1

    async def until_seq(self, seq: int) -> None:
        """Until the event with that seq, or a later one, was received."""
        async with asyncio.timeout(60):
            while not any((event["seq"] or 0) >= seq for event in self.received):
                self._changed.clear()
                await self._changed.wait()

    async def _once(self) -> bool:
        headers = {} if self._last_id is None else {"last_event_id": self._last_id}
        path = f"/api/tasks/{self.task_id}/stream"
        try:
            async with raw_stream(self.port, path, **headers) as stream:
                if stream.status == 204:
                    return False
                assert stream.status == 200
                while (event := await stream.event()) is not None:
                    self._take(event)
        except (OSError, EOFError):
            # The server may be away: there is nothing to await but another try.
            await asyncio.sleep(0.02)
        return True

    def _take(self, event: StreamEvent) -> None:
        self._last_id = event.id or self._last_id
        if event.name == "task_update":
            assert event.id == _position(event.data)
            self.received.append(event.data)
        elif event.name == "resync":
            self.resyncs.append(event.data)
        self._changed.set()


class FeedStreamWatcher:
    """Watches one feed as a browser's `EventSource` does, until cancelled."""

    def __init__(self, port: int, feed: str = "all") -> None:
        self.port = port
        self.feed = feed
        self.view = FeedView()
        self.reconnects = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Watch, and come back after every loss."""
        while True:
            headers = {} if self.view.cursor is None else {"last_event_id": self.view.cursor}
            try:
                path = f"/api/stream?feed={self.feed}"
                async with raw_stream(self.port, path, **headers) as stream:
                    while (event := await stream.event()) is not None:
                        self._take(event)
            except (OSError, EOFError):
                # The server may be away: there is nothing to await but another try.
                await asyncio.sleep(0.02)
            self.reconnects += 1

    async def until(self, condition: Callable[[FeedView], bool], timeout_s: float = 60) -> None:
        """Until the condition holds; checked whenever something was received."""
        async with asyncio.timeout(timeout_s):
            while not condition(self.view):
                self._changed.clear()
                await self._changed.wait()

    def _take(self, event: StreamEvent) -> None:
        assert event.name is not None
        assert event.data["feed"] == self.feed
        assert event.data["cursor"] == event.id
        self.view.take(event.name, event.data)
        self._changed.set()


def _position(envelope: dict[str, Any]) -> str | None:
    return None if envelope["seq"] is None else f"{envelope['epoch']}:{envelope['seq']}"
