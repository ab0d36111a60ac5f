"""The life of a task: what each command makes of the record; `transitions` says when it is legal.

Every function takes the present record and gives a `Decision`, or raises. The store calls them
inside its transaction, so a decision is always made on the newest committed state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from taskpush.core.transitions import Command, next_status
from taskpush.errors import (
    IllegalTransition,
    NotFound,
    StaleAttempt,
    StartedElsewhere,
    TaskPushError,
)
from taskpush.models.audit import AuditEntry
from taskpush.models.events import Checkpoint, ErrorReport, EventType, Status, StatusChange
from taskpush.models.program import COMMAND
from taskpush.models.task import (
    CheckpointRef,
    NewEvent,
    ProducerRef,
    TaskError,
    TaskRecord,
)

MAX_INTERRUPTIONS: Final = 3
"""So often in a row, without a new checkpoint, before a task is failed: it may be what kills its
server."""


class Decision(NamedTuple):
    """What a command makes of a task: the record to keep and the events to append."""

    record: TaskRecord
    events: tuple[NewEvent, ...] = ()
    # What is noted of it in the audit trail.
    notes: tuple[AuditEntry, ...] = ()


Decide = Callable[[TaskRecord | None], Decision]
"""Turns the present record (None: no such task) into a decision, or raises a coded error."""


def create(new: TaskRecord) -> Decide:
    """Store `new`; raises `task_id_taken` when the id exists."""

    def decide(record: TaskRecord | None) -> Decision:
        if record is not None:
            raise TaskPushError(code="task_id_taken")
        return Decision(new, (_status_event(StatusChange(status=new.status, message=new.message)),))

    return decide


def start(runner: str, now: datetime) -> Decide:
    """Take the pending task: from here on `runner` executes its attempt.

    Raises `IllegalTransition` too while its `run_at` has not come.
    """

    def decide(record: TaskRecord | None) -> Decision:
        present = _existing(record)
        status = next_status(present.status, Command.START)
        if present.run_at is not None and now < present.run_at:
            raise IllegalTransition(Command.START, "delayed", expected=["due"])
        message = "Task started"
        return Decision(
            replace(
                present,
                status=status,
                runner=runner,
                started_at=now,
                message=message,
                reason=None,
            ),
            (_status_event(StatusChange(status=status, message=message)),),
        )

    return decide


def report(attempt: int, events: Sequence[NewEvent]) -> Decide:
    """Append what a running attempt says."""

    def decide(record: TaskRecord | None) -> Decision:
        return Decision(reporting(record, attempt), tuple(events))

    return decide


def reporting(record: TaskRecord | None, attempt: int) -> TaskRecord:
    """The record of an attempt that may report; raises for another one."""
    present = _fenced(record, attempt)
    next_status(present.status, Command.REPORT)
    return present


def checkpoint(
    attempt: int, content: CheckpointRef, *, progress_percent: float | None = None
) -> Decide:
    """Remember that the attempt can be gone on with from `content`, which is stored already."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        next_status(present.status, Command.REPORT)
        said = Checkpoint(label=content.label, progress_percent=progress_percent)
        return Decision(
            replace(present, checkpoint=content, interruptions=0),
            (NewEvent(EventType.CHECKPOINT, said.to_data()),),
        )

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


def fail(
    attempt: int,
    now: datetime,
    error: TaskError,
    *,
    reason: str | None = None,
    retry_in_s: Callable[[int], float] | None = None,
) -> Decide:
    """End the attempt with an `error` event: with the final `failed`, or with another attempt.

    Another follows while the task has failed less often than its `max_attempts`, after
    `retry_in_s(failures)` seconds; None means that this failure is not worth another try.
    """

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        failures = present.failures + 1
        if retry_in_s is not None and failures < present.max_attempts:
            later = now + timedelta(seconds=retry_in_s(failures))
            return _tried_again(present, error, failures, later)
        event = StatusChange(
            status=next_status(present.status, Command.FAIL),
            final=True,
            message=error.error,
            reason=reason,
            resumable=True if present.resumable else None,
        )
        said = ErrorReport(error=error.error, error_type=error.error_type, code=error.code)
        ended = _ended(present, event, now, error=error, failures=failures)
        return Decision(ended.record, (NewEvent(EventType.ERROR, said.to_data()), *ended.events))

    return decide


def cancel(
    attempt: int | None, now: datetime, *, keep: bool = False, reason: str = "cancelled_by"
) -> Decide:
    """Ask for the end: a pending task is ended at once, a running one is told.

    With `keep` it ends `interrupted`, to be gone on with, and not `cancelled`. With `attempt`,
    only that attempt is meant: raises `StaleAttempt` for another.
    """

    def decide(record: TaskRecord | None) -> Decision:
        present = _existing(record) if attempt is None else _fenced(record, attempt)
        status = next_status(present.status, Command.KEEP if keep else Command.CANCEL)
        if status is Status.RUNNING:
            # Whoever wants it gone for good has the last word.
            keeping = keep and (present.keep_requested or not present.cancel_requested)
            asked = replace(present, cancel_requested=True, keep_requested=keeping, reason=reason)
            return (
                _said_to_be_cancelling(asked) if _waits_for_producer(present) else Decision(asked)
            )
        event = StatusChange(
            status=status,
            final=status.is_final,
            message="Cancelled before it started",
            reason=reason,
            resumable=None if status.is_final else present.resumable,
        )
        return _ended(present, event, now)

    return decide


def stop(attempt: int, now: datetime, *, message: str = "Task cancelled") -> Decide:
    """The running attempt has stopped because it was asked to: cancelled, or kept."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        kept = present.keep_requested
        status = next_status(present.status, Command.INTERRUPT if kept else Command.STOP)
        event = StatusChange(
            status=status,
            final=status.is_final,
            message="Stopped, to be gone on with" if kept else message,
            reason=present.reason,
            resumable=present.resumable if kept else None,
        )
        return _ended(present, event, now)

    return decide


def interrupt(
    attempt: int, now: datetime, *, reason: str, message: str, crashed: bool = True
) -> Decide:
    """The attempt ended without an outcome: its server or worker is gone.

    The third time in a row without a new checkpoint it is failed. A server that was stopped in
    good order does not count (`crashed` False): a deploy says nothing about the task.
    """

    def decide(record: TaskRecord | None) -> Decision:
        present = _fenced(record, attempt)
        if present.cancel_requested:
            # The cancel was accepted before: it must not be forgotten with who was to obey it.
            return stop(attempt, now)(present)
        status = next_status(present.status, Command.INTERRUPT)
        interruptions = present.interruptions + crashed
        if crashed and interruptions >= MAX_INTERRUPTIONS:
            error = TaskError(
                error=f"Interrupted {interruptions} times without a new checkpoint: {message}",
                error_type="Interrupted",
                code="interrupted_too_often",
            )
            return fail(attempt, now, error, reason=reason)(present)
        event = StatusChange(
            status=status, message=message, reason=reason, resumable=present.resumable
        )
        return _ended(present, event, now, interruptions=interruptions)

    return decide


def retry(
    attempt: int | None,
    *,
    from_start: bool = False,
    by_hand: bool = True,
    producer_id: str | None = None,
    message: str = "Retry requested",
) -> Decide:
    """Give the task another attempt, from its newest checkpoint unless `from_start`.

    By hand, failures and interruptions are counted anew. A task that its producer has created is
    given one only when a producer asks for it, by its id, and is the one to take it up: raises
    `StartedElsewhere` for anybody else, since it would wait for ever.
    """

    def decide(record: TaskRecord | None) -> Decision:
        present = _existing(record) if attempt is None else _fenced(record, attempt)
        status = next_status(present.status, Command.RETRY)
        producer = present.producer
        if present.created_by_producer:
            if producer_id is None:
                raise StartedElsewhere(_started_by(present))
            producer = ProducerRef(producer_id, present.attempt + 1, last_seq=0)
        again = replace(
            present,
            status=status,
            attempt=present.attempt + 1,
            message=message,
            reason="retry",
            error=None,
            run_at=None,
            started_at=None,
            finished_at=None,
            failures=0 if by_hand else present.failures,
            interruptions=0 if by_hand else present.interruptions,
            checkpoint=None if from_start else present.checkpoint,
            producer=producer,
        )
        event = StatusChange(status=status, message=message, reason="retry")
        return Decision(again, (_status_event(event),))

    return decide


def delete(attempt: int | None = None) -> Decide:
    """Check that the task may be deleted: it is over. Changes nothing."""

    def decide(record: TaskRecord | None) -> Decision:
        present = _existing(record) if attempt is None else _fenced(record, attempt)
        next_status(present.status, Command.DELETE)
        return Decision(present)

    return decide


def _waits_for_producer(present: TaskRecord) -> bool:
    """Whether whoever is to stop asks from time to time only, and was not told before."""
    producer = present.producer
    reported = producer is not None and producer.attempt == present.attempt
    return reported and not present.cancel_requested


def _said_to_be_cancelling(asked: TaskRecord) -> Decision:
    message = "Cancelling: its producer is asked to stop"
    event = StatusChange(status=asked.status, message=message, reason="cancelling")
    return Decision(replace(asked, message=message), (_status_event(event),))


def _started_by(present: TaskRecord) -> str:
    again = "with `taskpush run`" if present.kind == COMMAND else "where it was started"
    return f"this task ran outside the server: start it again {again}"


def _existing(record: TaskRecord | None) -> TaskRecord:
    if record is None:
        raise NotFound
    return record


def _fenced(record: TaskRecord | None, attempt: int) -> TaskRecord:
    if record is None:
        raise NotFound
    if record.attempt != attempt:
        raise StaleAttempt(f"attempt {attempt} is not the present one, {record.attempt}")
    return record


def _status_event(change: StatusChange) -> NewEvent:
    return NewEvent(EventType.STATUS_CHANGE, change.to_data())


def _tried_again(
    present: TaskRecord, error: TaskError, failures: int, run_at: datetime
) -> Decision:
    """The attempt failed, and the next one waits for `run_at`."""
    status = next_status(present.status, Command.TRY_AGAIN)
    message = f"Attempt {failures} of {present.max_attempts} failed: {error.error}"
    said = ErrorReport(
        error=error.error,
        error_type=error.error_type,
        code=error.code,
        status="pending",
        will_retry=True,
        retry_at=run_at,
    )
    again = replace(
        present,
        status=status,
        attempt=present.attempt + 1,
        failures=failures,
        run_at=run_at,
        runner=None,
        cancel_requested=False,
        keep_requested=False,
        started_at=None,
        message=message,
        reason="retry",
        error=error,
    )
    change = StatusChange(status=status, message=message, reason="retry")
    return Decision(
        again,
        (NewEvent(EventType.ERROR, said.to_data(), attempt=present.attempt), _status_event(change)),
    )


def _ended(present: TaskRecord, event: StatusChange, now: datetime, **outcome: Any) -> Decision:
    record = replace(
        present,
        status=event.status,
        message=event.message,
        reason=event.reason,
        finished_at=now,
        runner=None,
        cancel_requested=False,
        keep_requested=False,
        **{"error": None, **outcome},
    )
    return Decision(record, (_status_event(event),))
