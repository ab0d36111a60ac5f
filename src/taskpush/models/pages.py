"""Answers of REST that are not a snapshot: pages, kinds, results, problems."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field, JsonValue

from taskpush.models.events import Status
from taskpush.models.position import WirePosition
from taskpush.models.task import Latest

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A part of a list; follow `next` until it is null."""

    items: list[Item]
    next: str | None = Field(default=None, description="Address of the next page.")


class EventPage(BaseModel):
    """Logged events after a position, with the newest volatile data."""

    items: list[dict[str, Any]] = Field(description="Envelopes, in order of seq.")
    next: str | None = Field(
        default=None, description="Address of the next page; null at the end of the log."
    )
    position: WirePosition = Field(description="Where the next call goes on.")
    latest: Latest
    volatile: list[dict[str, Any]] = Field(
        description="The envelopes that `latest` is the data of, in order of `rev`."
    )
    final: bool = Field(description="Whether the last event of the log is final.")


class Result(BaseModel):
    """What a completed task returned."""

    task_id: str
    status: Status
    result: JsonValue


class Kind(BaseModel):
    """A registered kind, with JSON Schema of what it takes and gives."""

    name: str
    description: str | None = None
    default: bool = Field(description="Whether a body without a kind is taken as its params.")
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]
    concurrency: int = Field(description="How many handlers run at once; 0 where producers do.")
    external: bool = Field(description="Whether producers outside the server run its tasks.")
    created_by_producer: bool = Field(
        description="Whether only the programs that run its tasks create them."
    )
    queue_limit: int | None = Field(
        default=None, description="How many tasks may be pending; null means as many as come."
    )


class FieldError(BaseModel):
    """One wrong field."""

    loc: str
    message: str = Field(description="For people.")
    type: str | None = Field(
        default=None, description="What is wrong, for programs: as Pydantic names it, mostly."
    )
    ctx: dict[str, str | float | bool] | None = Field(
        default=None, description="The numbers and texts of the message, by their names."
    )


class Problem(BaseModel):
    """An error as RFC 9457 has it, with a stable `code`."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str | None = None
    errors: list[FieldError] | None = None
    kind: str | None = Field(default=None, description="With `queue_full`: whose queue is full.")
    queue_limit: int | None = Field(default=None, description="With `queue_full`.")
    expected: int | None = Field(
        default=None, description="With `producer_gap`: the `producer_seq` to go on with."
    )
    retry_after: int | None = Field(
        default=None,
        description="With `queue_full`, `rate_limited`, `connection_limit` and `server_full`:"
        " seconds, as in the header `Retry-After`.",
    )


class Limits(BaseModel):
    """What holds for whoever asks; null is no limit."""

    connections: int = Field(description="Sockets, streams and polls that wait; of all together.")
    connections_per_address: int | None
    connections_per_principal: int | None
    subscriptions: int = Field(description="Of one connection.")
    packets_per_s: int = Field(description="From one connection, for long.")
    packets_at_once: int
    packet_bytes: int = Field(description="A packet counts once for each so many, begun.")
    creates_per_min: int | None = Field(description="Each task of a batch counts.")
    body_bytes: int
    params_bytes: int
    metadata_bytes: int
    event_bytes: int
    log_line_bytes: int
    artifact_bytes: int
    upload_bytes: int = Field(description="A file that is sent for params.")
    unused_uploads: int = Field(description="Files of one owner that no task uses.")
    unused_upload_bytes: int = Field(description="The same, together.")
    owner_upload_bytes: int = Field(description="All of one owner, with those that tasks use.")


class Health(BaseModel):
    """Answer of the health checks."""

    status: str
    checks: dict[str, str] = Field(default_factory=dict)
