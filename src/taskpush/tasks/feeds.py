"""Feeds for a principal: which tasks a name means to them, and what changes among these."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from taskpush.access.policy import readable
from taskpush.access.principal import Principal
from taskpush.core.feeds import Pace
from taskpush.core.limits import DEFAULT_LIMITS, Limits
from taskpush.errors import TaskPushError
from taskpush.models.feed import QUEUE_FEED, FeedFilter, SubscribeFeed
from taskpush.push.channel import Channel
from taskpush.push.feed import DEFAULT_PACE, FeedHub, FeedNews, unsealed
from taskpush.push.feed_subscription import FeedSubscription
from taskpush.store.base import Store
from taskpush.store.changes import ChangePage
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.tasks.queueing.watch import QueueWatch
from taskpush.tasks.waiting import LongPolls

MAX_FEED_PAGE: Final = 1000


class Feeds:
    """Reads feeds and subscribes connections to them, for a principal, by the policy.

    The queues are watched like a feed, by the name `queue`.
    """

    def __init__(
        self,
        store: Store,
        hub: FeedHub,
        keeper: QueueKeeper,
        pace: Pace = DEFAULT_PACE,
        *,
        polls: LongPolls | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._max_subscriptions = limits.subscriptions
        self._polls = LongPolls() if polls is None else polls
        self._store = store
        self._hub = hub
        self._keeper = keeper
        self._pace = pace

    def subscribe(
        self, channel: Channel, principal: Principal, command: SubscribeFeed, reply_to: int | None
    ) -> None:
        """Answer, then send what changed after the cursor, or the active tasks, then live.

        Subscribing again moves the cursor. Raises `subscription_limit`.
        """
        feed = command.feed
        subscription = self._subscription(channel, principal, feed)
        channel.reply(reply_to, {"ok": True, "feed": feed})
        channel.say("subscribed", {"feed": feed})
        subscription.start(command.after)

    def follow(self, channel: Channel, principal: Principal, feed: str, after: str | None) -> None:
        """As `subscribe`, for a peer that is given no answer."""
        self._subscription(channel, principal, feed).start(after)

    def _subscription(
        self, channel: Channel, principal: Principal, feed: str
    ) -> FeedSubscription | QueueWatch:
        """The channel's subscription to the feed, which may be a new one."""
        subscription = channel.source(feed)
        if not isinstance(subscription, FeedSubscription | QueueWatch):
            if len(channel) >= self._max_subscriptions:
                raise TaskPushError(
                    f"at most {self._max_subscriptions} subscriptions", code="subscription_limit"
                )
            subscription = self._new_subscription(channel, principal, feed)
            channel.add_source(subscription)
        return subscription

    def _new_subscription(
        self, channel: Channel, principal: Principal, feed: str
    ) -> FeedSubscription | QueueWatch:
        if feed == QUEUE_FEED:
            return self._keeper.watch(channel, principal)
        return FeedSubscription(
            feed,
            feed_filter(principal, feed),
            self._store,
            self._hub,
            channel.outbox,
            channel,
            pace=self._pace,
        )

    def unsubscribe(self, channel: Channel, feed: str, reply_to: int | None) -> None:
        """End a subscription; ending one that does not exist is no error."""
        channel.drop_source(feed)
        channel.reply(reply_to, {"ok": True, "feed": feed})

    async def page(
        self, principal: Principal, feed: str, after: str | None, *, limit: int, wait_s: float
    ) -> tuple[ChangePage, str]:
        """What changed in the feed after a cursor, and the next one; without, its active tasks.

        With `wait_s`, an empty answer waits that long for the next change, unless the server stops.
        """
        where = feed_filter(principal, feed)
        after = unsealed(self._hub.seal, after)
        page = await self._page(feed, where, after, limit=limit, wait_s=wait_s)
        return page, self._hub.seal.close(str(page.cursor))

    async def _page(
        self, feed: str, where: FeedFilter, after: str | None, *, limit: int, wait_s: float
    ) -> ChangePage:
        if after is None or wait_s <= 0:
            return await self._store.changes(where, after=after, limit=limit)
        stirred = _Stirred()
        self._hub.attach(feed, where, stirred)
        try:
            page = await self._store.changes(where, after=after, limit=limit)
            async with self._polls.up_to(wait_s):
                while page.end and not (page.tasks or page.reset):
                    await stirred.next()
                    after = str(page.cursor)
                    page = await self._store.changes(where, after=after, limit=limit)
            return page
        finally:
            self._hub.detach(feed, where, stirred)


def feed_filter(principal: Principal, feed: str) -> FeedFilter:
    """The tasks that the name of a feed means to the principal: never more than it may read.

    Raises `forbidden` for who may read none of them, whatever they are.
    """
    match feed.partition(":"):
        case ("kind", _, kind):
            return readable(principal, kind=kind)
        case ("tag", _, tag):
            return readable(principal, tag=tag)
        case ("owner", _, "me"):
            return replace(readable(principal), owner=principal.owner)
        case _:
            return readable(principal)


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
