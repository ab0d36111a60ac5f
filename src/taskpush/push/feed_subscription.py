"""One feed watched over one connection: from a cursor through the store into what is told to all.

While it keeps up it takes what the hub tells everybody. When its outbox is full it takes no more,
and goes on from its cursor in the store, at the same pace: what is kept for it is one cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import orjson

from taskpush.core.feeds import Pace
from taskpush.core.views import summary_body
from taskpush.models.feed import FeedFilter
from taskpush.models.values import encoded
from taskpush.push.feed import DEFAULT_PACE, FeedHub, FeedNews, feed_message, unsealed
from taskpush.push.outbox import Message, Outbox
from taskpush.store.base import Store
from taskpush.store.changes import ChangePage

LIST_TASKS: Final = 100
"""How many tasks one `active_tasks` holds at most."""
PAGE_BYTES: Final = 64 * 1024


class FeedKeeper(Protocol):
    """Whose subscription it is."""

    def wake(self) -> None:
        """Something was put into the outbox."""
        ...

    def wants_read(self, source: FeedSubscription, /) -> None:
        """Call `read` when the outbox has room for a page."""
        ...


class FeedSubscription:
    """A cursor in one feed, and what keeps it moving.

    It is attached to the hub all the time, so that nothing falls between what a page says and what
    is told next. Until a page has come up to the present, and nothing was refused meanwhile, it is
    behind.
    """

    def __init__(
        self,
        name: str,
        where: FeedFilter,
        store: Store,
        hub: FeedHub,
        outbox: Outbox,
        keeper: FeedKeeper,
        *,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        self.name = name
        # Whether the store must be read for it.
        self.behind = False
        self._where = where
        self._store = store
        self._hub = hub
        self._outbox = outbox
        self._keeper = keeper
        self._pace = pace
        # What the peer knows, as the store says it; None until it was told the first page.
        self._cursor: str | None = None
        # Whether the pages are still those that the subscription begins with. They are finite,
        # and follow one another at once; the others come at the feed's pace.
        self._listing = True
        # What was told and not taken since the last page was begun.
        self._refused = False
        # None while no page is being read; else which `start` it is read for.
        self._reading_for: int | None = None
        self._starts = 0
        # None until a page was read.
        self._read_at: float | None = None
        # None unless the next page waits for its time.
        self._timer: asyncio.TimerHandle | None = None

    def start(self, after: str | None) -> None:
        """Begin, or begin anew, with what changed after a cursor, or with the active tasks."""
        self._hub.attach(self.name, self._where, self)
        self._starts += 1
        self._cursor = unsealed(self._hub.seal, after)
        self._listing = True
        self._read_at = None
        self.behind = True
        self._keeper.wants_read(self)

    def close(self) -> None:
        """Take nothing more."""
        self._starts += 1
        self.behind = False
        self._hub.detach(self.name, self._where, self)
        if self._timer is not None:
            self._timer.cancel()

    def on_news(self, news: Sequence[FeedNews]) -> None:
        """Take what there is room for."""
        if self._listing or self._reading_for is not None:
            # What a page says could be older, and would be sent after it.
            self._refused = True
            return
        for each in news:
            if not self._outbox.has_room:
                self._fall_behind()
                return
            if self.behind and self._cursor is not None:
                # Those that change all the time get their turn, also when the peer is slow.
                self._outbox.put(each.message_at(self._cursor))
            else:
                self._cursor = each.cursor
                self._outbox.put(each.message)
            self._keeper.wake()

    def on_overflow(self) -> None:
        self._fall_behind()

    async def read(self) -> None:
        """Put one page into the outbox; for the keeper, one call at a time."""
        if not self.behind:
            return
        if not self._listing and (wait_s := self._due_in()) > 0:
            self._read_later(wait_s)
            return
        start = self._reading_for = self._starts
        self._refused = False
        try:
            page, bodies = await self._fitting_page()
        finally:
            self._reading_for = None
        if start != self._starts:
            return
        self._tell(page, bodies)
        self._listing = not page.writes_end
        self._read_at = self._now()
        self.behind = self._refused or not page.end
        if self.behind:
            self._keeper.wants_read(self)

    async def _fitting_page(self) -> tuple[ChangePage, list[bytes]]:
        """A page whose texts are not too long for the outbox."""
        limit = LIST_TASKS if self._listing else self._pace.batch
        while True:
            page = await self._store.changes(self._where, after=self._cursor, limit=limit)
            bodies = [summary_body(task) for task in page.tasks]
            size = sum(map(len, bodies))
            if size <= PAGE_BYTES * 2 or limit == 1:
                return page, bodies
            limit = max(1, limit * PAGE_BYTES // size)

    def _tell(self, page: ChangePage, bodies: Sequence[bytes]) -> None:
        known, self._cursor = self._cursor, str(page.cursor)
        close = self._hub.seal.close
        if self._listing or page.reset or known is None:
            self._outbox.put(_list_message(self.name, page, bodies, close(self._cursor)))
        else:
            for number, body in enumerate(bodies, 1):
                # All of the page is needed before the next may be gone on with.
                cursor = self._cursor if number == len(bodies) else known
                self._outbox.put(feed_message("feed_update", self.name, body, close(cursor)))
        self._keeper.wake()

    def _fall_behind(self) -> None:
        self._refused = True
        if not self.behind:
            self.behind = True
            self._keeper.wants_read(self)

    def _due_in(self) -> float:
        return self._pace.due_in(self._read_at, self._now())

    def _read_later(self, wait_s: float) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(wait_s, self._is_due)

    def _is_due(self) -> None:
        self._timer = None
        if self.behind:
            self._keeper.wants_read(self)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _list_message(feed: str, page: ChangePage, bodies: Sequence[bytes], cursor: str) -> Message:
    listed = {
        "feed": feed,
        "tasks": [orjson.Fragment(body) for body in bodies],
        "cursor": cursor,
        "reset": page.reset,
        "more": not page.end,
    }
    return Message("active_tasks", encoded(listed), position=cursor)
