"""How evenly an attempt comes forward, which says how far its rate may be relied on."""

from __future__ import annotations

from typing import Final

MAX_POINTS: Final = 64
"""So many points of its way are remembered; of a longer one every other."""
UNEVENNESS: Final = 4.0
"""The way of one that goes as t² or √t strays from the straight line by 1/4, and the rest at its
rate is as far off as the rest is long: that is as unsteady as it gets."""
ONE_REPORT: Final = 0.25
"""So far from the line may be a way of which there was one report; with more of them less."""


class Pace:
    """The way of one attempt so far: when it had done how much."""

    def __init__(self) -> None:
        # Seconds since its start, and the part that was done; both rise.
        self._points = [(0.0, 0.0)]
        self._last = (0.0, 0.0)
        self._reports = 0
        # So many reports apart are the points that are remembered.
        self._stride = 1

    def saw(self, elapsed_s: float, done: float) -> None:
        """After `elapsed_s` seconds the part `done` (0 to 1) is done."""
        last_s, last_done = self._last
        if elapsed_s <= last_s or done <= last_done:
            return
        self._last = (elapsed_s, done)
        self._reports += 1
        if self._reports % self._stride == 0:
            self._points.append(self._last)
        if len(self._points) > MAX_POINTS:
            self._points = self._points[::2]
            self._stride *= 2

    @property
    def unsteadiness(self) -> float:
        """From 0 (as steady as can be) to 1: how little its rate so far says of the rest.

        By how far the way strays from the straight line between its ends (as the statistic of
        Kolmogorov and Smirnov has it), and by how few reports there are to tell.
        """
        if not self._reports:
            return 1.0
        whole_s, all_done = self._last
        astray = max(abs(at_s / whole_s - done / all_done) for at_s, done in self._points)
        return min(1.0, UNEVENNESS * (astray + ONE_REPORT / self._reports))
