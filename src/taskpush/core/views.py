"""From the record to what readers see of it."""

from __future__ import annotations

from typing import Any, Final

import orjson

from taskpush.models.events import EventType, Status
from taskpush.models.feed import Tombstone
from taskpush.models.position import WirePosition
from taskpush.models.task import (
    ErrorSummary,
    Latest,
    Links,
    ListedArtifact,
    LoggedEvent,
    Snapshot,
    Summary,
    TaskRecord,
    VolatileEvent,
)
from taskpush.models.uploads import TaskUpload, UploadRef
from taskpush.models.values import encoded

_SHOWN: Final = frozenset({EventType.PROGRESS, EventType.QUEUE, EventType.STATS})


def summary_of(record: TaskRecord) -> Summary:
    """The record without params and result, as lists and feeds show it."""
    return Summary(**_shared(record))


def summary_body(task: TaskRecord | Tombstone) -> bytes:
    """What a feed says of a task, as JSON."""
    if isinstance(task, Tombstone):
        return encoded({"task_id": task.task_id, "deleted": True})
    return summary_of(task).model_dump_json().encode()


def snapshot_of(record: TaskRecord) -> Snapshot:
    """The whole record as one task's readers see it."""
    return Snapshot(
        **_shared(record),
        params=dict(record.params),
        uploads=[_upload_of(record.task_id, ref) for ref in record.uploads],
        metadata=dict(record.metadata),
        links=links_of(record.task_id),
    )


def snapshot_body(record: TaskRecord) -> dict[str, Any]:
    """The snapshot as a JSON object."""
    return snapshot_of(record).model_dump(mode="json", by_alias=True)


def latest_of(record: TaskRecord) -> Latest:
    """The newest data of the volatile types that snapshots hold."""
    return Latest(**{event.event_type.value: _data(event) for event in volatile_of(record)})


def volatile_of(record: TaskRecord) -> list[VolatileEvent]:
    """The newest volatile events of those types, as they were sent; oldest first."""
    shown = (event for event in record.latest.values() if event.event_type in _SHOWN)
    return sorted(shown, key=lambda event: event.rev)


def artifact_of(record: TaskRecord, event: LoggedEvent) -> ListedArtifact:
    """The file of an `artifact` event, as the task stands.

    The log does not change, so what an attempt has made is not marked there: whether it is
    partial follows from how the attempt ended. While it runs, nobody knows, and nothing is.
    """
    envelope = orjson.loads(event.body)
    return ListedArtifact(
        **(envelope["data"] | {"partial": _is_partial(record, event.attempt)}),
        attempt=event.attempt,
        created_at=envelope["timestamp"],
    )


def _is_partial(record: TaskRecord, attempt: int) -> bool:
    """Whether the attempt ended without completing; older ones always have."""
    if attempt < record.attempt:
        return True
    return record.status.is_over and record.status is not Status.COMPLETED


def _upload_of(task_id: str, ref: UploadRef) -> TaskUpload:
    return TaskUpload(
        upload_id=ref.upload_id,
        name=ref.name,
        media_type=ref.media_type,
        size_bytes=ref.size_bytes,
        sha256=ref.sha256,
        url=f"/api/tasks/{task_id}/uploads/{ref.upload_id}",
    )


def links_of(task_id: str) -> Links:
    """Addresses below the place where taskpush is mounted."""
    base = f"/api/tasks/{task_id}"
    return Links(
        self_=base,
        events=f"{base}/events",
        result=f"{base}/result",
        artifacts=f"{base}/artifacts",
        cancel=f"{base}/cancel",
        retry=f"{base}/retry",
    )


def _shared(record: TaskRecord) -> dict[str, Any]:
    error = record.error
    return {
        "task_id": record.task_id,
        "kind": record.kind,
        "title": record.title,
        "status": record.status,
        "final": record.final,
        "resumable": record.resumable,
        "attempt": record.attempt,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "priority": record.priority,
        "run_at": record.run_at,
        "timeout_s": record.timeout_s,
        "max_attempts": record.max_attempts,
        "created_by_producer": record.created_by_producer,
        "tags": list(record.tags),
        "owner": record.owner,
        "message": record.message,
        "reason": record.reason,
        "error": error
        and ErrorSummary(error=error.error, error_type=error.error_type, code=error.code),
        "latest": latest_of(record),
        "position": WirePosition.of(record.head),
    }


def _data(event: VolatileEvent) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(event.body)["data"]
    return data
