"""A kind's policy: refused when it makes no sense, and what it decides."""

from __future__ import annotations

from typing import Any

import pytest

from taskpush.runner.policy import Backoff, Policy
from taskpush.runner.registry import Registry
from tests.runner import kinds


@pytest.mark.parametrize(
    "option",
    [
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"timeout_s": True},
        {"timeout_s": "5"},
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"max_attempts": 1.5},
        {"backoff": 3},
        {"resume": "always"},
        {"concurrency_key": "tenant"},
        {"queue_limit": 0},
        {"queue_limit": True},
        {"queue_limit": 2.5},
        {"queue_visibility": "everything"},
        {"retention": "30d"},
        {"size": 3},
        {"capture_print": 1},
    ],
)
def test_an_option_out_of_range_is_refused_with_the_kinds_name(option: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=f"kind 'bake': {next(iter(option))} must be"):
        Registry().register("bake", kinds.a_everything, **option)


def test_a_registration_keeps_its_policy() -> None:
    spec = Registry().register(
        "bake", kinds.a_everything, timeout_s=5, max_attempts=3, resume="auto"
    )
    assert (spec.timeout_s, spec.max_attempts, spec.resume) == (5, 3, "auto")
    assert spec.queue_visibility == "anonymous"


@pytest.mark.parametrize("pair", [(-1, 5), (2, 1), (float("inf"), 5), ("1", 5)])
def test_a_backoff_that_makes_no_sense_is_refused(pair: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="Backoff: "):
        Backoff(*pair)


def test_pauses_double_up_to_the_longest() -> None:
    policy = Policy(backoff=Backoff(first_s=2, longest_s=10))
    assert [policy.retry_in_s(failures, lambda: 1.0) for failures in (1, 2, 3, 4)] == [2, 4, 8, 10]
    assert policy.retry_in_s(3, lambda: 0.25) == 2


def test_a_policy_without_a_backoff_has_the_default_one() -> None:
    assert Policy().retry_in_s(1, lambda: 1.0) == Backoff().first_s


def test_keys_are_made_of_the_owner_or_of_the_params() -> None:
    assert Policy().key_of("acme", "ann", {}) is None
    assert Policy(concurrency_key="owner").key_of("acme", "ann", {}) == ("acme", "ann")
    by_oven = Policy(concurrency_key=lambda params: params["oven"])
    assert by_oven.key_of("acme", "ann", {"oven": "b"}) == ("b",)
    with pytest.raises(TypeError, match="gave a int"):
        by_oven.key_of("acme", "ann", {"oven": 1})


def test_sizes_are_made_of_the_params() -> None:
    assert Policy().size_of({}) is None
    assert Policy(size=lambda params: len(params["pages"])).size_of({"pages": [1, 2]}) == 2.0


@pytest.mark.parametrize("size", ["2", None, True, 0, -1, float("inf"), float("nan")])
def test_a_size_is_a_number_above_zero(size: Any) -> None:
    with pytest.raises(ValueError, match="size gave"):
        Policy(size=lambda _: size).size_of({})
