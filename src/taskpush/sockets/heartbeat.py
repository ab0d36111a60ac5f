"""Pings to all connections, and who does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from taskpush.push.alarms import Alarms

Member = TypeVar("Member")


class Heartbeat(Generic[Member]):
    """Calls `ping` for a member `interval_s` after it answered, `gone` when no answer comes.

    Answers that nobody asked for change nothing, so a flood of them costs nothing either.
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
        self._resting: Alarms[Member] = Alarms(self._ask, after_s=interval_s)
        self._asked: Alarms[Member] = Alarms(gone, after_s=timeout_s)

    def __len__(self) -> int:
        return len(self._resting) + len(self._asked)

    def add(self, member: Member) -> None:
        """Ping `member` from now on."""
        self._resting.set(member)

    def discard(self, member: Member) -> None:
        """Ping it no more."""
        self._resting.unset(member)
        self._asked.unset(member)

    def answered(self, member: Member) -> None:
        """It is there; does nothing unless it was asked."""
        if member in self._asked:
            self._asked.unset(member)
            self._resting.set(member)

    def _ask(self, member: Member) -> None:
        self._asked.set(member)
        self._ping(member)
