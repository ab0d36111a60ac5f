"""Lengths of time and sizes, read as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from taskpush.core.quantities import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45s", timedelta(seconds=45)),
        ("90 min", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        (" 30d ", timedelta(days=30)),
        ("2W", timedelta(days=14)),
        ("0s", timedelta(0)),
    ],
)
def test_a_length_of_time_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1 month", "1d 2h", "1e3s", "9" * 20 + "w"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("812 B", 812),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("1k", 1024),
        ("2.5MB", 2_500_000),
        ("1 GiB", 1024**3),
        ("1T", 1024**4),
    ],
)
def test_a_size_is_read(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1 gigabyte", "1,5MB", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)
