"""A leaky bucket fills and empties."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.rates import LeakyBucket


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
