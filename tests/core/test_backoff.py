"""How long a client waits before it tries again."""

from __future__ import annotations

import pytest

from taskpush.core.backoff import full_jitter_s


@pytest.mark.parametrize(
    ("failures", "bound_s"), [(0, 0.0), (1, 0.25), (2, 0.5), (3, 1.0), (7, 15.0), (10_000, 15.0)]
)
def test_the_bound_doubles_with_each_failure_up_to_the_cap(failures: int, bound_s: float) -> None:
    assert full_jitter_s(failures, lambda: 1.0) == bound_s


def test_anything_below_the_bound_can_come_out() -> None:
    assert full_jitter_s(5, lambda: 0.0) == 0
    assert full_jitter_s(3, lambda: 0.5) == 0.5
