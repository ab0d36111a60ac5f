"""What one watcher's connection is sent, by one ordered writer.

Answers, events and replays of all subscriptions of a connection pass through its outbox, so
nothing overtakes. A subscription that is behind is read from the store page by page, in turn with
the others, whenever the outbox has drained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson

from taskpush.core.views import snapshot_body
from taskpush.errors import NotFound, PositionGone, StoreUnavailable, TaskPushError
from taskpush.models.position import Position, WirePosition
from taskpush.models.task import TaskRecord
from taskpush.push.hub import Hub
from taskpush.push.outbox import DEFAULT_LIMIT_BYTES, Message, Outbox, Outgoing, Reply
from taskpush.push.subscription import Subscription
from taskpush.store.base import Store

PAGE_EVENTS: Final = 100
BATCH_BYTES: Final = 64 * 1024
STALLED_AFTER_S: Final = 10.0
PENDING_FOR_S: Final = 60.0

Recheck = Callable[[], Awaitable[TaskRecord | None]]
"""Looks again whether the task exists and may be read."""


class Link(Protocol):
    """The way to one peer."""

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Hand over in order; returns when there is room for more (backpressure)."""
        ...

    def abort(self) -> None:
        """Cut the connection, without waiting for the peer."""
        ...


class Channel:
    """One connection's subscriptions, outbox and writer.

    `run` is the writer. It ends when it is cancelled; and, with the link aborted, when the peer
    has taken nothing for `stalled_after_s` or the store cannot be read.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        link: Link,
        *,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        stalled_after_s: float = STALLED_AFTER_S,
        pending_for_s: float = PENDING_FOR_S,
    ) -> None:
        self._store = store
        self._hub = hub
        self._link = link
        self._stalled_after_s = stalled_after_s
        self._pending_for_s = pending_for_s
        self._outbox = Outbox(limit_bytes)
        self._wake = asyncio.Event()
        # Set whenever something was handed over, and at the end.
        self._drained = asyncio.Event()
        self._closed = False
        self._subscriptions: dict[str, Subscription] = {}
        self._rechecks: dict[str, tuple[Recheck, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        """How many subscriptions it has."""
        return len(self._subscriptions)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._subscriptions

    def say(self, name: str, payload: Mapping[str, Any]) -> None:
        """Send an event of the protocol beside `task_update`."""
        self._put(Message(name, orjson.dumps(payload)))

    def reply(self, to: int | None, payload: Mapping[str, Any]) -> None:
        """Answer a client's event; does nothing when it asked for no answer (`to` is None)."""
        if to is not None:
            self._put(Reply(to, orjson.dumps(payload)))

    async def room(self) -> None:
        """Wait until the peer has taken enough for another answer, or is gone.

        Whoever asks faster than it reads waits here, so that answers do not pile up.
        """
        while not (self._outbox.has_room or self._closed):
            self._drained.clear()
            await self._drained.wait()

    def hold(self, task_id: str) -> Subscription:
        """The task's subscription, noting what is committed from now on but sending nothing.

        Raises `shutting_down` on a channel that is closed.
        """
        if self._closed:
            raise TaskPushError("the connection is closing", code="shutting_down")
        subscription = self._subscriptions.get(task_id)
        if subscription is None:
            subscription = Subscription(task_id, self._outbox, self._wake.set)
            self._subscriptions[task_id] = subscription
            self._hub.attach(task_id, subscription)
        self._forget_recheck(task_id)
        subscription.pause()
        return subscription

    def await_creation(self, subscription: Subscription, recheck: Recheck) -> None:
        """Look again when something of the task is committed; give up after `pending_for_s`."""
        give_up = asyncio.get_running_loop().call_later(
            self._pending_for_s, self._refuse, subscription.task_id
        )
        self._rechecks[subscription.task_id] = (recheck, give_up)
        self._wake.set()

    def drop(self, task_id: str) -> bool:
        """End a subscription; False when there was none."""
        subscription = self._subscriptions.pop(task_id, None)
        if subscription is None:
            return False
        self._forget_recheck(task_id)
        self._hub.detach(task_id, subscription)
        return True

    def close(self) -> None:
        """End every subscription; none can be held afterwards."""
        self._closed = True
        self._drained.set()
        for task_id in tuple(self._subscriptions):
            self.drop(task_id)

    async def run(self) -> None:
        """Deliver, until cancelled or stalled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._deliver()
        except (TimeoutError, StoreUnavailable):
            # Either way the peer comes back by itself and resumes from its position.
            self._link.abort()
        except Exception:
            self._link.abort()
            raise
        finally:
            self.close()

    async def _deliver(self) -> None:
        """Send what waits and read what is behind, until neither is left."""
        while True:
            await self._settle_created()
            await self._replay_round()
            if not self._outbox:
                return
            async with asyncio.timeout(self._stalled_after_s):
                await self._link.send(self._outbox.take(BATCH_BYTES))
            self._drained.set()

    async def _replay_round(self) -> None:
        """Read one page for each subscription that is behind, as far as there is room.

        Who had a page goes to the end of the line, so that a long log does not keep the others
        waiting until it is through.
        """
        for task_id, subscription in tuple(self._subscriptions.items()):
            if subscription.behind and self._outbox.wants_replay:
                await self._replay(subscription)
                if self._subscriptions.get(task_id) is subscription:
                    self._subscriptions[task_id] = self._subscriptions.pop(task_id)

    async def _replay(self, subscription: Subscription) -> None:
        cursor = subscription.cursor
        try:
            page = await self._store.read(
                subscription.task_id, Position(cursor), PAGE_EVENTS, max_bytes=BATCH_BYTES
            )
        except PositionGone as gone:
            await self._resync(subscription, gone)
        except NotFound:
            if self._is_at(subscription, cursor):
                self.say("task_deleted", {"task_id": subscription.task_id})
                self.drop(subscription.task_id)
        else:
            if self._is_at(subscription, cursor):
                subscription.replayed(page)
                self._wake.set()

    def _is_at(self, subscription: Subscription, cursor: int) -> bool:
        """Whether it is still the subscription that was read for: it may have been moved."""
        present = self._subscriptions.get(subscription.task_id)
        return present is subscription and subscription.behind and subscription.cursor == cursor

    async def _resync(self, subscription: Subscription, gone: PositionGone) -> None:
        """Retention overtook a slow reader: tell it, and go on from the snapshot."""
        cursor = subscription.cursor
        record = await self._store.get(subscription.task_id)
        if record is not None and self._is_at(subscription, cursor):
            self.say("resync", resync_payload(record, gone))
            subscription.activate(record.head.seq)

    async def _settle_created(self) -> None:
        """Activate subscriptions whose task has come into being, if it may be read."""
        for task_id, (recheck, _) in tuple(self._rechecks.items()):
            subscription = self._subscriptions.get(task_id)
            if subscription is None or not subscription.stirred:
                continue
            record = await recheck()
            if task_id not in self._rechecks:
                continue
            if record is None:
                # Somebody else's, which must look like one that never comes: until the time is up.
                subscription.stirred = False
            else:
                self._forget_recheck(task_id)
                subscription.activate(0)

    def _refuse(self, task_id: str) -> None:
        """End a subscription whose task did not come into being, or is somebody else's."""
        if self.drop(task_id):
            self.say("error", error_payload(NotFound(), task_id=task_id))

    def _forget_recheck(self, task_id: str) -> None:
        waiting = self._rechecks.pop(task_id, None)
        if waiting is not None:
            waiting[1].cancel()

    def _put(self, item: Outgoing) -> None:
        self._outbox.put(item)
        self._wake.set()


def resync_payload(record: TaskRecord, gone: PositionGone) -> dict[str, Any]:
    """Payload of `resync`: replace what you have with the snapshot, go on from its position."""
    return {
        "task_id": record.task_id,
        "reason": gone.reason,
        "snapshot": snapshot_body(record),
        "position": WirePosition.of(record.head).model_dump(),
        "oldest": gone.oldest,
    }


def error_payload(error: TaskPushError, *, task_id: str | None = None) -> dict[str, Any]:
    """Payload of `error`, with the same codes as REST."""
    payload = {"code": error.code, "message": error.detail}
    return payload if task_id is None else {**payload, "task_id": task_id}
