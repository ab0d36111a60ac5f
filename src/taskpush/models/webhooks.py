"""Webhooks: addresses that a task's events are sent to, and what became of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

LoggedType = Literal[
    "status_change", "iteration_complete", "error", "log", "artifact", "checkpoint"
]
"""Types of the events that are kept; others would be old when they arrive."""
LOGGED_TYPES: Final[tuple[str, ...]] = get_args(LoggedType)
MAX_WEBHOOKS: Final = 5
"""Of one task, beside those of its kind."""
MAX_DELIVERIES: Final = 20
"""Events of which it is remembered how they were delivered, for each webhook."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address, and the types of the events that are sent to it.

    Raises `ValueError` for types that are none, or are not kept.
    """

    url: str
    events: tuple[str, ...] = ("status_change",)

    def __post_init__(self) -> None:
        wrong = [name for name in self.events if name not in LOGGED_TYPES]
        if wrong or not self.events:
            raise ValueError(f"webhook: events are among {', '.join(LOGGED_TYPES)}")


class Delivery(BaseModel):
    """How the delivery of one event stands."""

    model_config = ConfigDict(frozen=True)

    webhook_id: str = Field(description="As in the header: the same however often it is sent.")
    seq: int
    event_type: LoggedType
    outcome: Literal["taken", "failed", "given_up"] = Field(
        description="`failed` is tried again at `next_try_at`."
    )
    tries: int
    tried_at: AwareDatetime
    status: int | None = Field(description="Of the last answer; null when there was none.")
    error: str | None
    next_try_at: AwareDatetime | None


class DeliveryState(BaseModel):
    """How far one webhook of one task has come."""

    model_config = ConfigDict(frozen=True)

    # Everything up to this event is done with: taken, given up, or of another type.
    seq: int = 0
    # Of the next event, so far without success.
    tries: int = 0
    # None means at once.
    next_try_at: AwareDatetime | None = None
    # The receiver said that it is gone: nothing more is sent.
    gone: bool = False
    # Of the newest events, oldest first.
    deliveries: tuple[Delivery, ...] = ()


class Hooked(NamedTuple):
    """A task with webhooks, and how far each has come."""

    task_id: str
    webhooks: tuple[Webhook, ...]
    # As many as webhooks.
    states: tuple[DeliveryState, ...]


class ShownWebhook(BaseModel):
    """A webhook of a task, and what became of the newest events."""

    webhook: int = Field(description="Its number, from 0.")
    url: str
    events: list[LoggedType]
    state: Literal["waiting", "retrying", "gone"] = Field(
        description="`waiting` for the next event, or for its turn."
    )
    seq: int = Field(description="Everything up to this event is done with.")
    deliveries: list[Delivery] = Field(description="Of the newest events, newest first.")
