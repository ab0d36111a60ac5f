"""What clients ask for, over REST and over Socket.IO."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
)

from taskpush.models.position import WirePosition
from taskpush.models.producing import ProducerId
from taskpush.models.values import CLEAN, Moment, SafeInt, Text
from taskpush.models.webhooks import MAX_WEBHOOKS, LoggedType, Webhook

MAX_METADATA_BYTES: Final = 16 * 1024
MAX_TIMEOUT_S: Final = 30 * 24 * 3600.0

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}"
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
"""Name of a kind or a tag: letters, digits, `_`, `.` and `-`, at most 64."""
TaskId = Annotated[
    str,
    StringConstraints(
        to_lower=True,
        pattern=r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
    ),
]
"""A UUID in its canonical form."""


class Command(BaseModel):
    """Base of a request: an unknown field is a mistake, and is said."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewWebhook(Command):
    """A webhook of a task that is created."""

    url: Annotated[str, Field(min_length=1, max_length=2000), CLEAN]
    events: Annotated[list[LoggedType], Field(min_length=1, max_length=6)] = Field(
        default=["status_change"], description="Types of the events that are sent."
    )

    def webhook(self) -> Webhook:
        """As the task keeps it."""
        return Webhook(self.url, tuple(dict.fromkeys(self.events)))


class CreateTask(Command):
    """Body of `POST /api/tasks`."""

    kind: Name
    params: dict[str, Any] = Field(default_factory=dict)
    task_id: TaskId | None = None
    title: Annotated[str, Field(max_length=200), CLEAN] | None = None
    priority: Annotated[SafeInt, Field(ge=-1000, le=1000)] = Field(
        default=0, description="Higher goes first among the waiting tasks of its kind."
    )
    run_at: Moment | None = Field(default=None, description="Not before this time.")
    timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S, allow_inf_nan=False)] | None = Field(
        default=None, description="How long an attempt may take; by default what the kind says."
    )
    max_attempts: Annotated[SafeInt, Field(ge=1, le=100)] | None = Field(
        default=None, description="How often it is tried; by default what the kind says."
    )
    tags: Annotated[list[Name], Field(max_length=20)] = Field(default_factory=list)
    metadata: dict[Text, Any] = Field(default_factory=dict)
    webhooks: Annotated[list[NewWebhook], Field(max_length=MAX_WEBHOOKS)] = Field(
        default_factory=list, description="Where its events are sent."
    )
    producer_id: ProducerId | None = Field(
        default=None,
        description="The producer that creates it and runs it itself: no other may report it.",
    )


class CreateBatch(Command):
    """Body of `POST /api/tasks/batch`: all are created, or none."""

    tasks: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1000)]


class CancelTask(Command):
    """Body of `POST /api/tasks/{id}/cancel`; `keep` ends it interrupted, to be gone on with."""

    attempt: Annotated[SafeInt, Field(ge=1)] | None = None
    keep: bool = False


class RetryTask(Command):
    """Body of `POST /api/tasks/{id}/retry`; from the newest checkpoint unless `from_start`."""

    attempt: Annotated[SafeInt, Field(ge=1)] | None = None
    from_start: bool = False
    producer_id: ProducerId | None = Field(
        default=None, description="The producer that takes the next attempt up itself."
    )


class Redeliver(Command):
    """Body of `POST /api/tasks/{id}/webhooks/redeliver`: send what follows an event again."""

    webhook: Annotated[SafeInt, Field(ge=0)] = Field(
        default=0, description="Which of the task's webhooks, from 0."
    )
    after: Annotated[SafeInt, Field(ge=0)] = Field(
        default=0, description="The seq after which all is sent again; 0 is from the start."
    )


class SocketCancel(CancelTask):
    """Payload of the `cancel` event."""

    task_id: TaskId


class Subscribe(BaseModel):
    """Payload of the `subscribe` event; `after` None means the retained log from its start."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: TaskId
    after: WirePosition | Literal["now"] | None = None
    previews: StrictBool = False


class Unsubscribe(BaseModel):
    """Payload of the `unsubscribe` event."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: TaskId
