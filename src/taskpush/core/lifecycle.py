"""The life of a task: which command is legal in which status, and what it makes of the record.

Every function takes the present record and gives a `Decision`, or raises. The store calls them
inside its transaction, so a decision is always made on the newest committed state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from pydantic import JsonValue

from taskpush.errors import IllegalTransition, NotFound, StaleAttempt, TaskPushError
from taskpush.models.events import ErrorReport, EventType, Status, StatusChange
from taskpush.models.task import NewEvent, TaskError, TaskRecord


class Command(StrEnum):
    """What can be asked of a task; the words of the error messages."""

    START = "start"
    REPORT = "report on"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    STOP = "end as cancelled"
    INTERRUPT = "interrupt"


TRANSITIONS: Final[Mapping[tuple[Status, Command], Status]] = MappingProxyType(
    {
        (Status.PENDING, Command.START): Status.RUNNING,
        (Status.PENDING, Command.CANCEL): Status.CANCELLED,
        (Status.PENDING, Command.FAIL): Status.FAILED,
        (Status.RUNNING, Command.REPORT): Status.RUNNING,
        (Status.RUNNING, Command.CANCEL): Status.RUNNING,
        (Status.RUNNING, Command.COMPLETE): Status.COMPLETED,
        (Status.RUNNING, Command.FAIL): Status.FAILED,
        (Status.RUNNING, Command.STOP): Status.CANCELLED,
        (Status.RUNNING, Command.INTERRUPT): Status.INTERRUPTED,
    }
)
"""The one table of legal moves; a running task that is asked to cancel runs until it stops."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command makes of a task: the record to keep and the events to append."""

    record: TaskRecord
    events: tuple[NewEvent, ...] = ()


Decide = Callable[[TaskRecord | None], Decision]
"""Turns the present record (None: no such task) into a decision, or raises a coded error."""


def next_status(status: Status, command: Command) -> Status:
    """The status after `command`; raises `IllegalTransition` with expected and actual."""
    try:
        return TRANSITIONS[status, command]
    except KeyError:
        expected = [state for state, legal in TRANSITIONS if legal is command]
        raise IllegalTransition(command, status, expected=expected) from None


def create(new: TaskRecord) -> Decide:
    """Store `new`; raises `task_id_taken` when the id exists."""

    def decide(record: TaskRecord | None) -> Decision:
        if record is not None:
            raise TaskPushError(code="task_id_taken")
        return Decision(new, (_status_event(new.status, message="Task created"),))

    return decide


def start(runner: str, now: datetime) -> Decide:
    """Take the pending task: from here on `runner` executes its attempt."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _existing(record)
        status = next_status(present.status, Command.START)
        message = "Task started"
        return Decision(
            replace(
                present,
                status=status,
                runner=runner,
                started_at=now,
                finished_at=None,
                message=message,
                reason=None,
                error=None,
            ),
            (_status_event(status, message=message),),
        )

    return decide


def report(attempt: int, events: Sequence[NewEvent]) -> Decide:
    """Append what a running attempt says."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        next_status(present.status, Command.REPORT)
        return Decision(present, tuple(events))

    return decide


def complete(
    attempt: int, now: datetime, *, result: JsonValue, result_url: str | None = None
) -> Decide:
    """End the attempt well. `result_url` stands in the event instead of a result too large."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        event = StatusChange(
            status=next_status(present.status, Command.COMPLETE),
            final=True,
            message="Task completed",
            result=None if result_url else result,
            result_url=result_url,
        )
        return _ended(present, event, now, result=result)

    return decide


def fail(attempt: int, now: datetime, error: TaskError, *, reason: str | None = None) -> Decide:
    """End the attempt with an `error` event and the final `failed`."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        event = StatusChange(
            status=next_status(present.status, Command.FAIL),
            final=True,
            message=error.error,
            reason=reason,
        )
        said = ErrorReport(error=error.error, error_type=error.error_type, code=error.code)
        ended = _ended(present, event, now, error=error)
        return replace(ended, events=(NewEvent(EventType.ERROR, said.to_data()), *ended.events))

    return decide


def cancel(attempt: int | None, now: datetime, *, reason: str = "cancelled_by") -> Decide:
    """Ask for the end: a pending task is cancelled at once, a running one is told.

    With `attempt`, only that attempt is meant: raises `StaleAttempt` for another.
    """

    def decide(record: TaskRecord | None) -> Decision:
        present = _existing(record) if attempt is None else _fenced(record, attempt)
        status = next_status(present.status, Command.CANCEL)
        if status is Status.RUNNING:
            return Decision(replace(present, cancel_requested=True, reason=reason))
        event = StatusChange(
            status=status, final=True, message="Cancelled before it started", reason=reason
        )
        return _ended(present, event, now)

    return decide


def stop(attempt: int, now: datetime, *, message: str = "Task cancelled") -> Decide:
    """The running attempt has stopped because it was asked to."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        event = StatusChange(
            status=next_status(present.status, Command.STOP),
            final=True,
            message=message,
            reason=present.reason,
        )
        return _ended(present, event, now)

    return decide


def interrupt(attempt: int, now: datetime, *, reason: str, message: str) -> Decide:
    """The attempt ended without an outcome: its server or worker is gone."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        event = StatusChange(
            status=next_status(present.status, Command.INTERRUPT),
            message=message,
            reason=reason,
            resumable=present.resumable,
        )
        return _ended(present, event, now)

    return decide


def _existing(record: TaskRecord | None) -> TaskRecord:
    if record is None:
        raise NotFound
    return record


def _fenced(record: TaskRecord | None, attempt: int) -> TaskRecord:
    present = _existing(record)
    if present.attempt != attempt:
        raise StaleAttempt(f"attempt {attempt} was replaced by attempt {present.attempt}")
    return present


def _status_event(status: Status, *, message: str) -> NewEvent:
    return NewEvent(EventType.STATUS_CHANGE, StatusChange(status=status, message=message).to_data())


def _ended(present: TaskRecord, event: StatusChange, now: datetime, **outcome: Any) -> Decision:
    record = replace(
        present,
        status=event.status,
        message=event.message,
        reason=event.reason,
        finished_at=now,
        runner=None,
        cancel_requested=False,
        **outcome,
    )
    return Decision(record, (NewEvent(EventType.STATUS_CHANGE, event.to_data()),))
