"""Watches one feed through cuts and restarts, over a raw socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.support.feed_view import FeedView
from tests.support.watcher import raw_socket


class FeedWatcher:
    """Keeps what it was told in `view`, and goes on from its cursor."""

    def __init__(self, port: int, feed: str = "all") -> None:
        self.port = port
        self.feed = feed
        self.view = FeedView()
        self.reconnects = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Connect, watch, and come back after every loss; until cancelled."""
        while True:
            try:
                async with raw_socket(self.port) as socket:
                    await socket.emit("subscribe", {"feed": self.feed, "after": self.view.cursor})
                    while True:
                        self._take(*await socket.event())
            except (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, EOFError):
                self.reconnects += 1
                # The server may be away: there is nothing to await but another try.
                await asyncio.sleep(0.02)

    async def until(self, condition: Callable[[FeedView], bool], timeout_s: float = 60) -> None:
        """Until the condition holds; checked whenever something was received."""
        async with asyncio.timeout(timeout_s):
            while not condition(self.view):
                self._changed.clear()
                await self._changed.wait()

    def _take(self, name: str, payload: Any) -> None:
        if name not in {"connected", "subscribed"}:
            assert payload["feed"] == self.feed
            self.view.take(name, payload)
        self._changed.set()
