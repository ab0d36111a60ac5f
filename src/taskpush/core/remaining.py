"""How long a running task still takes: its own rate weighed against earlier runs of its kind.

Each of the two is weighed by how sure it is (the inverse of its variance, as measurements of one
quantity are combined). Earlier runs are as sure as those that lasted as long agree about the rest;
a task's own rate is unsure at its start and right at its end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

OWN_RATE_ERROR: Final = 0.3
"""How far off the rest at a task's own rate is, as a part of it; see `_own_error_s`. Measured in
`tests/core/test_remaining.py`: from 0.3 to 0.8 it hardly matters."""
SPREAD: Final = 0.03
"""Earlier runs are never taken to agree better than that, ..."""
UNSEEN: Final = 0.3
"""... and a single one is taken to be off by this part of it."""


def remaining_s(
    elapsed_s: float,
    own_s: float | None,
    times: Sequence[float],
    *,
    undone: float | None = None,
) -> float | None:
    """Seconds that are left after `elapsed_s`; None when nobody knows.

    `own_s` is what is left at the task's own rate, None while it has none. `times` are the run
    times of tasks like it, shortest first. `undone` is given for an attempt that goes on where
    another one stopped: the part that is left of the whole, so that `times` are compared with
    that and not with how long it has run.
    """
    if undone is None:
        left = [time - elapsed_s for time in times[bisect_right(times, elapsed_s) :]]
    else:
        left = [time * undone for time in times]
    if not left:
        return own_s
    usual_s = left[len(left) // 2]
    if own_s is None:
        return usual_s
    own_error_s = _own_error_s(elapsed_s, own_s, usual_s)
    error_s = _error_s(left, elapsed_s, len(times))
    both_s = math.hypot(error_s, own_error_s)
    weight = (error_s / both_s) ** 2 if both_s else 1.0
    return weight * own_s + (1 - weight) * usual_s


def _own_error_s(elapsed_s: float, own_s: float, usual_s: float) -> float:
    """About one standard deviation of the rest at its own rate: large at first, none at the end.

    A part of the larger of the two, so that a flying start does not look sure of itself.
    """
    whole_s = elapsed_s + own_s
    done = elapsed_s / whole_s if whole_s > 0 else 1.0
    if not done:
        return math.inf
    return OWN_RATE_ERROR * (1 - done) / math.sqrt(done) * max(own_s, usual_s)


def _error_s(left: Sequence[float], elapsed_s: float, runs: int) -> float:
    """About one standard deviation of what earlier runs say: half of the middle 68 %."""
    low, high = left[int(0.16 * len(left))], left[int(0.84 * len(left))]
    whole_s = elapsed_s + left[len(left) // 2]
    return max((high - low) / 2, SPREAD * whole_s, UNSEEN * whole_s / runs)
