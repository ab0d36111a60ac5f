"""How long a running task still takes: its own rate weighed against earlier runs of its kind.

Each of the two is weighed by how sure it is (the inverse of its variance, as measurements of one
quantity are combined). Earlier runs are as sure as those that lasted as long agree about the rest;
a task's own rate is unsure at its start and right at its end.

Yet a task may be none of the like of those: other params, another machine. When it comes forward
steadily, and what that makes of the rest is far from what they say, it is taken for such a one,
and its own rate alone counts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

OWN_RATE_ERROR: Final = 0.3
"""How far off the rest at a task's own rate is, as a part of it; see `_own_error_s`. Measured in
`tests/core/test_remaining.py`: from 0.3 to 0.8 it hardly matters."""
STEADY_RATE_ERROR: Final = 0.2
"""The same of a rate that was steady: it may still change."""
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
    unsteadiness: float = 1.0,
) -> float | None:
    """Seconds that are left after `elapsed_s`; None when nobody knows.

    `own_s` is what is left at the task's own rate, None while it has none. `times` are the run
    times of tasks like it, shortest first. `undone` is given for an attempt that goes on where
    another one stopped: the part that is left of the whole, so that `times` are compared with
    that and not with how long it has run. `unsteadiness` is that of its `Pace`: 1 when its rate so
    far says little of the rest.
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
    own_error_s = _own_error_s(elapsed_s, own_s, usual_s, unsteadiness)
    error_s = _error_s(left, elapsed_s, len(times))
    both_s = math.hypot(error_s, own_error_s)
    weight = (error_s / both_s) ** 2 if both_s else 1.0
    unlike = (1 - unsteadiness) * _odds_of_unlike(own_s - usual_s, both_s, len(times))
    weight += unlike * (1 - weight)
    return weight * own_s + (1 - weight) * usual_s


def _own_error_s(elapsed_s: float, own_s: float, usual_s: float, unsteadiness: float) -> float:
    """About one standard deviation of the rest at its own rate: large at first, none at the end.

    A part of that rest if the rate was steady; if not, of the larger of the two, so that a flying
    start does not look sure of itself.
    """
    whole_s = elapsed_s + own_s
    done = elapsed_s / whole_s if whole_s > 0 else 1.0
    if not done:
        return math.inf
    steady_s = (1 - unsteadiness) * STEADY_RATE_ERROR * own_s
    unsteady_s = unsteadiness * OWN_RATE_ERROR * max(own_s, usual_s)
    return (1 - done) / math.sqrt(done) * (steady_s + unsteady_s)


def _odds_of_unlike(apart_s: float, error_s: float, runs: int) -> float:
    """How probable it is that the task is not like the earlier runs, so far apart as they are.

    Before anything is known it is one more of `runs + 1`; then it is the less likely one of them
    the further it is apart, by Student's t with two degrees of freedom: errors have long tails.
    """
    if not error_s:
        return 1.0
    like = runs / math.pow(1 + (apart_s / error_s) ** 2 / 2, 1.5)
    return 1 / (1 + like)


def _error_s(left: Sequence[float], elapsed_s: float, runs: int) -> float:
    """About one standard deviation of what earlier runs say: half of the middle 68 %."""
    low, high = left[int(0.16 * len(left))], left[int(0.84 * len(left))]
    whole_s = elapsed_s + left[len(left) // 2]
    return max((high - low) / 2, SPREAD * whole_s, UNSEEN * whole_s / runs)
