"""Long polls: answers that wait for something to tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class LongPolls:
    """Those who wait, each for a time of its own, and none longer than the server serves."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._over = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._limits)

    @asynccontextmanager
    async def up_to(self, wait_s: float) -> AsyncIterator[None]:
        """Leave the block after so long, or when nobody may wait any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._over else wait_s) as limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)

    def end(self) -> None:
        """Let all go, and nobody wait from now on."""
        self._over = True
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            # One whose time is up cannot be moved any more.
            if not limit.expired():
                limit.reschedule(now)
