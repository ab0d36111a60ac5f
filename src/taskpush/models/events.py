"""What a task says: the payload of every event type, and the envelope around it.

Protocol section 1. Logged events carry `seq` and are kept; volatile ones carry `rev` and replace
one another. The models are the source of the published schemas and of the golden files.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
)

from taskpush.models.values import FiniteFloat, Number, SafeInt, Text

MAX_EVENT_BYTES: Final = 64 * 1024
"""Largest encoded event; a larger result travels as `result_url`."""
MAX_LOG_LINE_BYTES: Final = 16 * 1024
"""Longest message of a log event; longer ones are cut."""
MAX_PICTURE_BYTES: Final = 192 * 1024
"""Largest picture of a preview; it travels beside the event."""
MAX_PREVIEW_TEXT_BYTES: Final = 16 * 1024
ATTACHED: Final = {"_placeholder": True, "num": 0}
"""Stands in an event for what travels beside it. Source: the Socket.IO protocol, version 5."""


class Status(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_final(self) -> bool:
        """Whether an attempt that reaches it is over for good, short of a retry."""
        return self in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}

    @property
    def is_over(self) -> bool:
        """Whether nothing executes it and nothing will, short of a retry or a resume."""
        return self.is_final or self is Status.INTERRUPTED


class EventType(StrEnum):
    """The names on the wire."""

    STATUS_CHANGE = "status_change"
    ITERATION_COMPLETE = "iteration_complete"
    ERROR = "error"
    LOG = "log"
    ARTIFACT = "artifact"
    CHECKPOINT = "checkpoint"
    PROGRESS = "progress"
    QUEUE = "queue"
    STATS = "stats"
    PREVIEW = "preview"


class Payload(BaseModel):
    """Base of what stands in an envelope's `data`; readers ignore fields they don't know."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_data(self) -> dict[str, Any]:
        """The JSON object on the wire: fields without a value are left out."""
        return self.model_dump(mode="json", exclude_none=True)


class StatusChange(Payload):
    """The task's status moved; `final` says that the attempt is over for good."""

    status: Status
    final: bool = False
    message: Text | None = None
    reason: Text | None = None
    resumable: bool | None = None
    result: JsonValue = None
    result_url: str | None = None


class Progress(Payload):
    """How far the attempt is. `progress_percent` never falls within an attempt."""

    progress_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    current_iteration: SafeInt | None = None
    max_iterations: SafeInt | None = None
    completed: Number | None = None
    total: Number | None = None
    unit: Text | None = None
    message: Text | None = None
    stage: Text | None = None
    stage_description: Text | None = None
    rate_per_s: FiniteFloat | None = None
    eta_seconds: FiniteFloat | None = None
    elapsed_seconds: FiniteFloat

    def to_data(self) -> dict[str, Any]:
        """As every payload, but an unknown percentage is said: `null`."""
        return {"progress_percent": self.progress_percent, **super().to_data()}


class IterationComplete(Payload):
    """One iteration ended, with its figures."""

    iteration: SafeInt
    metrics: dict[Text, Number]


class ErrorReport(Payload):
    """An attempt ended in an exception, a timeout or an invalid result."""

    error: Text
    error_type: Text
    code: Text
    status: Literal["failed", "pending"] = "failed"
    will_retry: bool = False
    retry_at: AwareDatetime | None = None
    traceback: Text | None = None


class Log(Payload):
    """One line of what the job says."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    message: Text
    fields: dict[Text, JsonValue] | None = None


class Artifact(Payload):
    """A file the job made; `url` pins its hash."""

    name: Text
    title: Text | None = None
    media_type: Text
    size_bytes: SafeInt
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    url: str
    partial: bool | None = None


class Checkpoint(Payload):
    """The job can go on from here; the content stays on the server."""

    label: Text | None = None
    progress_percent: Annotated[float, Field(ge=0, le=100)] | None = None


class Queue(Payload):
    """Where a waiting task stands; position 1 is next."""

    kind: Text
    position: Annotated[int, Field(ge=1)]
    ahead: Annotated[int, Field(ge=0)]
    eta_seconds: FiniteFloat | None = None
    eta_low: FiniteFloat | None = None
    eta_high: FiniteFloat | None = None


class Stats(Payload):
    """Named counters and gauges of the task."""

    model_config = ConfigDict(frozen=True, extra="allow")

    elapsed_seconds: FiniteFloat


_CONTENT: Final[dict[str, Any]] = {
    "description": "A text; or the placeholder, which Socket.IO clients replace by the bytes.",
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"_placeholder": {"const": True}, "num": {"type": "integer"}},
            "required": ["_placeholder", "num"],
        },
    ],
}


class Preview(Payload):
    """The newest picture or text, for those who asked for previews.

    A picture's bytes travel beside the event, with a placeholder for `content` in it.
    """

    media_type: Text
    content: Annotated[Any, WithJsonSchema(_CONTENT)]


class EnvelopeBase(BaseModel):
    """What surrounds every payload."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", json_schema_serialization_defaults_required=True
    )

    task_id: str
    timestamp: AwareDatetime
    attempt: Annotated[int, Field(ge=1)]


class LoggedEnvelope(EnvelopeBase):
    """Envelope of an event that is kept: the next `seq` of its task, without holes."""

    seq: Annotated[int, Field(ge=1)]
    epoch: str


class VolatileEnvelope(EnvelopeBase):
    """Envelope of an event that the next of its type replaces."""

    seq: None = None
    rev: Annotated[int, Field(ge=1)]


class StatusChangeEvent(LoggedEnvelope):
    event_type: Literal["status_change"] = "status_change"
    data: StatusChange


class IterationCompleteEvent(LoggedEnvelope):
    event_type: Literal["iteration_complete"] = "iteration_complete"
    data: IterationComplete


class ErrorEvent(LoggedEnvelope):
    event_type: Literal["error"] = "error"
    data: ErrorReport


class LogEvent(LoggedEnvelope):
    event_type: Literal["log"] = "log"
    data: Log


class ArtifactEvent(LoggedEnvelope):
    event_type: Literal["artifact"] = "artifact"
    data: Artifact


class CheckpointEvent(LoggedEnvelope):
    event_type: Literal["checkpoint"] = "checkpoint"
    data: Checkpoint


class ProgressEvent(VolatileEnvelope):
    event_type: Literal["progress"] = "progress"
    data: Progress


class QueueEvent(VolatileEnvelope):
    event_type: Literal["queue"] = "queue"
    data: Queue


class StatsEvent(VolatileEnvelope):
    event_type: Literal["stats"] = "stats"
    data: Stats


class PreviewEvent(VolatileEnvelope):
    event_type: Literal["preview"] = "preview"
    data: Preview


Envelope = Annotated[
    StatusChangeEvent
    | IterationCompleteEvent
    | ErrorEvent
    | LogEvent
    | ArtifactEvent
    | CheckpointEvent
    | ProgressEvent
    | QueueEvent
    | StatsEvent
    | PreviewEvent,
    Field(discriminator="event_type"),
]
"""Any event, told apart by `event_type`."""
