"""How steady a way is, from what was seen of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.pace import MAX_POINTS, Pace


def way(done_at: Callable[[float], float], reports: int) -> Pace:
    """An attempt of ten seconds, up to its half."""
    pace = Pace()
    for number in range(1, reports + 1):
        time = number / reports / 2
        pace.saw(10 * time, done_at(time))
    return pace


def test_before_the_first_report_nothing_is_known() -> None:
    assert Pace().unsteadiness == 1


def test_each_report_of_an_even_way_makes_it_surer() -> None:
    unsteady = [way(lambda time: time, reports).unsteadiness for reports in (1, 2, 5, 20, 50)]
    assert unsteady == pytest.approx([1.0, 0.5, 0.2, 0.05, 0.02])


@pytest.mark.parametrize(
    "done_at",
    [lambda time: time**2, lambda time: time**0.5, lambda time: max(0.0, time - 0.3)],
    ids=["faster", "slower", "after a start-up"],
)
def test_what_goes_faster_slower_or_begins_late_is_unsteady_however_often_it_reports(
    done_at: Callable[[float], float],
) -> None:
    assert way(done_at, 1000).unsteadiness > 0.9


def test_what_goes_evenly_again_becomes_steady_in_time() -> None:
    pace = Pace()
    pace.saw(1.0, 0.001)
    for number in range(1, 1000):
        pace.saw(1.0 + number / 10, number / 1000)
    assert pace.unsteadiness < 0.15


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), max_size=300))
def test_whatever_is_seen_it_is_a_part_and_little_is_kept(seen: list[tuple[float, float]]) -> None:
    pace = Pace()
    for elapsed_s, done in seen:
        pace.saw(elapsed_s, done)
    assert 0 <= pace.unsteadiness <= 1


def test_a_long_way_is_remembered_by_few_points_as_the_whole_would_be() -> None:
    long, few = way(lambda time: time**1.2, 10_000), way(lambda time: time**1.2, MAX_POINTS - 1)
    assert long.unsteadiness == pytest.approx(few.unsteadiness, abs=0.05)
