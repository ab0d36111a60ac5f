"""Reading envelopes, positions and resyncs from the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from taskpush.client.errors import BadAnswer
from taskpush.client.events import Resync, WatchEvent, parse_position
from taskpush.models.position import START, Position
from tests.client.wire import TASK, logged, position, resync, status, volatile


def test_a_logged_event_has_a_position_and_no_rev() -> None:
    raw = logged(17, "iteration_complete", iteration=10, metrics={"max_temp": 45.5})
    event = WatchEvent.parse(raw)
    assert event.position == Position(17, "e1")
    assert event.rev is None
    assert event.data["metrics"] == {"max_temp": 45.5}
    assert event.timestamp == datetime(2026, 11, 22, 14, 30, 0, 123456, UTC)
    assert event.raw is raw


def test_a_volatile_event_has_a_rev_and_no_position() -> None:
    event = WatchEvent.parse(volatile(7, progress_percent=25))
    assert (event.rev, event.seq, event.position) == (7, None, None)


def test_only_a_status_change_can_be_final() -> None:
    assert WatchEvent.parse(status(3, "failed")).is_final
    assert not WatchEvent.parse(status(3, "running")).is_final
    assert not WatchEvent.parse(logged(3, "log", final=True)).is_final


def test_unknown_types_and_fields_pass() -> None:
    event = WatchEvent.parse(logged(1, "mood") | {"colour": "blue"})
    assert event.event_type == "mood"
    assert event.raw["colour"] == "blue"


@pytest.mark.parametrize(
    "change",
    [
        {"task_id": 7},
        {"event_type": None},
        {"data": []},
        {"timestamp": "yesterday"},
        {"attempt": True},
        {"seq": "1"},
        {"seq": 1.5},
        {"epoch": None},
        {"seq": None},
    ],
    ids=str,
)
def test_an_envelope_that_is_none_is_a_bad_answer(change: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        WatchEvent.parse(logged(1) | change)


@pytest.mark.parametrize("raw", [None, [], "e1:4", {}, {"seq": 4}, {"seq": -0.5, "epoch": "e"}])
def test_a_position_that_is_none_is_a_bad_answer(raw: object) -> None:
    with pytest.raises(BadAnswer):
        parse_position(raw)


def test_the_start_has_no_epoch() -> None:
    assert parse_position(position(0)) == START


def test_a_resync_reads_like_an_event() -> None:
    item = Resync.parse(resync(4))
    assert (item.task_id, item.event_type, item.position) == (TASK, "resync", Position(4, "e2"))
    assert item.data is item.snapshot
