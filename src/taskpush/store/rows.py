"""A record as bytes: one JSON document of everything but the head and the volatile events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from taskpush.models.events import EventType, Status
from taskpush.models.position import START, Position
from taskpush.models.task import (
    CheckpointRef,
    ProducerRef,
    TakenRun,
    TaskError,
    TaskRecord,
    VolatileEvent,
)
from taskpush.models.uploads import UploadRef
from taskpush.models.webhooks import DeliveryState, Webhook

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STATES: Final = TypeAdapter(list[DeliveryState])


def to_microseconds(moment: datetime) -> int:
    """`moment` as whole microseconds since 1970, without the rounding of a float."""
    return (moment - _UNIX_EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """The inverse of `to_microseconds`, in UTC."""
    return _UNIX_EPOCH + count * _MICROSECOND


def encode_record(record: TaskRecord) -> bytes:
    """The document of `record`; raises `TypeError` for a value that is no JSON.

    The text holds no raw line break, and all of the record's texts are in it: what could not be
    written as UTF-8 is found here, where it fails one write and not the batch.
    """
    return orjson.dumps(
        {
            "task_id": record.task_id,
            "kind": record.kind,
            "tenant": record.tenant,
            "owner": record.owner,
            "params": record.params,
            "created_at": record.created_at.isoformat(),
            "status": record.status,
            "attempt": record.attempt,
            "title": record.title,
            "priority": record.priority,
            "tags": record.tags,
            "metadata": record.metadata,
            "started_at": _isoformat(record.started_at),
            "finished_at": _isoformat(record.finished_at),
            "message": record.message,
            "reason": record.reason,
            "error": record.error and _error_document(record.error),
            "result": record.result,
            "cancel_requested": record.cancel_requested,
            "keep_requested": record.keep_requested,
            "run_at": _isoformat(record.run_at),
            "timeout_s": record.timeout_s,
            "max_attempts": record.max_attempts,
            "failures": record.failures,
            "interruptions": record.interruptions,
            "checkpoint": record.checkpoint and _checkpoint_document(record.checkpoint),
            "runner": record.runner,
            "producer": record.producer and _producer_document(record.producer),
            "created_by_producer": record.created_by_producer,
            "webhooks": [[webhook.url, webhook.events] for webhook in record.webhooks],
            "uploads": [_upload_document(upload) for upload in record.uploads],
        }
    )


def decode_record(
    doc: Mapping[str, Any],
    *,
    head: Position = START,
    last_event_at: datetime | None = None,
    latest: Mapping[EventType, VolatileEvent] | None = None,
) -> TaskRecord:
    """The record whose document is `doc`, with what is kept beside it."""
    return TaskRecord(
        task_id=doc["task_id"],
        kind=doc["kind"],
        tenant=doc["tenant"],
        owner=doc["owner"],
        params=doc["params"],
        created_at=datetime.fromisoformat(doc["created_at"]),
        status=Status(doc["status"]),
        attempt=doc["attempt"],
        title=doc["title"],
        priority=doc["priority"],
        tags=tuple(doc["tags"]),
        metadata=doc["metadata"],
        started_at=_moment(doc["started_at"]),
        finished_at=_moment(doc["finished_at"]),
        message=doc["message"],
        reason=doc["reason"],
        error=TaskError(**doc["error"]) if doc["error"] else None,
        result=doc["result"],
        cancel_requested=doc["cancel_requested"],
        keep_requested=doc["keep_requested"],
        run_at=_moment(doc["run_at"]),
        timeout_s=doc["timeout_s"],
        max_attempts=doc["max_attempts"],
        failures=doc["failures"],
        interruptions=doc["interruptions"],
        checkpoint=CheckpointRef(**doc["checkpoint"]) if doc["checkpoint"] else None,
        runner=doc["runner"],
        producer=_producer(doc["producer"]) if doc["producer"] else None,
        created_by_producer=doc["created_by_producer"],
        webhooks=webhooks_of(doc["webhooks"]),
        uploads=tuple(UploadRef(**upload) for upload in doc["uploads"]),
        head=head,
        last_event_at=last_event_at,
        latest=latest or {},
    )


def _error_document(error: TaskError) -> dict[str, str]:
    return {"error": error.error, "error_type": error.error_type, "code": error.code}


def _checkpoint_document(checkpoint: CheckpointRef) -> dict[str, Any]:
    return {
        "sha256": checkpoint.sha256,
        "size_bytes": checkpoint.size_bytes,
        "attempt": checkpoint.attempt,
        "label": checkpoint.label,
    }


def _producer_document(producer: ProducerRef) -> dict[str, Any]:
    return {
        "producer_id": producer.producer_id,
        "attempt": producer.attempt,
        "last_seq": producer.last_seq,
        "runs": [[run.first, run.log_seq, run.epoch, run.marks] for run in producer.runs],
    }


def _producer(doc: Mapping[str, Any]) -> ProducerRef:
    return ProducerRef(**{**doc, "runs": tuple(TakenRun(*run) for run in doc["runs"])})


def _upload_document(upload: UploadRef) -> dict[str, Any]:
    return {
        "upload_id": upload.upload_id,
        "name": upload.name,
        "media_type": upload.media_type,
        "size_bytes": upload.size_bytes,
        "sha256": upload.sha256,
    }


def webhooks_of(found: Iterable[tuple[str, Iterable[str]]]) -> tuple[Webhook, ...]:
    """The webhooks that stand in a document."""
    return tuple(Webhook(url, tuple(events)) for url, events in found)


def encode_states(states: Sequence[DeliveryState]) -> bytes:
    """How far the webhooks of a task have come, as a document."""
    return _STATES.dump_json(list(states))


def decode_states(doc: bytes | str, count: int) -> tuple[DeliveryState, ...]:
    """The inverse, for so many webhooks: those that were never tried are not in it."""
    known = _STATES.validate_json(doc)
    return (*known, *(DeliveryState() for _ in range(count - len(known))))


def _isoformat(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
