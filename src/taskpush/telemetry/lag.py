"""How late the event loop is: the time from asking it for something until it does it."""

from __future__ import annotations

from collections import deque
from typing import Final

from taskpush.telemetry.counters import Distribution, Histogram

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
REMEMBERED: Final = 600
"""So many of the newest are remembered: about a minute, as the watchdog asks."""


class LoopLag:
    """What the watchdog has seen. Its thread observes; any may read."""

    def __init__(self) -> None:
        self._histogram = Histogram(BOUNDS_S)
        self._newest: deque[float] = deque([0.0], maxlen=REMEMBERED)

    def observe(self, lag_s: float) -> None:
        """The loop answered after so long."""
        self._histogram.observe(lag_s)
        self._newest.append(lag_s)

    @property
    def newest_s(self) -> float:
        """The newest; 0 before the first."""
        return self._newest[-1]

    @property
    def worst_s(self) -> float:
        """The longest of about a minute."""
        # A copy, which is one step for the interpreter: it must not grow while it is gone through.
        return max(self._newest.copy())

    @property
    def distribution(self) -> Distribution:
        """All since the start."""
        return self._histogram.distribution
