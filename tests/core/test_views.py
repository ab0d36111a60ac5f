"""What readers see of a record."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from taskpush.core.views import artifact_of
from taskpush.models.events import EventType, Status
from taskpush.models.task import LoggedEvent, TaskRecord

AT = datetime(2026, 1, 2, tzinfo=UTC)


def _artifact(attempt: int) -> LoggedEvent:
    data = {
        "name": "a.txt",
        "media_type": "text/plain",
        "size_bytes": 1,
        "sha256": "0" * 64,
        "url": "/api/tasks/t/artifacts/a.txt",
    }
    body = orjson.dumps({"data": data, "timestamp": AT})
    return LoggedEvent("t", attempt, 1, "e", EventType.ARTIFACT, body, final=False)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("attempt", [1, 2])
def test_a_file_is_partial_when_its_attempt_ended_without_completing(
    status: Status, attempt: int
) -> None:
    record = TaskRecord("t", "layout", "local", "ann", {}, AT, status=status, attempt=2)
    unfinished = status in {Status.FAILED, Status.CANCELLED, Status.INTERRUPTED}
    assert artifact_of(record, _artifact(attempt)).partial == (attempt == 1 or unfinished)
