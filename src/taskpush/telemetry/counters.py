"""What is counted of what happens inside the server, from its start on.

A count costs an addition where something happens, and everything else when it is read.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from taskpush.telemetry.events import TaskEnded, TelemetryEvent

DURATIONS_S: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""Bounds for what attempts take: from a moment to a day."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How often which values came."""

    # Upper bounds, inclusive, and how many values did not exceed each.
    buckets: Sequence[tuple[float, int]]
    count: int
    sum: float


class Histogram:
    """Counts values by their size. One thread observes; any may read."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` rise; larger values than the last are counted, too."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def distribution(self) -> Distribution:
        """All values so far."""
        totals = list(accumulate(self._counts))
        return Distribution([*zip(self._bounds, totals, strict=False)], totals[-1], self._sum)


class EventCounters:
    """A subscriber of the bus: counts every event by its name, and what attempts took."""

    def __init__(self) -> None:
        # Events come from any thread.
        self._lock = threading.Lock()
        self._events: Counter[str] = Counter()
        self._attempts: dict[tuple[str, str], Histogram] = {}

    def __call__(self, event: TelemetryEvent) -> None:
        """Count it."""
        with self._lock:
            self._events[event.name] += 1
            if isinstance(event, TaskEnded):
                ended = (event.kind, event.status)
                histogram = self._attempts.get(ended)
                if histogram is None:
                    histogram = self._attempts[ended] = Histogram(DURATIONS_S)
                histogram.observe(event.duration_s)

    @property
    def events(self) -> dict[str, int]:
        """How many there were of each name; names of which there was none are 0."""
        names = (cls.name for cls in TelemetryEvent.__subclasses__())
        with self._lock:
            return {name: self._events[name] for name in names}

    @property
    def attempts(self) -> dict[tuple[str, str], Distribution]:
        """What attempts took in seconds, by kind and by how they ended."""
        with self._lock:
            return {ended: histogram.distribution for ended, histogram in self._attempts.items()}
