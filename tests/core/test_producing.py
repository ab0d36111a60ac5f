"""A producer's events are taken once each, in order, whatever is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.core import lifecycle, producing
from taskpush.core.journal import seal
from taskpush.core.lifecycle import Decide
from taskpush.errors import (
    IllegalTransition,
    NotFound,
    ProducerConflict,
    ProducerGap,
    StaleAttempt,
)
from taskpush.models.events import EventType, Status
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskError, TaskRecord

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PENDING = TaskRecord(
    task_id="0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f",
    kind="render",
    tenant="local",
    owner="ann",
    params={},
    created_at=NOW,
)


class Log:
    """A task and its log, in one process after the other."""

    def __init__(self, record: TaskRecord = PENDING) -> None:
        self.record = record
        self.events: list[LoggedEvent] = []
        self.epoch = "first"

    def write(self, decide: Decide) -> list[LoggedEvent]:
        self.record, events = seal(decide(self.record), epoch=self.epoch, now=NOW)
        self.events += events
        return events

    def take(
        self,
        first: int,
        *steps: producing.Step,
        attempt: int = 1,
        producer: str = "p1",
    ) -> list[Position | None]:
        self.write(producing.take(attempt, producer, first, steps, epoch=self.epoch))
        return producing.positions(self.record, first, len(steps))

    @property
    def texts(self) -> list[str]:
        return [
            event.body.decode().partition('"message":"')[2].partition('"')[0]
            for event in self.events
            if event.event_type is EventType.LOG
        ]


def started(attempt: int = 1, producer: str = "p1") -> Decide:
    return producing.start(producer, attempt, NOW)


def line(text: object, attempt: int = 1) -> Decide:
    said = NewEvent(EventType.LOG, {"level": "info", "message": str(text)})
    return lifecycle.report(attempt, [said])


def running() -> Log:
    log = Log()
    log.take(1, started())
    return log


def test_the_first_event_starts_the_task_and_the_rest_follows() -> None:
    log = Log()
    found = log.take(1, started(), line("a"), None, line("b"))
    assert (log.record.status, log.record.attempt) == (Status.RUNNING, 1)
    assert [it and it.seq for it in found] == [1, 2, None, 3]
    assert producing.is_reported(log.record)


@given(st.data())
def test_whatever_is_repeated_each_event_is_logged_once_where_it_was_first(
    data: st.DataObject,
) -> None:
    """Batches overlap as answers are lost, others write in between, and servers come and go."""
    volatile = data.draw(st.lists(st.booleans(), min_size=1, max_size=40))
    steps: list[producing.Step] = [None if v else line(n) for n, v in enumerate(volatile, 2)]
    log, taken = running(), 1
    answered: dict[int, Position | None] = {}
    while taken < len(steps) + 1:
        first = data.draw(st.integers(2, taken + 1))
        last = data.draw(st.integers(taken + 1, len(steps) + 1))
        for _ in range(data.draw(st.integers(1, 2))):
            found = log.take(first, *steps[first - 2 : last - 1])
            for number, position in enumerate(found, first):
                assert answered.setdefault(number, position) == position
        taken = last
        if data.draw(st.booleans()):
            log.write(line("somebody else"))
        if data.draw(st.booleans()):
            log.epoch += "x"
    said = [text for text in log.texts if text != "somebody else"]
    assert said == [str(n) for n, v in enumerate(volatile, 2) if not v]
    for number, position in answered.items():
        assert (position is None) == volatile[number - 2]
        if position is not None:
            event = log.events[position.seq - 1]
            assert event.position == position
            assert f'"{number}"' in event.body.decode()


def test_a_repeated_batch_changes_nothing() -> None:
    log = running()
    first = log.take(2, line("a"), line("b"))
    record = log.record
    assert log.take(2, line("a"), line("b")) == first
    assert log.record is record


def test_a_hole_is_refused_with_the_number_to_go_on_with() -> None:
    log = running()
    log.take(2, line("a"))
    with pytest.raises(ProducerGap) as caught:
        log.take(4, line("c"))
    assert caught.value.expected == 3


def test_an_attempt_has_one_producer() -> None:
    log = running()
    for first, step in ((1, started(producer="p2")), (2, line("mine")), (1, line("mine"))):
        with pytest.raises(ProducerConflict):
            log.take(first, step, producer="p2")
    with pytest.raises(ProducerConflict):
        log.take(1, producer="p2")


def test_what_a_handler_runs_takes_nothing_of_producers() -> None:
    log = Log(lifecycle.start("epoch", NOW)(PENDING).record)
    with pytest.raises(ProducerConflict):
        log.take(1, line("mine"))


def test_nothing_is_taken_before_the_start_and_none_twice() -> None:
    log = Log()
    with pytest.raises(IllegalTransition):
        log.take(1, line("early"))
    with pytest.raises(IllegalTransition):
        log.take(1, None)
    with pytest.raises(IllegalTransition):
        log.take(1)
    log.take(1, started())
    with pytest.raises(IllegalTransition):
        log.take(2, started())


def test_an_unknown_task_takes_nothing() -> None:
    for steps in ((), (started(),)):
        with pytest.raises(NotFound):
            producing.take(1, "p1", 1, steps, epoch="e")(None)
    with pytest.raises(NotFound):
        started()(None)


def test_a_refused_batch_leaves_nothing_behind() -> None:
    log = running()
    record = log.record
    with pytest.raises(IllegalTransition):
        log.take(2, line("a"), lifecycle.complete(1, NOW, result=None), line("after"))
    assert log.record is record


def test_the_end_can_be_repeated_when_its_answer_was_lost() -> None:
    log = running()
    end = (line("bye"), lifecycle.complete(1, NOW, result=1))
    first = log.take(2, *end)
    assert log.record.status is Status.COMPLETED
    assert log.take(2, *end) == first
    with pytest.raises(IllegalTransition):
        log.take(4, line("more"))
    with pytest.raises(IllegalTransition):
        log.take(1)


def test_a_failure_that_is_tried_again_belongs_to_its_attempt_and_can_be_repeated() -> None:
    log = Log(replace(PENDING, max_attempts=2))
    error = TaskError("no light", "Dark", "producer_error")
    fail = lifecycle.fail(1, NOW, error, retry_in_s=lambda _: 0.0)
    found = log.take(1, started(), line("a"), fail)
    assert [event.attempt for event in log.events] == [1, 1, 1, 2]
    assert (log.record.status, log.record.attempt) == (Status.PENDING, 2)
    assert log.take(1, started(), line("a"), fail) == found
    with pytest.raises(StaleAttempt):
        log.take(4, line("from the grave"))
    with pytest.raises(StaleAttempt):
        log.take(1)


def test_the_next_attempt_is_anybodys_and_counts_anew() -> None:
    log = running()
    log.take(2, line("a"))
    log.write(lifecycle.interrupt(1, NOW, reason="producer_lost", message="lost"))
    assert not producing.is_reported(log.record)
    log.write(lifecycle.retry(1))
    with pytest.raises(StaleAttempt):
        log.take(1, started(attempt=1), attempt=1, producer="p2")
    log.take(1, started(2, "p2"), line("b", 2), attempt=2, producer="p2")
    assert (log.record.status, log.record.attempt) == (Status.RUNNING, 2)
    with pytest.raises(StaleAttempt):
        log.take(3, line("from the grave"))


def test_a_delayed_task_is_not_started() -> None:
    log = Log(replace(PENDING, run_at=NOW + timedelta(seconds=1)))
    with pytest.raises(IllegalTransition, match="delayed"):
        log.take(1, started())


def test_what_is_remembered_is_bounded_and_the_newest() -> None:
    log = running()
    for number in range(2, 3 * producing.MAX_REMEMBERED):
        log.take(number, line(number) if number % 3 else None)
        if number % 50 == 0:
            log.write(line("somebody else"))
    producer = log.record.producer
    assert producer is not None
    assert sum(len(run.marks) for run in producer.runs) <= producing.MAX_REMEMBERED
    assert len(producer.runs) <= producing.MAX_RUNS
    last = producer.last_seq
    newest = producing.positions(log.record, last - 499, 500)
    assert [it is not None for it in newest] == [n % 3 > 0 for n in range(last - 499, last + 1)]
    assert log.take(2, line(2)) == [None]


def test_a_cancel_is_told_to_watchers_since_the_producer_asks_from_time_to_time_only() -> None:
    log = running()
    (event,) = log.write(lifecycle.cancel(None, NOW))
    assert b'"reason":"cancelling"' in event.body
    assert log.write(lifecycle.cancel(None, NOW)) == []
    assert _statuses(log.write(lifecycle.stop(1, NOW))) == ['"cancelled"']
    assert log.record.reason == "cancelled_by"


def _statuses(events: Sequence[LoggedEvent]) -> list[str]:
    return [event.body.decode().partition('"status":')[2].partition(",")[0] for event in events]
