"""Remaining time: between a task's own rate and earlier runs, and better than either."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.remaining import remaining_s

SECONDS = st.floats(0, 1e6)
TIMES = st.lists(st.floats(0.001, 1e6), max_size=30).map(sorted)


# -- what always holds ------------------------------------------------------------


@given(SECONDS, st.none() | SECONDS, TIMES, st.none() | st.floats(0, 1))
def test_it_is_between_its_own_rate_and_earlier_runs(
    elapsed_s: float, own_s: float | None, times: list[float], undone: float | None
) -> None:
    blended = remaining_s(elapsed_s, own_s, times, undone=undone)
    past = remaining_s(elapsed_s, None, times, undone=undone)
    known = [each for each in (own_s, past) if each is not None]
    if not known:
        assert blended is None
    else:
        assert blended is not None
        slack = 1e-9 * max(known)
        assert min(known) - slack <= blended <= max(known) + slack


@given(SECONDS, SECONDS)
def test_without_earlier_runs_it_is_the_own_rate(elapsed_s: float, own_s: float) -> None:
    assert remaining_s(elapsed_s, own_s, []) == own_s
    assert remaining_s(elapsed_s, own_s, [elapsed_s / 2]) == own_s


@given(st.floats(0.001, 1e6), TIMES)
def test_when_all_is_done_nothing_is_left(elapsed_s: float, times: list[float]) -> None:
    assert remaining_s(elapsed_s, 0.0, times) == 0
    assert remaining_s(elapsed_s, 0.0, times, undone=0.0) == 0


@given(st.floats(1, 1e6), st.floats(0.01, 0.99), st.floats(0.1, 10), st.integers(1, 50))
def test_the_further_it_is_the_more_its_own_rate_counts(
    whole_s: float, done: float, off: float, runs: int
) -> None:
    """`off` is how much longer the whole takes than it always took."""
    times = [whole_s] * runs

    def weight(done: float) -> float | None:
        elapsed_s, own_s = whole_s * done, off * whole_s * (1 - done)
        past = remaining_s(elapsed_s, None, times, undone=1 - done)
        blended = remaining_s(elapsed_s, own_s, times, undone=1 - done)
        assert past is not None
        assert blended is not None
        gap = own_s - past
        return (blended - past) / gap if abs(gap) > 1e-3 * whole_s else None

    earlier, later = weight(done / 2), weight(done)
    if earlier is not None and later is not None:
        assert later >= earlier - 1e-6


# -- what it says -----------------------------------------------------------------


def test_before_it_has_a_rate_earlier_runs_say_what_is_left() -> None:
    assert remaining_s(4.0, None, [8.0, 10.0, 12.0]) == 6.0
    assert remaining_s(9.0, None, [8.0, 10.0, 12.0]) == 3.0


def test_runs_that_always_took_as_long_outweigh_a_first_impression() -> None:
    left_s = remaining_s(1.0, 99.0, [10.0] * 30)
    assert left_s is not None
    assert 9.0 <= left_s < 9.5


def test_runs_that_took_anything_count_little() -> None:
    left_s = remaining_s(50.0, 50.0, [2.0**power for power in range(12)])
    assert left_s is not None
    assert 50 <= left_s < 65


def test_an_attempt_that_goes_on_is_measured_by_what_was_left_for_it() -> None:
    assert remaining_s(1.0, None, [100.0] * 5, undone=0.25) == 25.0


# -- how well ---------------------------------------------------------------------

Durations = Callable[[Random], float]
Profile = Callable[[float], float]

DURATIONS: dict[str, Durations] = {
    "alike (9.5 to 10.5 s)": lambda random: random.uniform(9.5, 10.5),
    "some variation (5 to 15 s)": lambda random: random.uniform(5, 15),
    "any (lognormal, σ = 0.8)": lambda random: 10 * random.lognormvariate(0, 0.8),
}


def _starting_up(random: Random) -> Profile:
    begin = random.uniform(0.2, 0.4)
    return lambda time: max(0.0, (time - begin) / (1 - begin))


def _in_uneven_steps(random: Random) -> Profile:
    ends = [0.0]
    for _ in range(20):
        ends.append(ends[-1] + random.expovariate(1))
    return lambda time: (bisect_right(ends, time * ends[-1]) - 1) / 20


PROFILES: dict[str, Callable[[Random], Profile]] = {
    "steady": lambda _: lambda time: time,
    "a start-up first": _starting_up,
    "slowing down": lambda _: lambda time: time**0.5,
    "speeding up": lambda _: lambda time: time**2,
    "20 uneven steps": _in_uneven_steps,
}


def _errors(
    durations: Durations, profile: Callable[[Random], Profile], runs: int
) -> Sequence[float]:
    """Mean errors, as parts of the run: of the own rate, of earlier runs, of both."""
    random = Random(7)
    errors: list[list[float]] = [[], [], []]
    for _ in range(runs):
        times = sorted(durations(random) for _ in range(30))
        whole_s, done_at = durations(random), profile(random)
        for time in (number / 20 for number in range(1, 20)):
            elapsed_s, left_s, done = time * whole_s, (1 - time) * whole_s, done_at(time)
            own_s = elapsed_s * (1 - done) / done if done else None
            said = (
                own_s,
                remaining_s(elapsed_s, None, times),
                remaining_s(elapsed_s, own_s, times),
            )
            for each, error in zip(said, errors, strict=True):
                # Who says nothing is as wrong as who says that nothing was done.
                error.append(1.0 if each is None else abs(each - left_s) / whole_s)
    return [fmean(error) for error in errors]


@pytest.mark.parametrize("runs", [30, pytest.param(1000, marks=pytest.mark.full)])
def test_both_together_err_less_than_either(runs: int) -> None:
    rows = []
    for kind, durations in DURATIONS.items():
        for how, profile in PROFILES.items():
            rows.append(_errors(durations, profile, runs))
            own, past, both = rows[-1]
            print(f"\n{kind}, {how}: own {own:.1%}, past {past:.1%}, both {both:.1%}", end="")
            # Never much worse than the better of the two, which nobody knows beforehand.
            assert both < max(1.3 * min(own, past), min(own, past) + 0.2)
    own, past, both = (fmean(column) for column in zip(*rows, strict=True))
    print(f"\nmean: own {own:.1%}, past {past:.1%}, both {both:.1%}")
    assert both < 0.6 * min(own, past)
