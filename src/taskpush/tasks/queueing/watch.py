"""The queues as one connection is told them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import orjson

from taskpush.access.principal import Principal
from taskpush.models.feed import QUEUE_FEED
from taskpush.models.queue import KindQueue
from taskpush.models.values import encoded
from taskpush.push.channel import Channel
from taskpush.push.outbox import Message

EVERY_S: Final = 1.0
"""At most one message in this time: what changes meanwhile is merged."""
LOAD: Final = 0.1
"""Part of the event loop's time that all watches together may take."""
SHOWN: Final = 100
"""So many positions of each kind, and as many of the reader's own further back."""


class Queues(Protocol):
    """Who knows the queues."""

    async def queues(
        self, principal: Principal, kind: str | None, *, limit: int
    ) -> Sequence[KindQueue]: ...


class QueueWatch:
    """Tells a principal of all queues at first, then of those that look different.

    It is a `push.channel.Source`. A peer that takes nothing for a while is told the newest state
    when it goes on.
    """

    name = QUEUE_FEED

    def __init__(
        self,
        queues: Queues,
        principal: Principal,
        channel: Channel,
        *,
        watches: Callable[[], int],
        on_close: Callable[[QueueWatch], None],
        every_s: float = EVERY_S,
    ) -> None:
        self.behind = False
        self._queues = queues
        self._principal = principal
        self._channel = channel
        # How many watches there are, this one among them.
        self._watches = watches
        self._on_close = on_close
        self._every_s = every_s
        # The newest of each kind; None until everything was told.
        self._told: dict[str, bytes] | None = None
        # None unless it will look again.
        self._timer: asyncio.TimerHandle | None = None
        self._rest_until_s = 0.0
        self._closed = False

    def start(self, after: str | None = None) -> None:
        """Begin, or begin anew; there is nothing to go on `after`."""
        self._told = None
        self._due()

    def stir(self) -> None:
        """Something may look different: tell it soon."""
        if self._timer is None and not self.behind:
            loop = asyncio.get_running_loop()
            wait_s = max(0.0, self._rest_until_s - loop.time())
            self._timer = loop.call_later(wait_s, self._due)

    async def read(self) -> None:
        """Look at the queues, and tell what is news."""
        self.behind = False
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        seen = await self._queues.queues(self._principal, None, limit=SHOWN)
        if self._closed:
            return
        bodies = {queue.kind: queue.model_dump_json().encode() for queue in seen}
        told = self._told or {}
        news = [body for kind, body in bodies.items() if told.get(kind) != body]
        if news or self._told is None:
            said = {"feed": self.name, "queues": [orjson.Fragment(body) for body in news]}
            self._channel.outbox.put(Message("queue_update", encoded(said)))
            self._channel.wake()
        self._told = bodies
        cost_s = (loop.time() - begin_s) * self._watches()
        self._rest_until_s = begin_s + max(self._every_s, cost_s / LOAD)

    def close(self) -> None:
        """Tell nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._on_close(self)

    def _due(self) -> None:
        self._timer = None
        self.behind = True
        self._channel.wants_read(self)
