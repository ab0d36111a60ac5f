"""Subscribing a connection to a task, without a gap between the past and the live stream.

The order is what makes it race-free: first note what is committed (`Channel.hold`), then read,
then answer, then activate. Source: protocol section 2, "Subscribing to a task".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from taskpush.access.policy import demand, may_await
from taskpush.access.principal import Principal, Role
from taskpush.core.limits import DEFAULT_LIMITS, Limits
from taskpush.core.views import snapshot_body
from taskpush.errors import NotFound, PositionGone, TaskPushError
from taskpush.models.commands import Subscribe
from taskpush.models.position import START, Position, WirePosition
from taskpush.models.task import TaskRecord
from taskpush.push.channel import Channel, error_payload
from taskpush.push.subscription import Subscription
from taskpush.store.base import Store
from taskpush.tasks.queries import TaskQueries

Mode = Literal["replay", "live", "resync", "pending"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a subscription begins."""

    mode: Mode
    position: Position
    # Set when the position that was asked for is not valid (any more).
    gone: PositionGone | None = None
    # Whether the position is that of a final event, and nothing follows it.
    over: bool = False


class Watching:
    """Subscribes and unsubscribes connections, for a principal, by the policy."""

    def __init__(
        self, store: Store, queries: TaskQueries, *, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._max_subscriptions = limits.subscriptions
        self._store = store
        self._queries = queries

    async def subscribe(
        self, channel: Channel, principal: Principal, command: Subscribe, reply_to: int | None
    ) -> None:
        """Answer, then send what follows the position the client named, then live.

        What is wrong is answered too, with a code; the connection lives on.
        """
        demand(principal, Role.READ)
        task_id = command.task_id
        if task_id not in channel and len(channel) >= self._max_subscriptions:
            limit = TaskPushError(
                f"at most {self._max_subscriptions} subscriptions", code="subscription_limit"
            )
            refuse(channel, limit, reply_to, task_id=task_id)
            return
        channel.view = partial(self._queries.shown, principal)
        subscription = channel.hold(task_id, previews=command.previews)
        record = await self._queries.find(principal, task_id)
        if record is None:
            self._await_creation(channel, principal, subscription, reply_to)
            return
        after = command.after
        asked = after.to_position() if isinstance(after, WirePosition) else after
        begin = await self._begin(record, asked)
        _accept(channel, record, begin, reply_to)
        subscription.activate(begin.position.seq)

    async def follow(
        self,
        channel: Channel,
        principal: Principal,
        task_id: str,
        after: Position | Literal["now"] | None,
    ) -> Beginning:
        """Send what follows a position, then live, to a peer that is given no answer.

        Nothing is sent of a task that is over at that position. Raises `NotFound`.
        """
        channel.view = partial(self._queries.shown, principal)
        subscription = channel.hold(task_id)
        record = await self._queries.get(principal, task_id)
        begin = await self._begin(record, after)
        if not begin.over:
            if begin.gone is not None:
                channel.resync(record, begin.gone)
            subscription.activate(begin.position.seq)
        return begin

    def unsubscribe(self, channel: Channel, task_id: str, reply_to: int | None) -> None:
        """End a subscription; ending one that does not exist is no error."""
        channel.drop(task_id)
        channel.reply(reply_to, {"ok": True, "task_id": task_id})

    async def _begin(
        self, record: TaskRecord, after: Position | Literal["now"] | None
    ) -> Beginning:
        match after:
            case None:
                return Beginning("replay", await self._oldest(record))
            case "now":
                return Beginning("live", record.head, over=record.final)
            case Position():
                return await self._continue(record, after)

    async def _oldest(self, record: TaskRecord) -> Position:
        """Just before the first retained event; without an epoch, for what had it may be gone."""
        page = await self._store.read(record.task_id, START, 1)
        return Position(page.events[0].seq - 1) if page.events else START

    async def _continue(self, record: TaskRecord, asked: Position) -> Beginning:
        try:
            page = await self._store.read(record.task_id, asked, 1)
        except PositionGone as gone:
            return Beginning("resync", record.head, gone)
        if page.events:
            return Beginning("replay", asked)
        return Beginning("live", asked, over=page.final)

    def _await_creation(
        self,
        channel: Channel,
        principal: Principal,
        subscription: Subscription,
        reply_to: int | None,
    ) -> None:
        """Nobody learns whether the id is unknown or somebody else's."""
        task_id = subscription.task_id
        if not may_await(principal, task_id):
            channel.drop(task_id)
            refuse(channel, NotFound(), reply_to, task_id=task_id)
            return
        accepted = {"ok": True, "task_id": task_id, "mode": "pending"}
        position = WirePosition.of(START).model_dump()
        channel.reply(reply_to, accepted | {"position": position, "snapshot": None})
        channel.say("subscribed", {"task_id": task_id})
        channel.await_creation(subscription, lambda: self._queries.find(principal, task_id))


def refuse(
    channel: Channel, error: TaskPushError, reply_to: int | None, *, task_id: str | None = None
) -> None:
    """Say what is wrong with a client's event: in the answer, and as `error`."""
    payload = error_payload(error, task_id=task_id)
    channel.reply(reply_to, {"ok": False, **payload})
    channel.say("error", payload)


def _accept(channel: Channel, record: TaskRecord, begin: Beginning, reply_to: int | None) -> None:
    answer: dict[str, Any] = {
        "ok": True,
        "task_id": record.task_id,
        "mode": begin.mode,
        "position": WirePosition.of(begin.position).model_dump(),
        "snapshot": snapshot_body(channel.view(record)),
    }
    channel.reply(reply_to, answer)
    channel.say("subscribed", {"task_id": record.task_id})
    if begin.gone is not None:
        channel.resync(record, begin.gone)
