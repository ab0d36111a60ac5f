"""What a setting of a limit means, and for whom."""

from __future__ import annotations

import pytest

from taskpush.core.limits import Allowance, Limits


@pytest.mark.parametrize(
    ("setting", "for_strangers", "for_locals"),
    [(None, 500, None), (0, None, None), (1, 1, 1), (10_000, 10_000, 10_000)],
)
def test_a_default_is_for_strangers_and_what_somebody_said_is_for_all(
    setting: int | None, for_strangers: int | None, for_locals: int | None
) -> None:
    allowance = Allowance.said(setting, 500)
    assert (allowance.of(local=False), allowance.of(local=True)) == (for_strangers, for_locals)


def test_by_default_this_machine_is_limited_by_what_there_is_alone() -> None:
    told = Limits().told(local_address=True, local_principal=True)
    assert {name for name, limit in told.items() if limit is None} == {
        "connections_per_address",
        "connections_per_principal",
        "creates_per_min",
    }
    assert told["connections"] == 20_000


def test_by_default_there_is_a_limit_to_everything_for_strangers() -> None:
    told = Limits().told(local_address=False, local_principal=False)
    assert all(isinstance(limit, int) and limit > 0 for limit in told.values())
