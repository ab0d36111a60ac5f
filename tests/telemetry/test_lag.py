"""How late the loop was."""

from __future__ import annotations

from taskpush.telemetry.lag import REMEMBERED, LoopLag


def test_nothing_seen_is_no_lag() -> None:
    lag = LoopLag()
    assert (lag.newest_s, lag.worst_s, lag.distribution.count) == (0, 0, 0)


def test_the_worst_is_remembered_for_a_while_and_counted_for_ever() -> None:
    lag = LoopLag()
    for lag_s in (0.003, 0.5, 0.002):
        lag.observe(lag_s)
    assert (lag.newest_s, lag.worst_s) == (0.002, 0.5)
    for _ in range(REMEMBERED):
        lag.observe(0.001)
    assert lag.worst_s == 0.001
    assert lag.distribution.count == REMEMBERED + 3
    # All but one within a quarter of a second.
    assert dict(lag.distribution.buckets)[0.25] == REMEMBERED + 2
