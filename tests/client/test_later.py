"""When a server says to come back."""

from __future__ import annotations

import pytest

from taskpush.client.later import MAX_S, retry_after_s, seconds


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("10", 10),
        (" 0 ", 0),
        ("99999999999999999999", MAX_S),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_the_header_counts_when_it_is_a_number_of_seconds(text: str, wait_s: float | None) -> None:
    assert retry_after_s({"Retry-After": text}) == wait_s


def test_no_header_says_nothing() -> None:
    assert retry_after_s({}) is None
    assert retry_after_s(None) is None


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [(1, 1), (0.5, 0.5), (-3, 0), (1e300, MAX_S), (float("nan"), None), (True, None), ("1", None)],
)
def test_any_number_of_seconds_is_sensible_or_none(value: object, wait_s: float | None) -> None:
    assert seconds(value) == wait_s
