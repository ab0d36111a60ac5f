"""What a watch gives out, read from the wire.

Only the shape that the client itself relies on is checked; unknown event types and fields pass
(protocol section 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from taskpush.client.errors import BadAnswer
from taskpush.errors import TaskPushError
from taskpush.models.position import Position

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a task, as its envelope said it."""

    task_id: str
    event_type: str
    # Its fields depend on `event_type`: protocol section 1.
    data: dict[str, Any]
    # Aware, in UTC; set where the event was recorded.
    timestamp: datetime
    attempt: int
    # Both None for a volatile event.
    seq: int | None
    epoch: str | None
    # None for a logged event.
    rev: int | None
    # The envelope as it came.
    raw: dict[str, Any] = field(repr=False, compare=False)

    @property
    def position(self) -> Position | None:
        """Where another watch may go on after this event; None for a volatile one."""
        return None if self.seq is None else Position(seq=self.seq, epoch=self.epoch)

    @property
    def is_final(self) -> bool:
        """Whether its attempt is over for good with this event."""
        return self.event_type == "status_change" and self.data.get("final") is True

    @classmethod
    def parse(cls, raw: object) -> WatchEvent:
        """Read an envelope; raises `BadAnswer` when it is none."""
        envelope = _typed(raw, dict, "an envelope")
        seq = envelope.get("seq")
        return cls(
            task_id=_member(envelope, "task_id", str),
            event_type=_member(envelope, "event_type", str),
            data=_member(envelope, "data", dict),
            timestamp=_timestamp(_member(envelope, "timestamp", str)),
            attempt=_member(envelope, "attempt", int),
            seq=None if seq is None else _member(envelope, "seq", int),
            epoch=None if seq is None else _member(envelope, "epoch", str),
            rev=_member(envelope, "rev", int) if seq is None else None,
            raw=envelope,
        )


@dataclass(frozen=True, slots=True)
class Resync:
    """The history was cut: what came before no longer leads to what comes next.

    Replace what you know of the task with `snapshot`; the events that follow start from
    `position`. `event_type` and `data` make it readable like an event.
    """

    task_id: str
    reason: str
    # The task as `GET /api/tasks/{id}` shows it.
    snapshot: dict[str, Any]
    position: Position
    # The payload as it came.
    raw: dict[str, Any] = field(repr=False, compare=False)

    @property
    def event_type(self) -> Literal["resync"]:
        return "resync"

    @property
    def data(self) -> dict[str, Any]:
        return self.snapshot

    @classmethod
    def parse(cls, raw: object) -> Resync:
        """Read the payload of `resync`; raises `BadAnswer` when it is none."""
        payload = _typed(raw, dict, "a resync")
        return cls(
            task_id=_member(payload, "task_id", str),
            reason=str(payload.get("reason") or ""),
            snapshot=_member(payload, "snapshot", dict),
            position=parse_position(payload.get("position")),
            raw=payload,
        )


WatchItem = WatchEvent | Resync


def parse_position(raw: object) -> Position:
    """Read `{"epoch": text, "seq": number}`; raises `BadAnswer` for anything else."""
    position = _typed(raw, dict, "a position")
    seq = _member(position, "seq", int)
    return Position(seq=seq, epoch=_member(position, "epoch", str) if seq else None)


def parse_text(text: str) -> Position:
    """Read `epoch:seq`; raises `BadAnswer` for anything else."""
    try:
        return Position.parse(text)
    except TaskPushError:
        raise BadAnswer(f"the server sent a position that is none: {text:.80}") from None


def position_text(raw: object) -> str | None:
    """A position of the wire as text; None for the start, and for none at all."""
    position = None if raw is None else parse_position(raw)
    return str(position) if position is not None and position.seq else None


def _member(mapping: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    return _typed(mapping.get(name), kind, name)


def _typed(value: object, kind: type[Value], what: str) -> Value:
    # A bool is an int to isinstance, but not on the wire.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadAnswer(f"the server sent {what} that is no {kind.__name__}: {value!r:.80}")
    return value


def _timestamp(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadAnswer(f"the server sent a timestamp that is none: {text:.80}") from None
