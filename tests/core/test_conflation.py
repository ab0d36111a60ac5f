"""Merging volatile states: not too many a second, the first and the last always."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.conflation import Throttle

THROTTLE: Throttle[str] = Throttle(interval_s=0.1)


def test_the_first_state_is_due_at_once() -> None:
    throttle, due = THROTTLE.offer("a", 5.0)
    assert due == "a"
    assert throttle.due_in(5.0) is None


def test_the_newest_waits_and_is_due_after_the_interval() -> None:
    throttle, _ = THROTTLE.offer("a", 5.0)
    throttle, due = throttle.offer("b", 5.02)
    assert due is None
    throttle, due = throttle.offer("c", 5.04)
    assert due is None
    remaining_s = throttle.due_in(5.04)
    assert remaining_s is not None
    assert abs(remaining_s - 0.06) < 1e-9
    throttle, due = throttle.flush(5.1)
    assert due == "c"
    assert throttle.flush(5.1) == (throttle, None)


def test_a_state_after_the_interval_is_due_and_replaces_what_waited() -> None:
    throttle, _ = THROTTLE.offer("a", 5.0)
    throttle, _ = throttle.offer("b", 5.05)
    throttle, due = throttle.offer("c", 5.2)
    assert due == "c"
    assert throttle.due_in(5.2) is None


def test_a_wait_that_is_over_is_no_negative_one() -> None:
    throttle, _ = THROTTLE.offer("a", 5.0)
    throttle, _ = throttle.offer("b", 5.05)
    assert throttle.due_in(9.0) == 0.0


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=200))
def test_however_fast_states_come_they_leave_in_order_and_not_too_fast(gaps: list[float]) -> None:
    throttle: Throttle[int] = Throttle(interval_s=0.1)
    now = 0.0
    sent: list[tuple[int, float]] = []
    for state, gap in enumerate(gaps):
        now += gap
        throttle, due = throttle.offer(state, now)
        if due is not None:
            sent.append((due, now))
    throttle, last = throttle.flush(now + 0.1)
    states = [state for state, _ in sent] + ([] if last is None else [last])
    assert states[0] == 0
    assert states[-1] == len(gaps) - 1
    assert states == sorted(set(states))
    times = [at for _, at in sent]
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(times))
