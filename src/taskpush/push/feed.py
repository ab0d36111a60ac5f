"""Feeds in this process: one agenda and one pace for all who watch the same feed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final, Protocol

from taskpush.access.seal import Seal
from taskpush.core.feeds import Agenda, Pace, Told
from taskpush.core.views import summary_body
from taskpush.models.feed import Born, Change, Cursor, FeedFilter, Mark, Tombstone
from taskpush.push.outbox import Message
from taskpush.store.base import Store

DEFAULT_PACE: Final = Pace()
NO_CURSOR: Final = ""
"""What the store takes for a cursor that it does not know."""

_Key = tuple[str, str | None, str | None, str | None]


class FeedNews:
    """The newest state of one task of a feed, encoded once for all who watch it."""

    def __init__(self, feed: str, told: Told, seal: Seal) -> None:
        self._feed = feed
        self._told = told
        self._seal = seal

    @cached_property
    def cursor(self) -> str:
        """Where those go on who know everything that was told before."""
        return str(Cursor(self._told.mark))

    @cached_property
    def message(self) -> Message:
        """For those who know everything that was told before."""
        return replace(self.message_at(self.cursor), shared=True)

    def message_at(self, cursor: str) -> Message:
        """For those who have come as far as `cursor` only, which they are told sealed."""
        created = self._told.created and not isinstance(self._told.task, Tombstone)
        name = "task_created" if created else "feed_update"
        return feed_message(name, self._feed, self._body, self._seal.close(cursor))

    @cached_property
    def _body(self) -> bytes:
        return summary_body(self._told.task)


class FeedWatcher(Protocol):
    """Is told what changed in a feed, so many tasks at a time; must not block, await or raise."""

    def on_news(self, news: Sequence[FeedNews]) -> None: ...

    def on_overflow(self) -> None:
        """More changed than is kept: the store says what."""
        ...


class _Feed:
    """A feed that somebody watches."""

    def __init__(self, name: str, pace: Pace, seal: Seal) -> None:
        self.name = name
        self.agenda = Agenda()
        self.watchers: dict[FeedWatcher, None] = {}
        # None until something was told.
        self.told_at: float | None = None
        # None while nothing is planned.
        self.timer: asyncio.TimerHandle | None = None
        self._pace = pace
        self._seal = seal

    def tell(self, now: Mark, at: float) -> int:
        """Tell what is due; returns how often something was told to somebody."""
        self.told_at = at
        told = self.agenda.take(self._pace.batch, now)
        news = [FeedNews(self.name, each, self._seal) for each in told]
        # A copy, since a watcher may detach while it is told.
        watchers = tuple(self.watchers)
        for watcher in watchers:
            watcher.on_news(news)
        return len(news) * len(watchers)

    def overflow(self) -> None:
        """Forget what waits, and say so."""
        self.agenda.clear()
        for watcher in tuple(self.watchers):
            watcher.on_overflow()

    def due_in(self, at: float) -> float:
        """Seconds until something may be told."""
        return self._pace.due_in(self.told_at, at)


class FeedHub:
    """Knows who watches which feed, and tells them what changes, at the feed's pace.

    It keeps the changes that were not told yet, of the watched feeds only. Whoever attaches is
    told of what changes from then on, and reads the store for what was before. Cursors leave the
    process by its `seal` only.
    """

    def __init__(
        self, store: Store, pace: Pace = DEFAULT_PACE, *, seal: Seal | None = None
    ) -> None:
        self.seal = Seal() if seal is None else seal
        self._store = store
        self._pace = pace
        # By what a task is found in it by, then by name: two names may mean the same tasks.
        self._feeds: dict[_Key, dict[str, _Feed]] = {}
        # What the agendas cover, while there are any.
        self._mark: Mark | None = None
        # How often somebody was told of a task's newest state.
        self.told = 0

    def __len__(self) -> int:
        """How many feeds are watched."""
        return sum(map(len, self._feeds.values()))

    def attach(self, name: str, where: FeedFilter, watcher: FeedWatcher) -> None:
        """Start telling `watcher`; attaching twice is the same as once."""
        if not self._feeds:
            self._mark = self._store.mark
        feeds = self._feeds.setdefault(_key_of(where), {})
        feed = feeds.get(name)
        if feed is None:
            feed = feeds[name] = _Feed(name, self._pace, self.seal)
        feed.watchers[watcher] = None

    def detach(self, name: str, where: FeedFilter, watcher: FeedWatcher) -> None:
        """Stop telling `watcher`; does nothing when it is not attached."""
        feeds = self._feeds.get(_key_of(where), {})
        feed = feeds.get(name)
        if feed is None:
            return
        feed.watchers.pop(watcher, None)
        if feed.watchers:
            return
        if feed.timer is not None:
            feed.timer.cancel()
        del feeds[name]
        if not feeds:
            del self._feeds[_key_of(where)]

    def announce(self, changes: Sequence[Change], mark: Mark) -> None:
        """Note what changed up to `mark`; the store calls it, after the commit."""
        if not self._feeds or self._mark is None:
            return
        before, self._mark = self._mark, mark
        for change in changes:
            for key in _keys_with(change.task):
                for feed in self._feeds.get(key, {}).values():
                    feed.agenda.note(change, before)
                    if feed.agenda.is_full:
                        feed.overflow()
                    self._plan(feed)

    def _plan(self, feed: _Feed) -> None:
        if feed.timer is None and feed.agenda:
            loop = asyncio.get_running_loop()
            feed.timer = loop.call_later(feed.due_in(loop.time()), self._tell, feed)

    def _tell(self, feed: _Feed) -> None:
        feed.timer = None
        if feed.watchers and self._mark is not None:
            self.told += feed.tell(self._mark, asyncio.get_running_loop().time())
            self._plan(feed)


def unsealed(seal: Seal, cursor: str | None) -> str | None:
    """A cursor as a reader gave it, as the store knows it; what is none stays unknown."""
    return None if cursor is None else seal.open(cursor) or NO_CURSOR


def feed_message(name: str, feed: str, body: bytes, cursor: str) -> Message:
    """An event of a feed about one task; `body` is what is said of it, `cursor` is sealed."""
    said = b'{"feed":"%b","task":%b,"cursor":"%b"}' % (feed.encode(), body, cursor.encode())
    return Message(name, said, position=cursor)


def _key_of(where: FeedFilter) -> _Key:
    return (where.tenant, where.owner, where.kind, where.tag)


def _keys_with(task: Born) -> Iterable[_Key]:
    """Every way to name a feed that the task is in, by at most one of kind and tag."""
    tenant = task.tenant
    for owner in (None, task.owner):
        yield (tenant, owner, None, None)
        yield (tenant, owner, task.kind, None)
        for tag in task.tags:
            yield (tenant, owner, None, tag)
