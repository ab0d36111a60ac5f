"""Seqs without holes, timestamps that never fall, revs that always rise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.journal import first_rev, seal, seal_volatile
from taskpush.core.lifecycle import Decision
from taskpush.errors import TaskPushError
from taskpush.models.events import MAX_PICTURE_BYTES, EventType, Status
from taskpush.models.task import NewEvent, TaskRecord

NOW = datetime(2026, 11, 22, tzinfo=UTC)
RECORD = TaskRecord(task_id="t", kind="k", tenant="local", owner="local", params={}, created_at=NOW)


def _line(text: str = "hi") -> NewEvent:
    return NewEvent(EventType.LOG, {"level": "info", "message": text})


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-100, 100)), max_size=10))
def test_seqs_have_no_holes_and_timestamps_never_fall(batches: list[tuple[int, int]]) -> None:
    record, bodies = RECORD, []
    for count, offset_s in batches:
        decision = Decision(record, tuple(_line() for _ in range(count)))
        record, events = seal(decision, epoch="e", now=NOW + timedelta(seconds=offset_s))
        bodies += [json.loads(event.body) for event in events]
    assert [body["seq"] for body in bodies] == list(range(1, len(bodies) + 1))
    stamps = [body["timestamp"] for body in bodies]
    assert stamps == sorted(stamps)
    assert record.head.seq == len(bodies)


def test_a_decision_without_events_leaves_the_head_alone() -> None:
    record, events = seal(Decision(RECORD), epoch="e", now=NOW)
    assert record == RECORD
    assert events == []


def test_an_event_over_the_limit_is_refused() -> None:
    with pytest.raises(TaskPushError) as caught:
        seal(Decision(RECORD, (_line("x" * 65536),)), epoch="e", now=NOW)
    assert caught.value.code == "payload_too_large"


def test_only_a_final_status_change_is_final() -> None:
    data = {"status": Status.COMPLETED, "final": True}
    decision = Decision(
        RECORD, (NewEvent(EventType.LOG, {"final": True}), NewEvent(EventType.STATUS_CHANGE, data))
    )
    _, events = seal(decision, epoch="e", now=NOW)
    assert [event.final for event in events] == [False, True]


def test_a_volatile_event_has_a_rev_and_no_seq_and_is_kept_as_the_latest() -> None:
    event = NewEvent(EventType.PROGRESS, {"progress_percent": 5.0, "elapsed_seconds": 1.0})
    record, volatile = seal_volatile(replace(RECORD, attempt=2), event, rev=7, now=NOW)
    body = json.loads(volatile.body)
    assert (body["seq"], body["rev"], body["attempt"]) == (None, 7, 2)
    assert record.latest == {EventType.PROGRESS: volatile}


def test_a_picture_travels_beside_its_event() -> None:
    event = NewEvent(EventType.PREVIEW, {"media_type": "image/png", "content": b"\x89PNG"})
    _, volatile = seal_volatile(RECORD, event, rev=7, now=NOW)
    data = json.loads(volatile.body)["data"]
    assert data == {"media_type": "image/png", "content": {"_placeholder": True, "num": 0}}
    assert volatile.attachment == b"\x89PNG"
    assert volatile.size_bytes == len(volatile.body) + 4


def test_a_text_to_preview_is_part_of_its_event() -> None:
    event = NewEvent(EventType.PREVIEW, {"media_type": "text/plain", "content": "half way"})
    _, volatile = seal_volatile(RECORD, event, rev=7, now=NOW)
    assert json.loads(volatile.body)["data"]["content"] == "half way"
    assert volatile.attachment is None


def test_a_picture_over_the_limit_is_refused() -> None:
    for size_bytes, refused in ((MAX_PICTURE_BYTES, False), (MAX_PICTURE_BYTES + 1, True)):
        event = NewEvent(
            EventType.PREVIEW, {"media_type": "image/png", "content": b"x" * size_bytes}
        )
        if refused:
            with pytest.raises(TaskPushError) as caught:
                seal_volatile(RECORD, event, rev=7, now=NOW)
            assert caught.value.code == "payload_too_large"
        else:
            seal_volatile(RECORD, event, rev=7, now=NOW)


def test_revs_rise_over_a_clock_set_back_and_over_a_restored_backup() -> None:
    first = first_rev(0, NOW)
    used = first + 1000
    assert first_rev(used, NOW - timedelta(days=3)) > used
    assert first_rev(0, NOW + timedelta(seconds=1)) > used
    assert first_rev(0, datetime(2242, 1, 1, tzinfo=UTC)) < 2**53


@pytest.mark.parametrize("microsecond", [0, 5, 120_000, 999_999])
def test_a_timestamp_always_has_six_places(microsecond: int) -> None:
    now = NOW.replace(microsecond=microsecond)
    _, (event,) = seal(Decision(RECORD, (_line(),)), epoch="e", now=now)
    assert json.loads(event.body)["timestamp"] == now.isoformat(timespec="microseconds")


def test_only_the_head_of_a_record_moves() -> None:
    record, (event,) = seal(Decision(RECORD, (_line(),)), epoch="e", now=NOW)
    assert record == replace(RECORD, head=event.position, last_event_at=NOW)
    assert RECORD.head.seq == 0
