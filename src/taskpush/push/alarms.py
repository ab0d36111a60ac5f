"""One timer for many, each of whom is due after the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import takewhile
from typing import Final, Generic, TypeVar

LOOK_EVERY_S: Final = 0.5

Member = TypeVar("Member")


class Alarms(Generic[Member]):
    """Calls `ring` for a member once, `after_s` after it was set or up to half a second later.

    The time is the same for all, so the order in which they were set is that in which they ring.
    """

    def __init__(self, ring: Callable[[Member], None], *, after_s: float) -> None:
        self._ring = ring
        self._after_s = after_s
        self._due: dict[Member, float] = {}
        # None while nobody waits.
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, member: Member) -> bool:
        return member in self._due

    def set(self, member: Member) -> None:
        """Ring for `member`, counted from now."""
        self._due.pop(member, None)
        self._due[member] = asyncio.get_running_loop().time() + self._after_s
        if self._timer is None:
            self._later()

    def unset(self, member: Member) -> None:
        """Do not ring for it."""
        self._due.pop(member, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self) -> None:
        every_s = min(LOOK_EVERY_S, self._after_s)
        self._timer = asyncio.get_running_loop().call_later(every_s, self._look)

    def _look(self) -> None:
        # First, so that nothing which goes wrong below ends it; `unset` does.
        self._later()
        now = asyncio.get_running_loop().time()
        for member, due in self._over(now):
            # Unless it was unset, or set anew, for one that rang before it.
            if self._due.get(member) == due:
                self.unset(member)
                self._ring(member)

    def _over(self, now: float) -> list[tuple[Member, float]]:
        return list(takewhile(lambda item: item[1] <= now, self._due.items()))
