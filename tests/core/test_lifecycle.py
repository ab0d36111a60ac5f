"""The table of legal moves, and what a decision appends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.core.transitions import TRANSITIONS, Command
from taskpush.errors import (
    IllegalTransition,
    NotFound,
    StaleAttempt,
    StartedElsewhere,
    TaskPushError,
)
from taskpush.models.events import EventType, Status
from taskpush.models.task import CheckpointRef, NewEvent, ProducerRef, TaskError, TaskRecord

NOW = datetime(2026, 11, 22, tzinfo=UTC)
RECORD = TaskRecord(
    task_id="t", kind="k", tenant="local", owner="local", params={}, created_at=NOW, attempt=3
)
COMMANDS: dict[Command, Callable[[int], Decide]] = {
    Command.START: lambda attempt: lifecycle.start("epoch", NOW),
    Command.REPORT: lambda attempt: lifecycle.report(
        attempt, [NewEvent(EventType.LOG, {"level": "info", "message": "hi"})]
    ),
    Command.COMPLETE: lambda attempt: lifecycle.complete(attempt, NOW, result={"a": 1}),
    Command.FAIL: lambda attempt: lifecycle.fail(attempt, NOW, TaskError("no", "E", "c")),
    Command.TRY_AGAIN: lambda attempt: lifecycle.fail(
        attempt, NOW, TaskError("no", "E", "c"), retry_in_s=lambda failures: 2.0 * failures
    ),
    Command.CANCEL: lambda attempt: lifecycle.cancel(attempt, NOW),
    Command.KEEP: lambda attempt: lifecycle.cancel(attempt, NOW, keep=True),
    Command.RETRY: lifecycle.retry,
    Command.DELETE: lifecycle.delete,
    Command.STOP: lambda attempt: lifecycle.stop(attempt, NOW),
    Command.INTERRUPT: lambda attempt: lifecycle.interrupt(
        attempt, NOW, reason="worker_lost", message="gone"
    ),
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("command", Command)
def test_every_pair_of_status_and_command_does_what_the_table_says(
    status: Status, command: Command
) -> None:
    decide = COMMANDS[command](3)
    record = replace(RECORD, status=status, max_attempts=2)
    expected = TRANSITIONS.get((status, command))
    if expected is None:
        with pytest.raises(IllegalTransition) as caught:
            decide(record)
        assert caught.value.extra["task_status"] == status
        assert caught.value.spec.status == 409
    else:
        assert decide(record).record.status is expected


@pytest.mark.parametrize("command", [c for c in Command if c is not Command.START])
def test_another_attempt_is_fenced_off(command: Command) -> None:
    for attempt in (2, 4):
        with pytest.raises(StaleAttempt):
            COMMANDS[command](attempt)(replace(RECORD, status=Status.RUNNING))


@pytest.mark.parametrize("command", Command)
def test_an_unknown_task_is_not_found(command: Command) -> None:
    with pytest.raises(NotFound):
        COMMANDS[command](1)(None)


@pytest.mark.parametrize(
    "command", [Command.COMPLETE, Command.FAIL, Command.STOP, Command.INTERRUPT]
)
def test_the_last_event_of_an_ended_attempt_is_its_status_change(command: Command) -> None:
    decision = COMMANDS[command](3)(replace(RECORD, status=Status.RUNNING, runner="epoch"))
    last = decision.events[-1]
    assert last.event_type is EventType.STATUS_CHANGE
    assert last.data["final"] is decision.record.status.is_final
    assert decision.record.runner is None
    assert decision.record.finished_at == NOW


def test_failing_says_the_error_before_the_final_status() -> None:
    running = replace(RECORD, status=Status.RUNNING)
    decision = COMMANDS[Command.FAIL](3)(running)
    assert [event.event_type for event in decision.events] == [
        EventType.ERROR,
        EventType.STATUS_CHANGE,
    ]
    assert decision.events[0].data["status"] == "failed"


def test_a_failure_is_followed_by_as_many_attempts_as_were_asked_for() -> None:
    decide = COMMANDS[Command.TRY_AGAIN]
    again = decide(3)(replace(RECORD, status=Status.RUNNING, max_attempts=2, runner="epoch"))
    record = again.record
    assert (record.status, record.attempt, record.failures) == (Status.PENDING, 4, 1)
    assert record.run_at == NOW + timedelta(seconds=2)
    assert record.runner is None
    error, change = again.events
    assert (error.attempt, error.data["will_retry"], error.data["status"]) == (3, True, "pending")
    assert error.data["retry_at"] == "2026-11-22T00:00:02Z"
    assert (change.attempt, change.data["status"]) == (None, "pending")
    last = decide(4)(replace(record, status=Status.RUNNING))
    assert last.record.status is Status.FAILED
    assert last.events[-1].data["final"] is True


def test_the_third_interruption_in_a_row_without_a_checkpoint_fails_the_task() -> None:
    record, interrupt = replace(RECORD, status=Status.RUNNING), COMMANDS[Command.INTERRUPT]
    for expected in (Status.INTERRUPTED, Status.INTERRUPTED, Status.FAILED):
        record = interrupt(record.attempt)(record).record
        assert record.status is expected
        if expected is Status.INTERRUPTED:
            record = lifecycle.retry(None, by_hand=False)(record).record
            record = replace(record, status=Status.RUNNING)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.RUNNING])
def test_only_what_runs_is_interrupted_for_the_third_time(status: Status) -> None:
    with pytest.raises(IllegalTransition):
        COMMANDS[Command.INTERRUPT](3)(replace(RECORD, status=status, interruptions=2))


def test_an_accepted_cancel_outlives_who_was_to_obey_it() -> None:
    for keep, expected in ((False, Status.CANCELLED), (True, Status.INTERRUPTED)):
        asked = lifecycle.cancel(3, NOW, keep=keep)(replace(RECORD, status=Status.RUNNING)).record
        ended = COMMANDS[Command.INTERRUPT](3)(asked).record
        assert (ended.status, ended.reason) == (expected, "cancelled_by")


def test_a_server_stopped_in_good_order_does_not_count_against_the_task() -> None:
    running = replace(RECORD, status=Status.RUNNING, interruptions=2)
    stopped = lifecycle.interrupt(3, NOW, reason="server_stopped", message="m", crashed=False)
    assert stopped(running).record.status is Status.INTERRUPTED
    assert stopped(running).record.interruptions == 2


def test_a_checkpoint_or_a_retry_by_hand_counts_interruptions_anew() -> None:
    record = replace(RECORD, status=Status.RUNNING, interruptions=2)
    content = CheckpointRef("0" * 64, 2, 3)
    kept = lifecycle.checkpoint(3, content, progress_percent=40.0)(record)
    assert (kept.record.interruptions, kept.record.checkpoint) == (0, content)
    assert kept.record.resumable
    assert kept.events[0].data == {"progress_percent": 40.0}
    interrupted = replace(record, status=Status.INTERRUPTED)
    assert lifecycle.retry(3)(interrupted).record.interruptions == 0
    assert lifecycle.retry(3, by_hand=False)(interrupted).record.interruptions == 2


def test_a_retry_goes_on_from_the_checkpoint_unless_it_is_from_the_start() -> None:
    content = CheckpointRef("0" * 64, 2, 3)
    interrupted = replace(RECORD, status=Status.INTERRUPTED, checkpoint=content)
    assert lifecycle.retry(3)(interrupted).record.checkpoint == content
    assert lifecycle.retry(3, from_start=True)(interrupted).record.checkpoint is None
    assert lifecycle.retry(3)(interrupted).record.attempt == 4


@pytest.mark.parametrize(("kind", "how"), [("command", "taskpush run"), ("k", "where it was")])
def test_what_a_program_outside_began_is_begun_again_by_a_program_alone(
    kind: str, how: str
) -> None:
    record = replace(RECORD, status=Status.FAILED, kind=kind, created_by_producer=True)
    with pytest.raises(StartedElsewhere, match=f"start it again .*{how}"):
        lifecycle.retry(3)(record)
    again = lifecycle.retry(3, producer_id="p2")(record).record
    assert (again.status, again.attempt) == (Status.PENDING, 4)
    assert again.producer == ProducerRef("p2", attempt=4, last_seq=0)


def test_a_cancel_that_keeps_ends_interrupted_and_a_plain_one_has_the_last_word() -> None:
    running = replace(RECORD, status=Status.RUNNING)
    kept = lifecycle.cancel(3, NOW, keep=True)(running).record
    assert lifecycle.stop(3, NOW)(kept).record.status is Status.INTERRUPTED
    for first, second in ((True, False), (False, True)):
        asked = lifecycle.cancel(3, NOW, keep=first)(running).record
        asked = lifecycle.cancel(3, NOW, keep=second)(asked).record
        assert lifecycle.stop(3, NOW)(asked).record.status is Status.CANCELLED


def test_a_delayed_task_does_not_start_before_its_time() -> None:
    later = replace(RECORD, run_at=NOW + timedelta(seconds=5))
    with pytest.raises(IllegalTransition):
        lifecycle.start("epoch", NOW)(later)
    started = lifecycle.start("epoch", NOW + timedelta(seconds=5))(later)
    assert started.record.status is Status.RUNNING


def test_cancelling_a_running_task_only_asks_it() -> None:
    decision = COMMANDS[Command.CANCEL](3)(replace(RECORD, status=Status.RUNNING))
    assert decision.record.cancel_requested
    assert decision.events == ()


def test_an_id_is_taken_once() -> None:
    with pytest.raises(TaskPushError) as caught:
        lifecycle.create(RECORD)(RECORD)
    assert caught.value.code == "task_id_taken"
