"""Reading what a watch gives, in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from taskpush.client import Resync, WatchItem

WITHIN_S = 60


async def next_of(items: AsyncIterator[WatchItem], count: int) -> list[WatchItem]:
    async with asyncio.timeout(WITHIN_S):
        return [await anext(items) for _ in range(count)]


async def rest_of(items: AsyncIterator[WatchItem]) -> list[WatchItem]:
    async with asyncio.timeout(WITHIN_S):
        return [item async for item in items]


def seqs(items: list[WatchItem]) -> list[int | None]:
    return [None if isinstance(item, Resync) else item.seq for item in items]


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition()` holds: for what happens in the fake server's thread."""
    async with asyncio.timeout(WITHIN_S):
        # Nothing that could be awaited: another thread changes it.
        while not condition():  # noqa: ASYNC110 - what changes it is not ours to await
            await asyncio.sleep(0.005)
