"""Remaining time: between a task's own rate and earlier runs, and better than either."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.pace import Pace
from taskpush.core.remaining import remaining_s

SECONDS = st.floats(0, 1e6)
TIMES = st.lists(st.floats(0.001, 1e6), max_size=30).map(sorted)


# -- what always holds ------------------------------------------------------------


@given(SECONDS, st.none() | SECONDS, TIMES, st.none() | st.floats(0, 1), st.floats(0, 1))
def test_it_is_between_its_own_rate_and_earlier_runs(
    elapsed_s: float,
    own_s: float | None,
    times: list[float],
    undone: float | None,
    unsteadiness: float,
) -> None:
    blended = remaining_s(elapsed_s, own_s, times, undone=undone, unsteadiness=unsteadiness)
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


# -- whole runs, as they look -----------------------------------------------------


def said(reports: Sequence[tuple[float, float]], times: Sequence[float]) -> list[float]:
    """What is said to be left after each report: (seconds since the start, part that is done)."""
    pace, left = Pace(), []
    for elapsed_s, done in reports:
        pace.saw(elapsed_s, done)
        own_s = elapsed_s * (1 - done) / done
        left_s = remaining_s(elapsed_s, own_s, times, unsteadiness=pace.unsteadiness)
        assert left_s is not None
        left.append(left_s)
    return left


def steadily(whole_s: float, steps: int) -> list[tuple[float, float]]:
    return [(whole_s * step / steps, step / steps) for step in range(1, steps + 1)]


def test_a_steady_run_that_is_longer_than_the_one_before_says_so() -> None:
    """40 iterations at 3.3 a second, after a run of 2.5 s: at 12.5 % it used to say 1 s."""
    left = said(steadily(12.0, 40), [2.5])
    assert left[4] > 5
    # Its third second: the run before is over, and says nothing any more.
    assert left[10:] == pytest.approx([12.0 - 0.3 * step for step in range(11, 41)])


@pytest.mark.parametrize("whole_s", [4.0, 60.0])
@pytest.mark.parametrize("runs", [1, 3, 30])
def test_the_own_rate_wins_when_it_stays_steady(whole_s: float, runs: int) -> None:
    """Whether it is much shorter than all before, or much longer."""
    left = said(steadily(whole_s, 100), [20.0 + 0.1 * n for n in range(runs)])
    apart = [abs(each - whole_s * (1 - n / 100)) / whole_s for n, each in enumerate(left, 1)]
    assert apart[60] < 0.05
    assert apart[60] <= apart[30] <= apart[10] + 1e-9


def test_a_slow_start_frightens_nobody_who_knows_better() -> None:
    """3 s of loading in a run of 10 s, as always."""
    times = [10 + 0.1 * n for n in range(-5, 6)]
    loading = [(3.0 + 7.0 * n / 100, n / 100) for n in range(1, 100)]
    left = said(loading, times)
    assert all(abs(each - (10 - at)) < 1.0 for each, (at, _) in zip(left, loading, strict=True))
    # Its own rate alone would begin with five minutes.
    assert 3.07 * 99 > 300


def test_a_stage_that_goes_slower_is_noticed_soon() -> None:
    """The first half of the work takes a fifth of the time, as always."""
    times = [10 + 0.1 * n for n in range(-5, 6)]
    reports = [(2.0 * n / 50, n / 100) for n in range(1, 51)]
    reports += [(2.0 + 8.0 * n / 50, 0.5 + n / 100) for n in range(1, 50)]
    left = said(reports, times)
    errors = [abs(each - (10 - at)) for each, (at, _) in zip(left, reports, strict=True)]
    own = [abs(at * (1 - done) / done - (10 - at)) for at, done in reports]
    assert fmean(errors) < 0.7 * fmean(own)
    # Once the second stage shows that it goes otherwise, the past is believed again.
    assert max(errors[60:]) < 1.3


def test_without_a_total_earlier_runs_alone_speak() -> None:
    assert remaining_s(1.0, None, [4.0, 5.0, 6.0], unsteadiness=0.0) == 4.0
    assert remaining_s(1.0, None, [], unsteadiness=0.0) is None


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


def _in_two_stages(random: Random) -> Profile:
    """Each of its own rate; they differ from run to run."""
    until, done = random.uniform(0.2, 0.8), random.uniform(0.2, 0.8)
    return lambda time: (
        time * done / until if time < until else done + (time - until) * (1 - done) / (1 - until)
    )


PROFILES: dict[str, Callable[[Random], Profile]] = {
    "steady": lambda _: lambda time: time,
    "a start-up first": _starting_up,
    "slowing down": lambda _: lambda time: time**0.5,
    "speeding up": lambda _: lambda time: time**2,
    "20 uneven steps": _in_uneven_steps,
    "two stages": _in_two_stages,
}


def _errors(
    durations: Durations,
    profile: Callable[[Random], Profile],
    runs: int,
    *,
    known: int = 30,
    longer: float = 1.0,
) -> Sequence[float]:
    """Mean errors, as parts of the run: of the own rate, of earlier runs, of both.

    `known` is how many earlier runs there are, `longer` how many times as long this one takes.
    """
    random = Random(7)
    errors: list[list[float]] = [[], [], []]
    for _ in range(runs):
        times = sorted(durations(random) for _ in range(known))
        whole_s, done_at, pace = longer * durations(random), profile(random), Pace()
        for number in range(1, 200):
            time = number / 200
            elapsed_s, left_s, done = time * whole_s, (1 - time) * whole_s, done_at(time)
            pace.saw(elapsed_s, done)
            if number % 10:
                continue
            own_s = elapsed_s * (1 - done) / done if done else None
            guesses = (
                own_s,
                remaining_s(elapsed_s, None, times),
                remaining_s(elapsed_s, own_s, times, unsteadiness=pace.unsteadiness),
            )
            for each, error in zip(guesses, errors, strict=True):
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


@pytest.mark.parametrize("runs", [30, pytest.param(1000, marks=pytest.mark.full)])
@pytest.mark.parametrize("longer", [0.2, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("known", [1, 30])
def test_a_run_unlike_those_before_is_told_by_its_own_steady_rate(
    runs: int, longer: float, known: int
) -> None:
    alike, steady = DURATIONS["alike (9.5 to 10.5 s)"], PROFILES["steady"]
    _, past, both = _errors(alike, steady, runs, known=known, longer=longer)
    print(f"\n{longer:g} times as long, {known} known: past {past:.1%}, both {both:.1%}", end="")
    assert both < 0.5 * past
