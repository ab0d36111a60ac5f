"""What one watcher's connection is sent, in one order.

Answers, events and replays of all subscriptions of a connection pass through its outbox, so
nothing overtakes. A subscription that is behind is read from the store page by page, in turn with
the others, whenever the outbox has drained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from taskpush.core.views import snapshot_body
from taskpush.errors import NotFound, PositionGone, StoreUnavailable, TaskPushError
from taskpush.models.position import WirePosition
from taskpush.models.task import TaskRecord
from taskpush.models.values import encoded
from taskpush.push.link import Link
from taskpush.push.outbox import Message, Outbox, Outgoing, Reply
from taskpush.push.plane import PushPlane
from taskpush.push.subscription import Subscription

PENDING_FOR_S: Final = 60.0

Recheck = Callable[[], Awaitable[TaskRecord | None]]
"""Looks again whether the task exists and may be read."""


class Source(Protocol):
    """What fills the outbox beside the subscriptions to tasks: a feed."""

    name: str
    """Not the id of a task."""
    behind: bool
    """Whether the store must be read for it."""

    async def read(self) -> None:
        """Read a page from the store into the outbox, when it is time for one."""
        ...

    def close(self) -> None: ...


class Channel:
    """One connection's subscriptions and outbox.

    What is put into the outbox is written in the same turn of the loop, as far as the link has
    room; a task reads the store, and lives only while something is behind. When the store cannot
    be read the link is aborted: the peer comes back by itself and resumes from its position.
    """

    __slots__ = (
        "_behind",
        "_closed",
        "_link",
        "_marked",
        "_on_settled",
        "_pending_for_s",
        "_plane",
        "_reading",
        "_rechecks",
        "_room_wanted",
        "_sources",
        "_subscriptions",
        "outbox",
        "view",
    )

    def __init__(
        self,
        plane: PushPlane,
        link: Link,
        *,
        pending_for_s: float = PENDING_FOR_S,
        on_settled: Callable[[], None] | None = None,
    ) -> None:
        self._plane = plane
        self._link = link
        self._pending_for_s = pending_for_s
        # Called when everything that was committed so far has been written.
        self._on_settled = on_settled
        self.outbox = Outbox(plane.outbox_bytes)
        # What the peer may see of a record; set by whoever knows who it is.
        self.view: Callable[[TaskRecord], TaskRecord] = _as_it_is
        self._marked = False
        self._closed = False
        self._subscriptions: dict[str, Subscription] = {}
        self._sources: dict[str, Source] = {}
        # Those that the store must be read for; who had a page goes to the end of the line.
        self._behind: dict[str, Subscription | Source] = {}
        self._reading: asyncio.Task[None] | None = None
        self._rechecks: dict[str, tuple[Recheck, asyncio.TimerHandle]] = {}
        self._room_wanted: list[asyncio.Future[None]] = []
        plane.dispatcher.add(self)

    def __len__(self) -> int:
        """How many subscriptions it has."""
        return len(self._subscriptions) + len(self._sources)

    def __contains__(self, name: str) -> bool:
        return name in self._subscriptions or name in self._sources

    @property
    def limits(self) -> dict[str, int]:
        """What may wait for this peer, and for all peers together."""
        plane = self._plane
        return {
            "outbox_bytes": plane.outbox_bytes,
            "outboxes_bytes": plane.dispatcher.outboxes_bytes,
        }

    def say(self, name: str, payload: Mapping[str, Any]) -> None:
        """Send an event of the protocol beside `task_update`."""
        self._put(Message(name, encoded(payload)))

    def resync(self, record: TaskRecord, gone: PositionGone) -> None:
        """Tell that the log cannot be continued, and what the task is like now."""
        body = encoded(_resync_payload(self.view(record), gone))
        self._put(Message("resync", body, position=str(record.head), final=record.final))

    def reply(self, to: int | None, payload: Mapping[str, Any]) -> None:
        """Answer a client's event; does nothing when it asked for no answer (`to` is None)."""
        if to is not None:
            self._put(Reply(to, encoded(payload)))

    async def room(self) -> None:
        """Wait until the peer has taken enough for another answer, or is gone.

        Whoever asks faster than it reads waits here, so that answers do not pile up.
        """
        while not (self.outbox.has_room or self._closed):
            wanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room_wanted.append(wanted)
            await wanted

    def hold(self, task_id: str, *, previews: bool = False) -> Subscription:
        """The task's subscription, noting what is committed from now on but sending nothing.

        With `previews` those are among what it will send. Raises `shutting_down` on a channel that
        is closed.
        """
        if self._closed:
            raise TaskPushError("the connection is closing", code="shutting_down")
        subscription = self._subscriptions.get(task_id)
        if subscription is None:
            subscription = Subscription(task_id, self.outbox, self)
            self._subscriptions[task_id] = subscription
            self._plane.hub.attach(task_id, subscription)
        self._forget_recheck(task_id)
        subscription.pause()
        subscription.previews = previews
        self._behind.pop(task_id, None)
        return subscription

    def subscription(self, task_id: str) -> Subscription | None:
        """The subscription to that task; None when there is none."""
        return self._subscriptions.get(task_id)

    @property
    def subscriptions(self) -> Iterable[Subscription]:
        """Those to tasks, in the order in which they began."""
        return self._subscriptions.values()

    @property
    def sources(self) -> Iterable[Source]:
        """What fills the outbox beside them."""
        return self._sources.values()

    def is_pending(self, task_id: str) -> bool:
        """Whether it waits for that task to be created."""
        return task_id in self._rechecks

    def source(self, name: str) -> Source | None:
        """The source of that name; None when there is none."""
        return self._sources.get(name)

    def add_source(self, source: Source) -> None:
        """Let `source` fill the outbox until it is dropped; raises `shutting_down` as `hold`."""
        if self._closed:
            raise TaskPushError("the connection is closing", code="shutting_down")
        self._sources[source.name] = source

    def drop_source(self, name: str) -> None:
        """End a source; does nothing when there is none of that name."""
        source = self._sources.pop(name, None)
        if source is not None:
            self._behind.pop(name, None)
            source.close()

    def await_creation(self, subscription: Subscription, recheck: Recheck) -> None:
        """Look again when something of the task is committed; give up after `pending_for_s`."""
        give_up = asyncio.get_running_loop().call_later(
            self._pending_for_s, self._refuse, subscription.task_id
        )
        self._rechecks[subscription.task_id] = (recheck, give_up)
        if subscription.stirred:
            self.fall_behind(subscription)

    def drop(self, task_id: str) -> bool:
        """End a subscription; False when there was none."""
        subscription = self._subscriptions.pop(task_id, None)
        if subscription is None:
            return False
        self._behind.pop(task_id, None)
        self._forget_recheck(task_id)
        self._plane.hub.detach(task_id, subscription)
        return True

    def close(self) -> None:
        """End every subscription; none can be held afterwards, and nothing more is written."""
        if self._closed:
            return
        self._closed = True
        self._plane.dispatcher.discard(self)
        self._give_room()
        for task_id in tuple(self._subscriptions):
            self.drop(task_id)
        for name in tuple(self._sources):
            self.drop_source(name)
        if self._reading is not None:
            self._reading.cancel()

    @property
    def waiting_bytes(self) -> int:
        """What waits for the peer: here, and on its link."""
        return self.outbox.size_bytes + self._link.waiting_bytes

    @property
    def taken_bytes(self) -> int:
        """What the peer has taken since it came."""
        return self._link.taken_bytes

    def abort(self) -> None:
        """Cut the connection off, without waiting for the peer."""
        self._link.abort()

    def wake(self) -> None:
        """Something was put into the outbox: flush it in this turn of the loop."""
        if not self._marked:
            self._marked = True
            self._plane.dispatcher.mark(self)

    def fall_behind(self, subscription: Subscription) -> None:
        """The store must be read for `subscription`."""
        self._behind.setdefault(subscription.task_id, subscription)
        self.wake()

    def wants_read(self, source: Source) -> None:
        """The store must be read for `source`."""
        if self._sources.get(source.name) is source:
            self._behind.setdefault(source.name, source)
            self.wake()

    def flush(self) -> None:
        """Write what waits, as far as the link has room, and read on where it must be read."""
        self._marked = False
        if self._closed:
            return
        outbox, link = self.outbox, self._link
        # Not whether it is true, which takes a call, for each connection and event.
        while outbox.size_bytes and (room := link.room):
            link.write(outbox.take(room))
        # As long as nothing waits here, the link bounds what waits there.
        outbox.link_bytes = link.waiting_bytes if outbox.size_bytes else 0
        if self._room_wanted and outbox.has_room:
            self._give_room()
        if self._behind and self._reading is None and outbox.wants_replay:
            self._reading = asyncio.create_task(self._read(), name="taskpush-replay")
        if self._on_settled is not None and self._is_settled():
            self._on_settled()

    def _is_settled(self) -> bool:
        return not self.outbox and not any(
            subscription.behind for subscription in self._subscriptions.values()
        )

    def _give_room(self) -> None:
        wanted, self._room_wanted = self._room_wanted, []
        for future in wanted:
            if not future.done():
                future.set_result(None)

    async def _read(self) -> None:
        """Read a page for each subscription that is behind, in turn, as far as there is room."""
        try:
            while self._behind and self.outbox.wants_replay:
                behind = self._behind.pop(next(iter(self._behind)))
                if isinstance(behind, Subscription):
                    await self._read_for(behind)
                else:
                    await behind.read()
                # Every page is on its way before the next one is read.
                self.flush()
        except StoreUnavailable:
            self.abort()
        except Exception:
            self.abort()
            raise
        finally:
            self._reading = None

    async def _read_for(self, subscription: Subscription) -> None:
        task_id = subscription.task_id
        if subscription.behind:
            await self._replay(subscription)
        elif task_id in self._rechecks and subscription.stirred:
            await self._settle_created(subscription, self._rechecks[task_id][0])
        if subscription.behind and self._subscriptions.get(task_id) is subscription:
            self._behind.setdefault(task_id, subscription)

    async def _replay(self, subscription: Subscription) -> None:
        cursor = subscription.cursor
        try:
            page = await self._plane.reader.page(subscription.task_id, cursor)
        except PositionGone as gone:
            await self._resync(subscription, gone)
        except NotFound:
            if self._is_at(subscription, cursor):
                body = encoded({"task_id": subscription.task_id})
                self._put(Message("task_deleted", body, final=True))
                self.drop(subscription.task_id)
        else:
            if page.events and page.events[0].seq > cursor + 1:
                # The start of the log is always valid, and it may have moved since the answer.
                oldest = page.events[0].seq
                reason = f"the log begins at {oldest}, after {cursor}"
                await self._resync(subscription, PositionGone(oldest=oldest, reason=reason))
            elif self._is_at(subscription, cursor):
                subscription.replayed(page)

    def _is_at(self, subscription: Subscription, cursor: int) -> bool:
        """Whether it is still the subscription that was read for: it may have been moved."""
        present = self._subscriptions.get(subscription.task_id)
        return present is subscription and subscription.behind and subscription.cursor == cursor

    async def _resync(self, subscription: Subscription, gone: PositionGone) -> None:
        """Retention overtook a slow reader: tell it, and go on from the snapshot."""
        cursor = subscription.cursor
        record = await self._plane.store.get(subscription.task_id)
        if record is not None and self._is_at(subscription, cursor):
            self.resync(record, gone)
            subscription.activate(record.head.seq)

    async def _settle_created(self, subscription: Subscription, recheck: Recheck) -> None:
        """The task has come into being: activate its subscription, if it may be read."""
        subscription.stirred = False
        record = await recheck()
        # Another one's must look like one that never comes: until the time is up.
        if record is not None and subscription.task_id in self._rechecks:
            self._forget_recheck(subscription.task_id)
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
        self.outbox.put(item)
        self.wake()


def _as_it_is(record: TaskRecord) -> TaskRecord:
    return record


def _resync_payload(record: TaskRecord, gone: PositionGone) -> dict[str, Any]:
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
    payload: dict[str, Any] = {"code": error.code, "message": error.detail}
    if error.retry_after_s is not None:
        payload["retry_after_s"] = error.retry_after_s
    return payload if task_id is None else {**payload, "task_id": task_id}
