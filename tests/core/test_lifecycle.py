"""The table of legal moves, and what a decision appends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import TRANSITIONS, Command, Decide
from taskpush.errors import IllegalTransition, NotFound, StaleAttempt, TaskPushError
from taskpush.models.events import EventType, Status
from taskpush.models.task import NewEvent, TaskError, TaskRecord

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
    Command.CANCEL: lambda attempt: lifecycle.cancel(attempt, NOW),
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
    record = replace(RECORD, status=status)
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


def test_cancelling_a_running_task_only_asks_it() -> None:
    decision = COMMANDS[Command.CANCEL](3)(replace(RECORD, status=Status.RUNNING))
    assert decision.record.cancel_requested
    assert decision.events == ()


def test_an_id_is_taken_once() -> None:
    with pytest.raises(TaskPushError) as caught:
        lifecycle.create(RECORD)(RECORD)
    assert caught.value.code == "task_id_taken"
