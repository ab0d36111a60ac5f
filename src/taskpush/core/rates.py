"""How much somebody does: a leaky bucket, which fills with each thing done."""

from __future__ import annotations


class LeakyBucket:
    """A level that rises by one with each thing that is done, and falls at a steady rate.

    Whoever stays below a level of `n` has done at most `n` at once, and at most so many per second
    for long. Times are in seconds, of any clock that does not go back.
    """

    __slots__ = ("_at_s", "_level", "_per_s")

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._level = 0.0
        self._at_s = now_s

    def pour(self, now_s: float) -> float:
        """One more was done; returns the level that this makes."""
        self._level = max(0.0, self._level - (now_s - self._at_s) * self._per_s) + 1
        self._at_s = now_s
        return self._level
