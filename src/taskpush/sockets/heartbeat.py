"""Pings to all connections, and who does not answer: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

LOOK_EVERY_S: Final = 0.5

Member = TypeVar("Member")


class Heartbeat(Generic[Member]):
    """Calls `ping` for a member `interval_s` after it answered, `gone` when no answer comes.

    Answers that nobody asked for change nothing, so a flood of them costs nothing either.
    Intervals are the same for all, so the order of arrival is the order in which they are due.
    """

    def __init__(
        self,
        ping: Callable[[Member], None],
        gone: Callable[[Member], None],
        *,
        interval_s: float,
        timeout_s: float,
    ) -> None:
        self._ping = ping
        self._gone = gone
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._resting: dict[Member, float] = {}
        self._pinged: dict[Member, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._resting) + len(self._pinged)

    def add(self, member: Member) -> None:
        """Ping `member` from now on."""
        self._rest(member)
        if self._timer is None:
            self._later()

    def discard(self, member: Member) -> None:
        """Ping it no more."""
        self._resting.pop(member, None)
        self._pinged.pop(member, None)
        if not self and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answered(self, member: Member) -> None:
        """It is there; does nothing unless it was asked."""
        if self._pinged.pop(member, None) is not None:
            self._rest(member)

    def _rest(self, member: Member) -> None:
        self._resting[member] = asyncio.get_running_loop().time() + self._interval_s

    def _later(self) -> None:
        every = min(LOOK_EVERY_S, self._interval_s, self._timeout_s)
        self._timer = asyncio.get_running_loop().call_later(every, self._beat)

    def _beat(self) -> None:
        now = asyncio.get_running_loop().time()
        for member in _due(self._pinged, now):
            del self._pinged[member]
            self._gone(member)
        for member in _due(self._resting, now):
            del self._resting[member]
            self._pinged[member] = now + self._timeout_s
            self._ping(member)
        if self:
            self._later()
        else:
            self._timer = None


def _due(members: dict[Member, float], now: float) -> list[Member]:
    """Those whose time has come; they stand in the order of their times."""
    due = []
    for member, at in members.items():
        if at > now:
            break
        due.append(member)
    return due
