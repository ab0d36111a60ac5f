"""A record as a document, and back."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from hypothesis import given
from hypothesis import strategies as st

from taskpush.models.events import Status
from taskpush.models.task import CheckpointRef, ProducerRef, TakenRun, TaskError, TaskRecord
from taskpush.models.values import MAX_SAFE_INTEGER
from taskpush.models.webhooks import LOGGED_TYPES, Webhook
from taskpush.store.rows import decode_record, encode_record, from_microseconds, to_microseconds

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTEGERS = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(UTC),
)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)
RECORDS = st.builds(
    TaskRecord,
    task_id=st.uuids().map(str),
    kind=TEXTS,
    tenant=TEXTS,
    owner=TEXTS,
    params=OBJECTS,
    created_at=MOMENTS,
    status=st.sampled_from(Status),
    attempt=st.integers(1, 1000),
    title=st.none() | TEXTS,
    priority=INTEGERS,
    tags=st.lists(TEXTS, max_size=3).map(tuple),
    metadata=OBJECTS,
    started_at=st.none() | MOMENTS,
    finished_at=st.none() | MOMENTS,
    message=st.none() | TEXTS,
    reason=st.none() | TEXTS,
    error=st.none() | st.builds(TaskError, error=TEXTS, error_type=TEXTS, code=TEXTS),
    result=VALUES,
    cancel_requested=st.booleans(),
    keep_requested=st.booleans(),
    run_at=st.none() | MOMENTS,
    timeout_s=st.none() | st.floats(0, 1e6),
    max_attempts=st.integers(1, 100),
    failures=st.integers(0, 100),
    interruptions=st.integers(0, 100),
    checkpoint=st.none()
    | st.builds(
        CheckpointRef,
        sha256=TEXTS,
        size_bytes=INTEGERS,
        attempt=st.integers(1, 1000),
        label=st.none() | TEXTS,
    ),
    producer=st.none()
    | st.builds(
        ProducerRef,
        producer_id=TEXTS,
        attempt=st.integers(1, 1000),
        last_seq=INTEGERS,
        runs=st.lists(
            st.builds(TakenRun, first=INTEGERS, log_seq=INTEGERS, epoch=TEXTS, marks=TEXTS),
            max_size=3,
        ).map(tuple),
    ),
    webhooks=st.lists(
        st.builds(
            Webhook,
            url=TEXTS,
            events=st.lists(st.sampled_from(LOGGED_TYPES), min_size=1).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    runner=st.none() | TEXTS,
    head=st.just(TaskRecord.__dataclass_fields__["head"].default),
    last_event_at=st.none(),
    latest=st.just({}),
)


@given(RECORDS)
def test_a_record_read_back_equals_the_record_written(record: TaskRecord) -> None:
    doc = encode_record(record)
    assert decode_record(orjson.loads(doc)) == record
    assert b"\n" not in doc


@given(MOMENTS)
def test_a_moment_keeps_its_microseconds(moment: datetime) -> None:
    assert from_microseconds(to_microseconds(moment)) == moment
