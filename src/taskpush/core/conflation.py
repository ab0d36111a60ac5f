"""Merging volatile events at the source: so many a second, the first and the last always."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

State = TypeVar("State")

DEFAULT_RATE_PER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Throttle(Generic[State]):
    """The newest state of one type of one attempt, and when it may be sent.

    All times are seconds of one monotonic clock.
    """

    interval_s: float = 1 / DEFAULT_RATE_PER_S
    # None until something was sent.
    sent_at: float | None = None
    # None when everything offered was sent.
    waiting: State | None = None

    def offer(self, state: State, now: float) -> tuple[Throttle[State], State | None]:
        """Take the newest state: gives it back when it is due at once, else keeps it."""
        if self.sent_at is None or now - self.sent_at >= self.interval_s:
            return replace(self, sent_at=now, waiting=None), state
        return replace(self, waiting=state), None

    def flush(self, now: float) -> tuple[Throttle[State], State | None]:
        """Take out what waits, due or not: at its time, or because the attempt ends."""
        if self.waiting is None:
            return self, None
        return replace(self, sent_at=now, waiting=None), self.waiting

    def due_in(self, now: float) -> float | None:
        """Seconds until what waits is due; None when nothing waits."""
        if self.waiting is None or self.sent_at is None:
            return None
        return max(0.0, self.sent_at + self.interval_s - now)
