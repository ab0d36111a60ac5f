"""Positions as text."""

from __future__ import annotations

import pytest

from taskpush.errors import TaskPushError
from taskpush.models.position import Position


@pytest.mark.parametrize(
    ("text", "position"),
    [("k3v9:17", Position(17, "k3v9")), ("17", Position(17)), ("0", Position(0))],
)
def test_a_position_is_read_and_written_back(text: str, position: Position) -> None:
    assert Position.parse(text) == position
    assert str(position) == text


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "true", "k3v9:", ":1", "K3V9:1", "a:b:1", "01", "9" * 16, "1\n", "١"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(TaskPushError) as caught:
        Position.parse(text)
    assert caught.value.code == "invalid_position"
