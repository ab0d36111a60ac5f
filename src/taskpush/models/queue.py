"""Answers of `GET /api/queue`: who waits for what, and for how long."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Place(BaseModel):
    """Where a task stands and when it starts, in seconds from now."""

    position: int = Field(description="1 is next; counts everybody.")
    ahead: int = Field(description="How many start before it.")
    eta_seconds: float | None = Field(
        default=None, description="Until it starts; null while no run of the kind has ended yet."
    )
    eta_low: float | None = Field(default=None, description="It hardly starts before.")
    eta_high: float | None = Field(
        default=None, description="Nine times out of ten it has started by then."
    )


class NextSubmission(Place):
    """Where a task created now would stand, and how long it would take then."""

    run_seconds: float | None = Field(
        default=None,
        description="From start to end, by runs of about its size where params were given and the "
        "kind has sizes; null while no run of the kind has ended yet.",
    )


class QueueEntry(Place):
    """A waiting task; of others' only what the kind's `queue_visibility` shows."""

    own: bool = Field(description="Whether the reader may see the task itself.")
    task_id: str | None = Field(default=None, description="Null unless it is the reader's own.")
    title: str | None = None


class Accuracy(BaseModel):
    """How the first estimate of tasks that have started since compares with the truth.

    Of those that the reader may read, among the newest 500 of the kind.
    """

    count: int = Field(description="Tasks of the reader's that waited with an estimate.")
    median_error_seconds: float | None = Field(
        default=None, description="Half of them started closer to their estimate than that."
    )
    share_inside: float | None = Field(
        default=None, description="Part of them that started between `eta_low` and `eta_high`."
    )


class KindQueue(BaseModel):
    """The queue of one kind."""

    kind: str
    slots: int = Field(description="How many tasks of the kind run at once.")
    running: int
    waiting: int = Field(description="How many wait; those whose `run_at` has not come do not.")
    queue_limit: int | None = Field(
        default=None,
        description="How many tasks may be pending, delayed ones too; null means as many as come.",
    )
    entries: list[QueueEntry] = Field(
        description="Those the reader may see, in order: the first `limit` positions, and the "
        "reader's own beyond, at most as many again."
    )
    next_submission: NextSubmission
    accuracy: Accuracy
