"""A task as the store keeps it, as events carry it, and as readers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from taskpush.models.events import EventType, Status
from taskpush.models.position import START, Position, WirePosition
from taskpush.models.uploads import TaskUpload, UploadRef
from taskpush.models.webhooks import Webhook


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why the last attempt failed, as its `error` event said it."""

    error: str
    error_type: str
    code: str


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """Where the newest checkpoint's content lies, and what its event said."""

    sha256: str
    size_bytes: int
    # The attempt that made it.
    attempt: int
    # None when the handler gave none.
    label: str | None = None


@dataclass(frozen=True, slots=True)
class TakenRun:
    """Events of a producer that stand one after the other in the log."""

    # The producer's number of the first.
    first: int
    # Where what they made begins in the log.
    log_seq: int
    epoch: str
    # For each of them a digit: how many logged events it made.
    marks: str


@dataclass(frozen=True, slots=True)
class ProducerRef:
    """Who reports an attempt from outside the server, or is to, and how far that has come."""

    producer_id: str
    attempt: int
    # The producer's number of the last event that was taken; 0 before the first.
    last_seq: int
    # The newest of them, with their places in the log.
    runs: tuple[TakenRun, ...] = ()


class NewEvent(NamedTuple):
    """A logged event on its way to the store, which gives it its seq, epoch and timestamp."""

    event_type: EventType
    data: Mapping[str, Any]
    # None means the attempt of the record it comes with; set where a decision raises the attempt.
    attempt: int | None = None


class LoggedEvent(NamedTuple):
    """A committed event. `body` is the whole envelope as UTF-8 JSON, encoded once, here."""

    task_id: str
    attempt: int
    seq: int
    epoch: str
    event_type: EventType
    body: bytes
    final: bool

    @property
    def position(self) -> Position:
        return Position(self.seq, self.epoch)


@dataclass(frozen=True, slots=True)
class VolatileEvent:
    """The newest state of one type of one task; `rev` rises per task, across restarts too."""

    task_id: str
    attempt: int
    rev: int
    event_type: EventType
    body: bytes
    # What travels beside the body, which has a placeholder for it; None unless it is a picture.
    attachment: bytes | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.body) + len(self.attachment or b"")

    @property
    def order(self) -> tuple[int, int]:
        """What a newer event of this type has more of."""
        return (self.attempt, self.rev)


@dataclass(frozen=True)
class TaskRecord:
    """Everything the store knows of a task, read in one transaction.

    Without slots, so that `moved` can copy all of its fields in one step.
    """

    task_id: str
    kind: str
    tenant: str
    owner: str
    params: Mapping[str, Any]
    created_at: datetime
    status: Status = Status.PENDING
    attempt: int = 1
    title: str | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # None until the first attempt starts.
    started_at: datetime | None = None
    # None until the attempt is over; set again by the next one.
    finished_at: datetime | None = None
    # None until a status change came with one.
    message: str | None = None
    # Why the status is what it is (`timeout`, `server_stopped`, …); None when nobody said.
    reason: str | None = None
    # None unless the last attempt failed.
    error: TaskError | None = None
    # None unless completed; a handler may also return None.
    result: JsonValue = None
    # Somebody asked the running attempt to stop.
    cancel_requested: bool = False
    # Whether that was a cancel with `keep`: the attempt ends interrupted, to be gone on with.
    keep_requested: bool = False
    # Not before this time; None means at once.
    run_at: datetime | None = None
    # How long an attempt may take; None means as long as it likes.
    timeout_s: float | None = None
    # How often the task is tried by itself before it is failed.
    max_attempts: int = 1
    # Attempts that failed since the task was created or retried by hand.
    failures: int = 0
    # Interruptions since the last checkpoint, or since it was retried by hand.
    interruptions: int = 0
    # None while the task has none to go on from.
    checkpoint: CheckpointRef | None = None
    # Epoch of the writer process that executes it, or the producer; None unless running.
    runner: str | None = None
    # Where events are sent to; they are no part of what readers see.
    webhooks: tuple[Webhook, ...] = ()
    # The files that stand in the params.
    uploads: tuple[UploadRef, ...] = ()
    # None until a producer outside the server reports, or has the task to itself from the start;
    # then the newest one.
    producer: ProducerRef | None = None
    # Whether the program that runs it has created it, so that nobody else takes it up.
    created_by_producer: bool = False
    head: Position = START
    # Timestamp of the last logged event; None before the first.
    last_event_at: datetime | None = None
    latest: Mapping[EventType, VolatileEvent] = field(default_factory=dict)

    def moved(self, head: Position, last_event_at: datetime) -> TaskRecord:
        """The record with only its head moved: `dataclasses.replace` takes ten times as long."""
        values = self.__dict__.copy()
        values["head"] = head
        values["last_event_at"] = last_event_at
        record = object.__new__(TaskRecord)
        object.__setattr__(record, "__dict__", values)
        return record

    @property
    def final(self) -> bool:
        return self.status.is_final

    @property
    def resumable(self) -> bool:
        """Whether a retry goes on from a checkpoint."""
        return self.checkpoint is not None and self.status is not Status.COMPLETED


class Links(BaseModel):
    """Addresses of what belongs to a task, relative to the server's root."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    self_: Annotated[str, Field(alias="self")]
    events: str
    result: str
    artifacts: str
    cancel: str
    retry: str


class ListedArtifact(BaseModel):
    """A file that a task made."""

    name: str
    title: str | None = None
    media_type: str
    size_bytes: int
    sha256: str
    url: str = Field(description="Pins the hash.")
    attempt: int
    created_at: AwareDatetime
    partial: bool = Field(
        description="Whether the attempt that made it failed, was cancelled or interrupted."
    )


class Latest(BaseModel):
    """The newest data of the volatile types that snapshots hold, or null."""

    # Whoever reads one finds every field.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    progress: dict[str, Any] | None = None
    queue: dict[str, Any] | None = None
    stats: dict[str, Any] | None = None


class ErrorSummary(BaseModel):
    """Why the last attempt failed."""

    error: str
    error_type: str
    code: str


class Summary(BaseModel):
    """A task in a list: no params, no result."""

    # Whoever reads one finds every field.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    task_id: str
    kind: str
    title: str | None = None
    status: Status
    final: bool
    resumable: bool
    attempt: int
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    priority: int
    run_at: AwareDatetime | None = None
    timeout_s: float | None = None
    max_attempts: int = 1
    created_by_producer: bool = Field(
        default=False,
        description="Whether the program that runs it created it: nobody else retries it.",
    )
    tags: list[str]
    owner: str
    message: str | None = None
    reason: str | None = None
    error: ErrorSummary | None = None
    latest: Latest
    position: WirePosition


class Snapshot(Summary):
    """The record with the newest volatile data and the position, read in one transaction."""

    params: dict[str, Any]
    uploads: list[TaskUpload] = Field(description="The files whose ids stand in the params.")
    metadata: dict[str, Any]
    links: Links
