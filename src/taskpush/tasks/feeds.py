"""Feeds for a principal: which tasks a name means to them, and what changed among these."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from taskpush.access.policy import readable
from taskpush.access.principal import Principal
from taskpush.models.feed import FeedFilter
from taskpush.push.feed import FeedHub, FeedNews
from taskpush.store.base import Store
from taskpush.store.changes import ChangePage

MAX_FEED_PAGE: Final = 1000


class Feeds:
    """Reads feeds, for a principal, by the policy."""

    def __init__(self, store: Store, hub: FeedHub) -> None:
        self._store = store
        self._hub = hub

    async def page(
        self, principal: Principal, feed: str, after: str | None, *, limit: int, wait_s: float
    ) -> ChangePage:
        """What changed in the feed after a cursor; without one, its active tasks.

        With `wait_s`, an empty answer waits that long for the next change.
        """
        where = feed_filter(principal, feed)
        if after is None or wait_s <= 0:
            return await self._store.changes(where, after=after, limit=limit)
        stirred = _Stirred()
        self._hub.attach(feed, where, stirred)
        try:
            page = await self._store.changes(where, after=after, limit=limit)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    while page.end and not (page.tasks or page.reset):
                        await stirred.next()
                        after = str(page.cursor)
                        page = await self._store.changes(where, after=after, limit=limit)
            return page
        finally:
            self._hub.detach(feed, where, stirred)


def feed_filter(principal: Principal, feed: str) -> FeedFilter:
    """The tasks that the name of a feed means to the principal: never more than it may read."""
    mine = readable(principal)
    match feed.partition(":"):
        case ("kind", _, kind):
            return replace(mine, kind=kind)
        case ("tag", _, tag):
            return replace(mine, tag=tag)
        case ("owner", _, "me"):
            return replace(mine, owner=principal.owner)
        case _:
            return mine


class _Stirred:
    """A watcher that only notes that something happened, at the feed's pace."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def on_news(self, news: Sequence[FeedNews]) -> None:
        self._event.set()

    def on_overflow(self) -> None:
        self._event.set()

    async def next(self) -> None:
        """Until something happens that was not waited for yet."""
        await self._event.wait()
        self._event.clear()
