"""Following tasks and feeds until they are over, or until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from taskpush.cli.watching.render import Renderer
from taskpush.client import AsyncClient, ClientError, FeedChange, Task

TICK_S: Final = 1 / 8


@dataclass(slots=True)
class Followed:
    """How far the watching of tasks has come."""

    # In their order; None is the start.
    after: Mapping[str, str | None]
    # What was shown last of each task, as text; where to go on.
    positions: dict[str, str] = field(default_factory=dict)
    # With which status those tasks ended that are over, or why they can't be watched any more.
    ends: dict[str, str | ClientError] = field(default_factory=dict)

    # Those that only the program can start again that runs them.
    elsewhere: set[str] = field(default_factory=set)

    @property
    def resumable(self) -> Sequence[str]:
        """Tasks that were interrupted, and that anybody may have gone on with."""
        ended = (task_id for task_id, end in self.ends.items() if end == "interrupted")
        return [task_id for task_id in ended if task_id not in self.elsewhere]

    @property
    def left(self) -> Sequence[str]:
        """Tasks that are not over."""
        return [task_id for task_id in self.after if task_id not in self.ends]


@dataclass(slots=True)
class FollowedFeed:
    """How far the watching of a feed has come."""

    feed: str
    # None until something was shown.
    cursor: str | None = None


async def follow_tasks(
    client: AsyncClient, tasks: Iterable[Task], screen: Renderer, followed: Followed
) -> None:
    """Show the tasks until all of them are over, noting in `followed` what becomes of them."""
    for task in tasks:
        screen.expect(task)
    async with _shown_on(screen):
        following = [
            asyncio.create_task(_follow(client, task_id, after, screen, followed))
            for task_id, after in followed.after.items()
        ]
        try:
            await asyncio.gather(*following)
        finally:
            # One of them may not have been able to write, and the others go on.
            for each in following:
                each.cancel()


async def follow_feed(client: AsyncClient, screen: Renderer, followed: FollowedFeed) -> None:
    """Show the feed without end, noting in `followed` how far it has come."""
    async with _shown_on(screen):
        async for item in client.feed(followed.feed, followed.cursor):
            screen.change(item)
            if isinstance(item, FeedChange):
                followed.cursor = item.cursor or followed.cursor


async def _follow(
    client: AsyncClient, task_id: str, after: str | None, screen: Renderer, followed: Followed
) -> None:
    status = ""
    try:
        async for item in client.watch(task_id, after):
            screen.show(item)
            if item.position is not None:
                followed.positions[task_id] = str(item.position)
            if item.event_type in ("status_change", "resync"):
                status = str(item.data.get("status", ""))
        # There was nothing to show any more: it was over before.
        followed.ends[task_id] = status or (await client.get_task(task_id)).status
    except ClientError as error:
        followed.ends[task_id] = error


@asynccontextmanager
async def _shown_on(screen: Renderer) -> AsyncIterator[None]:
    with screen:
        ticking = asyncio.create_task(_tick(screen), name="taskpush-screen")
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking


async def _tick(screen: Renderer) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        screen.tick()
