"""A leaky bucket fills and empties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.rates import FORGET_FROM, LeakyBucket, Rates


def test_what_is_done_at_once_adds_up() -> None:
    bucket = LeakyBucket(10, 5.0)
    assert [bucket.pour(5.0) for _ in range(3)] == [1, 2, 3]


def test_the_level_falls_at_its_rate_and_never_below_nothing() -> None:
    bucket = LeakyBucket(10, 0.0)
    for _ in range(20):
        bucket.pour(0.0)
    assert bucket.pour(1.0) == 11
    assert bucket.pour(100.0) == 1


@given(st.lists(st.floats(0.1, 10), max_size=50))
def test_who_keeps_to_the_rate_never_fills_it(pauses: list[float]) -> None:
    bucket, now = LeakyBucket(10, 0.0), 0.0
    for pause in pauses:
        now += pause
        assert bucket.pour(now) < 2


def test_as_much_as_fits_may_be_done_at_once_and_then_at_the_rate() -> None:
    rates = Rates(per_s=2, at_once=10)
    assert [rates.take("ann", 5, 0.0) for _ in range(2)] == [0, 0]
    assert rates.take("ann", 1, 0.0) == pytest.approx(0.5)
    assert rates.take("ann", 4, 0.0) == pytest.approx(2)
    assert rates.take("ann", 1, 0.5) == 0
    assert rates.take("ann", 10, 5.5) == 0


def test_nobody_is_kept_from_anything_by_others() -> None:
    rates = Rates(per_s=1, at_once=1)
    assert [rates.take(who, 1, 0.0) for who in ("ann", "bob", "ann")] == [0, 0, pytest.approx(1)]


def test_more_than_ever_fits_is_said_so() -> None:
    with pytest.raises(ValueError, match="11 at once, of at most 10"):
        Rates(per_s=1, at_once=10).take("ann", 11, 0.0)


def test_those_whose_bucket_is_empty_are_forgotten() -> None:
    rates = Rates(per_s=1, at_once=1)
    for second in range(100_000):
        assert rates.take(second, 1, float(second)) == 0
    assert len(rates) <= FORGET_FROM


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), max_size=50),
    st.sampled_from([(1.0, 5), (2.5, 5), (1000 / 60, 1000), (1 / 60, 7)]),
)
def test_it_holds_as_much_as_a_bucket_and_says_when_there_is_room(
    steps: list[tuple[float, int]], of: tuple[float, int]
) -> None:
    """The model is a level that falls and rises."""
    per_s, at_once = of
    rates, level, now_s = Rates(per_s, at_once), 0.0, 0.0
    for pause_s, amount in steps:
        now_s += pause_s
        level = max(0.0, level - pause_s * per_s)
        wait_s = rates.take("ann", amount, now_s)
        over = level + amount - at_once
        assert wait_s == pytest.approx(max(0.0, over / per_s), abs=1e-5)
        if wait_s:
            assert rates.take("ann", amount, now_s + wait_s) == 0
            now_s, level = now_s + wait_s, at_once
        else:
            level += amount
