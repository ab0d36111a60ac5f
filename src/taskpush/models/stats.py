"""Answer of `GET /api/stats`: what became of tasks, day by day."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, Field

from taskpush.models.queue import Accuracy


class KindDay(BaseModel):
    """The tasks of one kind that ended on one day, by their present status."""

    day: date = Field(description="In UTC.")
    kind: str
    completed: int
    failed: int
    cancelled: int
    interrupted: int
    failure_rate: float | None = Field(
        description="Failed ones among those that completed or failed; null when none did."
    )
    median_seconds: float | None = Field(
        description="How long those took that completed; null when none did."
    )
    p95_seconds: float | None = Field(description="95 of 100 of them took no longer.")
    median_wait_seconds: float | None = Field(
        description="From when a task was due to its start; null when none started. Attempts that "
        "somebody asked for by a retry are left out."
    )


class KindEstimates(BaseModel):
    """How good the estimates of one kind's queue were."""

    kind: str
    accuracy: Accuracy


class StoreSize(BaseModel):
    """How much there is, of everybody's."""

    tasks: int
    events: int = Field(description="Logged ones.")
    bytes: int = Field(description="What the database uses, without the files of tasks.")
    unused_bytes: int = Field(description="What the database has room for without growing.")


class Stats(BaseModel):
    """History of the reader's tasks that are still there."""

    days: list[KindDay] = Field(
        description="Oldest first, then by kind; without those on which no task ended."
    )
    estimates: list[KindEstimates] = Field(description="Of each kind, since the server started.")
    store: StoreSize | None = Field(description="Null for those who may see their own tasks only.")
