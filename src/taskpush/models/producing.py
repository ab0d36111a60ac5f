"""What a producer outside the server sends, and what it is answered. Protocol section 3."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from taskpush.models.events import MAX_PREVIEW_TEXT_BYTES, Status
from taskpush.models.position import WirePosition
from taskpush.models.values import CLEAN, MAX_SAFE_INTEGER, FiniteFloat, Number, Text

MAX_BATCH: Final = 500
"""Events that a producer sends at once."""
MAX_MESSAGE: Final = 16 * 1024
MAX_WORDS: Final = 4 * 1024

ProducerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@\-]{0,99}$")]
"""What a producer calls itself: new for each process, so that two are told apart."""
AttemptNumber = Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
Words = Annotated[str, Field(max_length=MAX_WORDS), CLEAN]
Figure = Annotated[Number, Field(ge=0)]


class Part(BaseModel):
    """Base: an unknown field is a mistake, and is said; nothing is taken for what it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Started(Part):
    """The producer takes the task: the first thing it says of an attempt."""

    status: Literal["running"]


class Completed(Part):
    """The attempt ended well."""

    status: Literal["completed"]
    result: JsonValue = None


class Cancelled(Part):
    """The attempt stopped because somebody wanted that."""

    status: Literal["cancelled"]
    message: Words = "Task cancelled"


class Failed(Part):
    """Why the attempt failed; the server makes the status of it, or another attempt."""

    error: Annotated[str, Field(min_length=1, max_length=MAX_WORDS), CLEAN]
    error_type: Annotated[str, Field(min_length=1, max_length=200), CLEAN] = "Error"
    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = "producer_error"


class LogData(Part):
    """One line of what the job says."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    message: Annotated[str, Field(max_length=MAX_MESSAGE), CLEAN]
    fields: dict[Text, JsonValue] = Field(default_factory=dict)


class IterationData(Part):
    """One iteration ended, with its figures."""

    iteration: Annotated[int, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
    metrics: dict[Text, Number] = Field(default_factory=dict)


class ProgressData(Part):
    """How far the attempt is; what is left out stays as it was. Percentages never fall.

    One of three forms: `completed` (of `total`), `current_iteration` (of `max_iterations`), or
    `progress_percent`, which is worked out where one of the others says it.
    """

    progress_percent: Annotated[FiniteFloat, Field(ge=0, le=100)] | None = None
    completed: Figure | None = None
    total: Figure | None = None
    current_iteration: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)] | None = None
    max_iterations: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)] | None = None
    unit: Words | None = None
    message: Words | None = None
    stage: Words | None = None
    stage_description: Words | None = None


class PreviewData(Part):
    """The newest text to show."""

    media_type: Annotated[str, Field(max_length=100), CLEAN]
    content: Annotated[str, Field(max_length=MAX_PREVIEW_TEXT_BYTES), CLEAN]


class ProducerEvent(Part):
    """Base: the producer's own number, 1, 2, 3 … in each attempt."""

    producer_seq: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]


class StatusReport(ProducerEvent):
    event_type: Literal["status_change"]
    data: Annotated[Started | Completed | Cancelled, Field(discriminator="status")]


class FailureReport(ProducerEvent):
    event_type: Literal["error"]
    data: Failed


class LogReport(ProducerEvent):
    event_type: Literal["log"]
    data: LogData


class IterationReport(ProducerEvent):
    event_type: Literal["iteration_complete"]
    data: IterationData


class ProgressReported(ProducerEvent):
    event_type: Literal["progress"]
    data: ProgressData


class StatsReport(ProducerEvent):
    event_type: Literal["stats"]
    data: dict[Text, JsonValue] = Field(description="Named counters and gauges.")


class PreviewReport(ProducerEvent):
    event_type: Literal["preview"]
    data: PreviewData


Reported = Annotated[
    StatusReport
    | FailureReport
    | LogReport
    | IterationReport
    | ProgressReported
    | StatsReport
    | PreviewReport,
    Field(discriminator="event_type"),
]
"""One event of a producer."""


class ReportBatch(Part):
    """Body of `POST /api/tasks/{id}/events`: all of it is taken, or nothing."""

    attempt: AttemptNumber
    producer_id: ProducerId
    events: Annotated[list[Reported], Field(max_length=MAX_BATCH)] = Field(
        description="In the order of their `producer_seq`, without holes; none is a sign of life."
    )


class ReportsTaken(BaseModel):
    """What became of a batch, and what is wanted of the producer."""

    task_id: str
    attempt: int
    status: Status
    positions: list[WirePosition | None] = Field(
        description="One for each event of the batch; null for progress, stats and previews."
    )
    next_producer_seq: int
    cancel_wanted: bool = Field(description="Whether the job is to stop, and to say so.")
    lease_s: float = Field(description="Something has to be heard again before so many seconds.")


class ArtifactTaken(BaseModel):
    """A file that a producer sent."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    url: str = Field(description="Pins the hash.")
    cancel_wanted: bool
