"""Which door a client goes through, as a value: what worked, what comes next, when to try again.

No I/O, no clock. Source of the rules: docs/adr/0011.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

Door = Literal["socketio", "sse", "long_poll", "poll"]
"""Socket.IO over WebSocket, Server-Sent Events, polls that wait, polls that do not."""

DOORS: Final[tuple[Door, ...]] = get_args(Door)
"""All of them, best first."""
FIRST_PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = 600.0
HELD_AFTER_S: Final = 60.0
"""A better door that was used for so long was really open."""


class Ladder:
    """The doors that a client may use, best first, and the one that worked last."""

    def __init__(self, doors: Sequence[Door] = DOORS) -> None:
        """Raises `ValueError` for no door, an unknown one, or one that comes twice."""
        unknown = [door for door in doors if door not in DOORS]
        if unknown or not doors or len(set(doors)) != len(doors):
            raise ValueError(f"doors are some of {', '.join(DOORS)}, each once, not {doors!r}")
        self.doors = tuple(doors)
        self.current: Door = self.doors[0]
        self._pause_s = FIRST_PAUSE_S
        # None while the best one is in use.
        self._retry_at: float | None = None
        # When a better one was opened last; None when none was.
        self._climbed_at: float | None = None

    def candidates(self, avoid: Door | None = None) -> list[Door]:
        """In which order to try: what worked, what is below it, what is above; `avoid` last."""
        at = self.doors.index(self.current)
        ordered = [*self.doors[at:], *self.doors[:at]]
        return sorted(ordered, key=lambda door: door == avoid)

    def better_than(self, door: Door) -> tuple[Door, ...]:
        """The doors above this one."""
        return self.doors[: self.doors.index(door)]

    def opened(self, door: Door, now: float) -> None:
        """A link was opened there."""
        before, after = self.doors.index(self.current), self.doors.index(door)
        self.current = door
        if after > before:
            held = self._climbed_at is None or now - self._climbed_at >= HELD_AFTER_S
            self._pause_s = FIRST_PAUSE_S if held else _longer(self._pause_s)
            self._retry_at = now + self._pause_s
        elif after < before:
            self._climbed_at = now
            # Links that are still further down may follow at once.
            self._retry_at = now if after == 0 else now + self._pause_s

    def wait_s(self, door: Door, now: float) -> float | None:
        """How long to use this door before the better ones are tried; None for ever."""
        if door == self.doors[0] or self._retry_at is None:
            return None
        return max(0.0, self._retry_at - now)

    def tried_in_vain(self, now: float) -> None:
        """No better door opened."""
        self._pause_s = _longer(self._pause_s)
        self._retry_at = now + self._pause_s


def _longer(pause_s: float) -> float:
    return min(2 * pause_s, LONGEST_PAUSE_S)
