"""Estimates against what then happened: positions exact, the truth inside the bounds."""

from __future__ import annotations

import heapq
import itertools
import math
import sys
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskpush.core.estimates import (
    MAX_RUNS,
    MAX_SIMULATED,
    Forecast,
    Run,
    RunningTask,
    RunTimes,
    Span,
    WaitingTask,
    simulate,
)

Duration = Callable[[Random, float], float]

EVERY = range(sys.maxsize)

KNOWN: dict[str, Duration] = {
    "always the same": lambda chance, size: 10.0,
    "by size": lambda chance, size: 3.0 * size,
    "nearly the same": lambda chance, size: chance.uniform(9.5, 10.5),
}
RANDOM: dict[str, Duration] = {
    "uniform": lambda chance, size: chance.uniform(1, 19),
    "exponential": lambda chance, size: chance.expovariate(0.1),
    "lognormal": lambda chance, size: chance.lognormvariate(2, 0.8),
    "two sorts": lambda chance, size: chance.choice([2.0, 30.0]) * chance.uniform(0.9, 1.1),
    "by size, roughly": lambda chance, size: size * chance.uniform(1.5, 4.5),
}


@dataclass(frozen=True, slots=True)
class Job:
    """A task whose truth only the world knows."""

    task_id: str
    size: float
    duration_s: float


@dataclass
class World:
    """Brute force: a queue that drains over its slots, on a clock that events move."""

    slots: int
    waiting: list[Job]
    chance: Random
    sized: bool = False
    reports_progress: bool = False
    history: RunTimes = field(default_factory=RunTimes)
    now_s: float = 0.0
    # Jobs that hold a slot, with the times of their start.
    running: list[tuple[Job, float]] = field(default_factory=list)
    # When each started.
    started: dict[str, float] = field(default_factory=dict)

    def fill(self) -> None:
        """Give free slots to whoever is next."""
        while self.waiting and len(self.running) < self.slots:
            job = self.waiting.pop(0)
            self.running.append((job, self.now_s))
            self.started[job.task_id] = self.now_s

    def end_next(self) -> None:
        """Wind the clock to the next end."""
        job, since_s = min(self.running, key=lambda held: held[1] + held[0].duration_s)
        self.now_s = since_s + job.duration_s
        self.running.remove((job, since_s))
        self.history = self.history.plus(Run(job.duration_s, self._size(job)))

    def forecasts(self) -> list[Forecast]:
        """What the code under test says now."""
        running = [
            RunningTask(
                self.now_s - since_s,
                (self.now_s - since_s) / job.duration_s if self.reports_progress else None,
                self._size(job),
            )
            for job, since_s in self.running
        ]
        waiting = [WaitingTask(job.task_id, self._size(job)) for job in self.waiting]
        return simulate(
            running,
            waiting,
            slots=self.slots,
            history=self.history,
            random=Random(self.chance.random()),
        )

    def _size(self, job: Job) -> float | None:
        return job.size if self.sized else None


def _jobs(duration: Duration, count: int, chance: Random) -> list[Job]:
    sizes = [chance.uniform(1, 10) for _ in range(count)]
    return [Job(f"t{i}", size, duration(chance, size)) for i, size in enumerate(sizes)]


def _history(duration: Duration, runs: int, chance: Random, *, sized: bool) -> RunTimes:
    past = _jobs(duration, runs, chance)
    return RunTimes().plus(*[Run(job.duration_s, job.size if sized else None) for job in past])


@dataclass
class Score:
    """How past estimates compare with the truth."""

    errors_s: list[float] = field(default_factory=list)
    relative: list[float] = field(default_factory=list)
    inside: list[bool] = field(default_factory=list)

    def add(self, span: Span, truth_s: float) -> None:
        self.errors_s.append(abs(span.eta_s - truth_s))
        self.relative.append(abs(span.eta_s - truth_s) / max(truth_s, 1e-9))
        self.inside.append(span.low_s - 1e-6 <= truth_s <= span.high_s + 1e-6)

    @property
    def share_inside(self) -> float:
        return sum(self.inside) / len(self.inside)

    def __str__(self) -> str:
        return (
            f"{len(self.inside)} estimates, median error {median(self.errors_s):.2f} s "
            f"({median(self.relative):.1%}), {self.share_inside:.1%} inside the bounds"
        )


def _drain(world: World, score: Score, first: Score, *, asked: Container[int] = EVERY) -> None:
    """Run the world to its end; check positions at the steps where it is asked, then estimates.

    Those of its first step, which is always asked, have a score of their own.
    """
    given: list[tuple[int, float, list[Forecast]]] = []
    world.fill()
    for step in itertools.count():
        if not world.running:
            break
        if step in asked or step == 0:
            given.append((step, world.now_s, _checked_forecasts(world)))
        world.end_next()
        world.fill()
    for step, at_s, forecasts in given:
        for each in forecasts:
            if each.start is not None and each.task_id in world.started:
                truth_s = world.started[each.task_id] - at_s
                if step in asked:
                    score.add(each.start, truth_s)
                if step == 0:
                    first.add(each.start, truth_s)


def _checked_forecasts(world: World) -> list[Forecast]:
    forecasts = world.forecasts()
    order = [job.task_id for job in world.waiting]
    assert [each.task_id for each in forecasts] == order
    assert [each.position for each in forecasts] == list(range(1, len(order) + 1))
    assert [each.ahead for each in forecasts] == list(range(len(order)))
    return forecasts


def _forty_tasks(
    name: str, *, worlds: int, reports_progress: bool, stride: int = 1
) -> tuple[Score, Score]:
    """The scores of all estimates, and of those that were given when the tasks were created.

    Each world is asked at every `stride`-th step, beginning with another one than its neighbour.
    """
    duration = (KNOWN | RANDOM)[name]
    sized = name.startswith("by size")
    score, first = Score(), Score()
    for seed in range(worlds):
        chance = Random(seed)
        history = _history(duration, 30, chance, sized=sized)
        jobs = _jobs(duration, 40, chance)
        world = World(2, jobs, chance, sized, reports_progress, history)
        _drain(world, score, first, asked=range(seed % stride, sys.maxsize, stride))
    progress = "with progress" if reports_progress else "without progress"
    print(f"\n{name}, {progress}: at steps {stride} apart {score}; when created {first}")
    return score, first


@pytest.mark.parametrize("name", [*KNOWN, *RANDOM])
def test_forty_tasks_two_slots_the_truth_lies_inside_the_bounds(name: str) -> None:
    score, _ = _forty_tasks(name, worlds=16, reports_progress=False)
    assert score.share_inside >= 0.8


@pytest.mark.full
@pytest.mark.parametrize("name", [*KNOWN, *RANDOM])
@pytest.mark.parametrize("reports_progress", [False, True])
def test_forty_tasks_two_slots_in_a_hundred_worlds(name: str, reports_progress: bool) -> None:
    """It is the worlds that are independent; the steps of one say nearly the same."""
    score, first = _forty_tasks(name, worlds=100, reports_progress=reports_progress, stride=5)
    assert score.share_inside >= 0.8
    assert first.share_inside >= 0.8


@pytest.mark.full
@pytest.mark.parametrize("name", [*KNOWN, *RANDOM])
def test_with_a_few_runs_to_go_by_the_bounds_are_wide_enough(name: str) -> None:
    duration = (KNOWN | RANDOM)[name]
    score = Score()
    for seed in range(60):
        chance = Random(seed)
        history = _history(duration, 3, chance, sized=False)
        world = World(2, _jobs(duration, 40, chance), chance, history=history)
        _drain(world, score, Score(), asked=range(seed % 5, sys.maxsize, 5))
    print(f"\n{name}, three runs known at first: {score}")
    assert score.share_inside >= 0.8


@given(
    slots=st.integers(1, 5),
    count=st.integers(0, 60),
    seed=st.integers(0, 2**32),
    runs=st.integers(0, 5),
)
@settings(max_examples=60)
def test_positions_are_exact_and_bounds_in_order_for_any_queue(
    slots: int, count: int, seed: int, runs: int
) -> None:
    chance = Random(seed)
    duration = RANDOM["lognormal"]
    world = World(
        slots,
        _jobs(duration, count, chance),
        chance,
        history=_history(duration, runs, chance, sized=False),
    )
    world.fill()
    while world.running:
        forecasts = world.forecasts()
        assert [each.task_id for each in forecasts] == [job.task_id for job in world.waiting]
        assert [each.position for each in forecasts] == list(range(1, len(world.waiting) + 1))
        starts = [each.start for each in forecasts if each.start is not None]
        assert all(0 <= s.low_s <= s.eta_s <= s.high_s for s in starts)
        assert all(a.eta_s <= b.eta_s for a, b in pairwise(starts))
        if len(world.waiting) > 2 and chance.random() < 0.3:
            world.waiting.pop(chance.randrange(len(world.waiting)))
        world.end_next()
        world.fill()


@given(
    slots=st.integers(1, 4),
    durations=st.lists(st.floats(5, 5), min_size=1, max_size=20),
    elapsed=st.lists(st.floats(0, 4.5), min_size=1, max_size=4),
)
def test_known_durations_give_what_brute_force_gives(
    slots: int, durations: list[float], elapsed: list[float]
) -> None:
    elapsed = elapsed[:slots]
    history = RunTimes().plus(*[Run(5.0)] * MAX_RUNS)
    waiting = [WaitingTask(str(i)) for i in range(len(durations))]
    running = [RunningTask(each) for each in elapsed]
    forecasts = simulate(running, waiting, slots=slots, history=history, random=Random(1))
    free_at = [5.0 - each for each in elapsed] + [0.0] * (slots - len(elapsed))
    heapq.heapify(free_at)
    for each, duration_s in zip(forecasts, durations, strict=True):
        truth_s = heapq.heappop(free_at)
        heapq.heappush(free_at, truth_s + duration_s)
        assert each.start is not None
        assert each.start.eta_s == pytest.approx(truth_s, rel=0.05, abs=0.1)
        assert each.start.low_s <= truth_s <= each.start.high_s


def _etas(forecasts: Sequence[Forecast]) -> dict[str, float]:
    return {each.task_id: each.start.eta_s for each in forecasts if each.start is not None}


def test_when_one_is_cancelled_those_behind_it_move_up() -> None:
    chance = Random(7)
    world = World(2, _jobs(KNOWN["always the same"], 12, chance), chance)
    world.history = RunTimes().plus(*[Run(10.0)] * 50)
    world.fill()
    before = world.forecasts()
    gone = world.waiting.pop(4)
    after = world.forecasts()
    assert gone.task_id not in _etas(after)
    for each in before[:4]:
        assert _etas(after)[each.task_id] == pytest.approx(_etas(before)[each.task_id], rel=0.05)
    places = {each.task_id: each.position for each in after}
    for each in before[5:]:
        assert places[each.task_id] == each.position - 1
    for ahead, behind in zip(before[4:], before[6:], strict=False):
        # Two slots: who was two places behind starts when the one before it would have.
        assert _etas(after)[behind.task_id] < _etas(before)[behind.task_id] + 0.1
        assert _etas(after)[behind.task_id] >= _etas(before)[ahead.task_id] - 0.5


def _first(running: RunningTask, history: RunTimes) -> Span:
    [forecast] = simulate([running], [WaitingTask("t")], slots=1, history=history, random=Random(3))
    assert forecast.start is not None
    return forecast.start


HISTORY = RunTimes().plus(*[Run(float(10 + i % 20)) for i in range(60)])


def test_a_task_that_runs_long_already_is_compared_with_those_that_ran_as_long() -> None:
    assert _first(RunningTask(0), HISTORY).eta_s == pytest.approx(20, abs=3)
    assert _first(RunningTask(26), HISTORY).eta_s == pytest.approx(2, abs=1.5)


def test_one_that_outlasts_all_others_is_given_as_much_again_as_it_has_overrun() -> None:
    late, very_late = _first(RunningTask(35), HISTORY), _first(RunningTask(300), HISTORY)
    assert 1 < late.eta_s < 20
    assert 100 < very_late.eta_s < 300
    assert very_late.low_s < 30
    assert very_late.high_s > 600


def test_its_own_rate_counts_the_more_the_further_it_is() -> None:
    slow = [RunningTask(100 * fraction, fraction) for fraction in (0.1, 0.5, 0.9)]
    errors = [abs(_first(task, HISTORY).eta_s - (100 - task.elapsed_s)) for task in slow]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 3


def test_a_task_that_says_it_is_done_is_about_to_end() -> None:
    assert _first(RunningTask(12, 1.0), HISTORY).eta_s == 0
    assert _first(RunningTask(12, 1.7), HISTORY).eta_s == 0
    assert _first(RunningTask(0, 0.0), HISTORY).eta_s > 10


def test_larger_tasks_take_longer_when_the_kind_declares_sizes() -> None:
    history = RunTimes().plus(*[Run(2.0 * size, float(size)) for size in range(1, 60)])
    waiting = [WaitingTask("small", 2), WaitingTask("large", 50), WaitingTask("last", 1)]
    forecasts = simulate([], waiting, slots=1, history=history, random=Random(1))
    small, large, last = (_etas(forecasts)[task_id] for task_id in ("small", "large", "last"))
    assert small == 0
    assert large == pytest.approx(4, rel=0.2)
    assert last == pytest.approx(104, rel=0.1)


def test_without_history_there_are_positions_and_no_invented_numbers() -> None:
    waiting = [WaitingTask(str(i)) for i in range(3)]
    forecasts = simulate(
        [RunningTask(5, 0.5)], waiting, slots=1, history=RunTimes(), random=Random(1)
    )
    assert [(each.position, each.ahead, each.start) for each in forecasts] == [
        (1, 0, None),
        (2, 1, None),
        (3, 2, None),
    ]


def test_who_finds_a_free_slot_starts_at_once_even_without_history() -> None:
    waiting = [WaitingTask(str(i)) for i in range(3)]
    forecasts = simulate([RunningTask(5)], waiting, slots=2, history=RunTimes(), random=Random(1))
    assert [each.start and each.start.eta_s for each in forecasts] == [0, None, None]


def test_a_kind_that_nothing_runs_has_no_estimate() -> None:
    forecasts = simulate([], [WaitingTask("t")], slots=0, history=HISTORY, random=Random(1))
    assert [each.start for each in forecasts] == [None]


def test_more_running_than_slots_wait_for_the_surplus_to_end() -> None:
    history = RunTimes().plus(*[Run(10.0)] * 100)
    running = [RunningTask(8), RunningTask(5), RunningTask(1)]
    [first] = simulate(running, [WaitingTask("t")], slots=1, history=history, random=Random(1))
    assert first.start is not None
    assert first.start.eta_s == pytest.approx(9, abs=0.5)


def test_runs_of_no_time_are_no_division_by_zero() -> None:
    history = RunTimes().plus(Run(0.0), Run(0.0, 0.0), Run(0.0, 3.0))
    waiting = [WaitingTask(str(i), size) for i, size in enumerate([None, 0.0, 2.0])]
    forecasts = simulate([RunningTask(0.0)], waiting, slots=1, history=history, random=Random(1))
    assert all(each.start and math.isfinite(each.start.high_s) for each in forecasts)


def test_the_newest_runs_are_remembered() -> None:
    history = RunTimes()
    for i in range(MAX_RUNS + 50):
        history = history.plus(Run(float(i)))
    assert [run.duration_s for run in history.runs] == [float(i) for i in range(50, 250)]


def test_far_down_the_estimate_goes_on_at_the_mean_rate() -> None:
    chance = Random(5)
    history = _history(RANDOM["exponential"], MAX_RUNS, chance, sized=False)
    waiting = [WaitingTask(str(i)) for i in range(5 * MAX_SIMULATED)]
    forecasts = simulate([RunningTask(0)] * 2, waiting, slots=2, history=history, random=Random(1))
    mean_s = sum(run.duration_s for run in history.runs) / MAX_RUNS
    last = forecasts[-1].start
    assert last is not None
    assert last.eta_s == pytest.approx(len(waiting) * mean_s / 2, rel=0.1)
    assert last.low_s < last.eta_s < last.high_s
    etas = list(_etas(forecasts).values())
    assert etas == sorted(etas)


def test_a_thousand_waiting_tasks_cost_a_few_milliseconds() -> None:
    history = _history(RANDOM["lognormal"], MAX_RUNS, Random(5), sized=True)
    waiting = [WaitingTask(str(i), 1 + i % 50) for i in range(1000)]
    costs_s = []
    for _ in range(5):
        begin_s = time.perf_counter()
        simulate([RunningTask(1)] * 2, waiting, slots=2, history=history, random=Random(1))
        costs_s.append(time.perf_counter() - begin_s)
    print(f"\n1,000 waiting: {1000 * min(costs_s):.1f} ms")
    # Ten times what it takes on a machine that does nothing else.
    assert min(costs_s) < 0.1
