"""Who is connected at the moment: what whoever looks after the server is shown of it.

Connections are numbered as they come and kept by tenant, so that a page costs what it shows and
not how many there are.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from taskpush.access.admission import Admission
from taskpush.clock import SystemClock
from taskpush.ids import new_connection_id
from taskpush.models.connections import (
    Transport,
    WatchDoor,
    Watched,
    WatchingConnection,
    WatchState,
)
from taskpush.push.channel import Channel
from taskpush.push.dispatch import Dispatcher
from taskpush.push.subscription import Subscription

MAX_WATCHED: Final = 20
"""So many subscriptions of one connection are shown."""
MAX_LOOKED_AT: Final = 1000
"""So many connections one page looks at, of which few may be those that are asked for."""


class Guest(Protocol):
    """Somebody who watches, as their door knows them."""

    @property
    def admission(self) -> Admission:
        """As what they were let in; the tenant and the owner never change."""
        ...

    @property
    def transport(self) -> Transport: ...

    @property
    def watching(self) -> Channel | Watched:
        """What they are sent by; for a long poll, what it waits for."""
        ...


@dataclass(eq=False, slots=True)
class Seat:
    """One connection on the roll."""

    number: int
    connection_id: str
    door: WatchDoor
    # None when it came over no network.
    address: str | None
    since: datetime
    guest: Guest


@dataclass(frozen=True, slots=True)
class RollPage:
    """Connections, newest first."""

    connections: list[WatchingConnection]
    # The number that the next page comes before; None at the end.
    before: int | None


class Roll:
    """The connections of this process."""

    def __init__(
        self, dispatcher: Dispatcher, now: Callable[[], datetime] = SystemClock().now
    ) -> None:
        self._dispatcher = dispatcher
        self._now = now
        self._numbers = itertools.count(1)
        # By tenant, then by number, which rises.
        self._seats: dict[str, dict[int, Seat]] = {}
        self._doors: Counter[WatchDoor] = Counter()

    def __len__(self) -> int:
        """How many there are."""
        return self._doors.total()

    @property
    def doors(self) -> Mapping[str, int]:
        """How many came through each door."""
        return {door.value: self._doors[door] for door in WatchDoor}

    def enter(
        self,
        guest: Guest,
        door: WatchDoor,
        address: str | None,
        *,
        connection_id: str | None = None,
    ) -> Seat:
        """Put a connection on the roll, until it leaves."""
        name = new_connection_id() if connection_id is None else connection_id
        seat = Seat(next(self._numbers), name, door, address, self._now(), guest)
        self._seats.setdefault(guest.admission.principal.tenant, {})[seat.number] = seat
        self._doors[door] += 1
        return seat

    def leave(self, seat: Seat) -> None:
        """It has gone; telling it twice is the same as once."""
        tenant = seat.guest.admission.principal.tenant
        seats = self._seats.get(tenant, {})
        if seats.pop(seat.number, None) is None:
            return
        self._doors[seat.door] -= 1
        if not seats:
            del self._seats[tenant]

    def page(
        self,
        tenant: str,
        *,
        limit: int,
        before: int | None = None,
        owner: str | None = None,
        task_id: str | None = None,
    ) -> RollPage:
        """Connections of a tenant: those of an owner, or who watch a task, when one is named.

        A page may be short of `limit`, or empty, and not be the last.
        """
        seats = self._seats.get(tenant, {})
        numbers = list(seats)
        end = len(numbers) if before is None else bisect_left(numbers, before)
        first = max(0, end - MAX_LOOKED_AT)
        found: list[WatchingConnection] = []
        for at in range(end - 1, first - 1, -1):
            seat = seats[numbers[at]]
            if owner in (None, seat.guest.admission.principal.owner):
                watching = seat.guest.watching
                if task_id is None or _watches(watching, task_id):
                    found.append(self._shown(seat, watching, task_id))
                    if len(found) == limit:
                        first = at
                        break
        return RollPage(found, numbers[first] if first > 0 else None)

    def _shown(
        self, seat: Seat, watching: Channel | Watched, task_id: str | None
    ) -> WatchingConnection:
        admission = seat.guest.admission
        if isinstance(watching, Channel):
            watches = [*itertools.islice(_watched_by(watching, task_id), MAX_WATCHED)]
            subscriptions, backlog = len(watching), watching.waiting_bytes
            stalled_s = self._dispatcher.stalled_for_s(watching)
        else:
            watches, subscriptions, backlog, stalled_s = [watching], 1, 0, None
        return WatchingConnection(
            connection_id=seat.connection_id,
            owner=admission.principal.owner,
            credential=admission.credential,
            address=seat.address,
            door=seat.door,
            transport=seat.guest.transport,
            since=seat.since,
            watches=watches,
            subscriptions=subscriptions,
            backlog_bytes=backlog,
            stalled_seconds=None if stalled_s is None else round(stalled_s, 1),
        )


def _watches(watching: Channel | Watched, task_id: str) -> bool:
    if isinstance(watching, Channel):
        return watching.subscription(task_id) is not None
    return watching.task_id == task_id


def _watched_by(channel: Channel, task_id: str | None) -> Iterator[Watched]:
    for subscription in channel.subscriptions:
        if task_id in (None, subscription.task_id):
            yield _watched(subscription, pending=channel.is_pending(subscription.task_id))
    if task_id is None:
        for source in channel.sources:
            state = WatchState.BEHIND if source.behind else WatchState.LIVE
            yield Watched(state, feed=source.name)


def _watched(subscription: Subscription, *, pending: bool) -> Watched:
    # Until it is active nobody knows whether the task may be seen: nothing of it is told.
    active = subscription.active
    live = active and not subscription.behind
    return Watched(
        WatchState.LIVE if live else WatchState.PENDING if pending else WatchState.BEHIND,
        task_id=subscription.task_id,
        seq=subscription.cursor if active else None,
        lag_events=subscription.lag_events if active else None,
        previews=subscription.previews,
    )
