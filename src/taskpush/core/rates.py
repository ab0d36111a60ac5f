"""How much somebody does: leaky buckets, which fill with each thing done and run out steadily.

Why not a library: docs/adr/0010-limits-of-our-own.md.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

FORGET_FROM: Final = 1024
"""So many may be remembered before it is looked for those who need not be."""


class LeakyBucket:
    """A level that rises with each thing that is done, and falls at a steady rate.

    Whoever stays below a level of `n` has done at most `n` at once, and at most so many per second
    for long. Times are in seconds, of any clock that does not go back.
    """

    __slots__ = ("_at_s", "_level", "_per_s")

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._level = 0.0
        self._at_s = now_s

    def pour(self, now_s: float, amount: int = 1) -> float:
        """So much more was done; returns the level that this makes."""
        self._level = max(0.0, self._level - (now_s - self._at_s) * self._per_s) + amount
        self._at_s = now_s
        return self._level


class Rates:
    """A bucket for each of many, none of which may overflow.

    Kept is one number for each who did something lately: when its bucket will be empty. Source: the
    generic cell rate algorithm as a virtual schedule (ITU-T I.371, annex A).
    """

    def __init__(self, per_s: float, at_once: int) -> None:
        """Each may do `at_once` things at once, and `per_s` a second for long."""
        self._per_s = per_s
        self._at_once = at_once
        self._empty_at_s: dict[Hashable, float] = {}
        self._forget_from = FORGET_FROM

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._empty_at_s)

    def take(self, who: Hashable, amount: int, now_s: float) -> float:
        """Count so much at once and return 0; or count nothing, and say in how many seconds.

        Raises `ValueError` for more than `at_once`, which never fits.
        """
        if amount > self._at_once:
            raise ValueError(f"{amount} at once, of at most {self._at_once}")
        empty_at_s = max(now_s, self._empty_at_s.get(who, now_s)) + amount / self._per_s
        wait_s = empty_at_s - now_s - self._at_once / self._per_s
        # A full bucket may come out some billionths above itself.
        if wait_s > 1e-6:
            return wait_s
        if len(self._empty_at_s) >= self._forget_from:
            self._forget(now_s)
        self._empty_at_s[who] = empty_at_s
        return 0.0

    def _forget(self, now_s: float) -> None:
        """Drop the empty ones, and look again when there are twice as many as are left."""
        kept = {who: at_s for who, at_s in self._empty_at_s.items() if at_s > now_s}
        self._empty_at_s = kept
        self._forget_from = max(FORGET_FROM, 2 * len(kept))
