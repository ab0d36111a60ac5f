"""One timer for all who have to be heard of now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

LOOK_EVERY_S: Final = 0.5

Member = TypeVar("Member")


class Heartbeat(Generic[Member]):
    """Calls `beat` for each member every `interval_s`, counted from when it came.

    Intervals are the same for all, so the order of arrival is the order in which they are due.
    """

    def __init__(self, beat: Callable[[Member], None], *, interval_s: float) -> None:
        self._call = beat
        self._interval_s = interval_s
        self._due: dict[Member, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Member) -> None:
        """Begin with `member`."""
        self._due[member] = asyncio.get_running_loop().time() + self._interval_s
        if self._timer is None:
            self._later()

    def discard(self, member: Member) -> None:
        """Leave it out from now on."""
        self._due.pop(member, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self) -> None:
        every_s = min(LOOK_EVERY_S, self._interval_s)
        self._timer = asyncio.get_running_loop().call_later(every_s, self._beat)

    def _beat(self) -> None:
        # First, so that nothing which goes wrong below ends it; without members `discard` does.
        self._later()
        now = asyncio.get_running_loop().time()
        for member in self._over(now):
            del self._due[member]
            self._due[member] = now + self._interval_s
            self._call(member)

    def _over(self, now: float) -> list[Member]:
        due = []
        for member, at in self._due.items():
            if at > now:
                break
            due.append(member)
        return due
