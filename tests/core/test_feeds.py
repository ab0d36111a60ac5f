"""What a feed tells next: newest states, fair, bounded, and with marks that leave nothing out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.feeds import MAX_WAITING, Agenda, Pace, Told
from taskpush.models.feed import Change, How, Mark, Tombstone
from taskpush.models.task import TaskRecord

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
START: Final = Mark("k3v9", 0, 0)


def test_something_is_told_at_once_and_then_at_the_pace() -> None:
    pace = Pace(interval_s=0.2)
    assert pace.due_in(None, 100.0) == 0
    assert round(pace.due_in(100.0, 100.05), 6) == 0.15
    assert pace.due_in(100.0, 103.0) == 0


def test_a_task_is_told_once_in_its_newest_state() -> None:
    line = Line()
    for number in range(5):
        line.change("a", How.STIRRED, f"state {number}")
    line.change("a", How.WRITTEN, "over")
    line.change("a", How.STIRRED, "a last word")
    assert [message_of(told) for told in line.take(10)] == ["a last word"]
    assert line.take(10) == []


def test_what_was_written_goes_before_what_was_stirred_but_not_for_ever() -> None:
    line = Line()
    line.change("progress", How.STIRRED)
    for number in range(100):
        line.change(f"over {number}", How.WRITTEN)
    first = [told.task.task_id for told in line.take(8)]
    assert first == [*(f"over {number}" for number in range(7)), "progress"]
    assert len(line.take(8)) == 8


def test_a_task_that_changes_all_the_time_is_told_in_its_turn() -> None:
    line = Line()
    names = [str(number) for number in range(40)]
    told: set[str] = set()
    for _ in range(10):
        for name in ("restless", *names):
            line.change(name, How.STIRRED)
            line.change("restless", How.STIRRED)
        told |= {each.task.task_id for each in line.take(5)}
    assert told == {"restless", *names}


def test_a_task_is_told_as_created_until_it_was_told_once() -> None:
    line = Line()
    line.change("a", How.CREATED)
    line.change("a", How.WRITTEN)
    assert [told.created for told in line.take(10)] == [True]
    line.change("a", How.WRITTEN)
    assert [told.created for told in line.take(10)] == [False]


def test_a_deleted_task_is_told_as_such() -> None:
    line = Line()
    line.change("a", How.STIRRED)
    line.change("a", How.DELETED)
    (told,) = line.take(10)
    assert isinstance(told.task, Tombstone)


def test_an_agenda_says_when_it_is_full() -> None:
    line = Line()
    for number in range(MAX_WAITING):
        line.change(str(number), How.STIRRED)
    assert [line.agenda.is_full, len(line.agenda)] == [False, MAX_WAITING]
    line.change("one more", How.WRITTEN)
    assert [line.agenda.is_full, len(line.agenda)] == [True, MAX_WAITING + 1]
    line.agenda.clear()
    assert len(line.agenda) == 0


STEPS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([How.WRITTEN, How.STIRRED]))
    | st.integers(1, 8),
    max_size=80,
)


@given(STEPS)
def test_nothing_is_left_out_after_the_mark_that_comes_with_a_state(
    steps: list[tuple[str, How] | int],
) -> None:
    line = Line()
    known: dict[str, str | None] = {}
    mark = START
    for step in (*steps, *[8] * 40):
        if isinstance(step, int):
            for told in line.take(step):
                known[told.task.task_id] = message_of(told)
                assert (told.mark.written, told.mark.stirred) >= (0, 0)
                assert told.mark.written >= mark.written
                assert told.mark.stirred >= mark.stirred
                mark = told.mark
                # Whoever goes on from here reads these from the store.
                later = line.changed_after(mark)
                assert all(
                    known[name] == line.newest[name] for name in line.newest if name not in later
                )
        else:
            line.change(*step)
    assert known == line.newest
    assert mark == line.mark or not known


class Line:
    """An agenda, and the store's order of changes that it is fed from."""

    def __init__(self) -> None:
        self.agenda = Agenda()
        self.mark = START
        self.newest: dict[str, str] = {}
        # The newest number of each task in each line.
        self._written: dict[str, int] = {}
        self._stirred: dict[str, int] = {}

    def change(self, name: str, how: How, message: str | None = None) -> None:
        before = self.mark
        if how is How.STIRRED:
            self.mark = replace(before, stirred=before.stirred + 1)
            self._stirred[name] = self.mark.stirred
        else:
            self.mark = replace(before, written=before.written + 1)
            self._written[name] = self.mark.written
        self.newest[name] = message or str(self.mark)
        self.agenda.note(Change(how, task(name, how, self.newest[name])), before)

    def take(self, limit: int) -> list[Told]:
        return self.agenda.take(limit, self.mark)

    def changed_after(self, mark: Mark) -> set[str]:
        return {name for name, number in self._written.items() if number > mark.written} | {
            name for name, number in self._stirred.items() if number > mark.stirred
        }


def task(name: str, how: How, message: str) -> TaskRecord | Tombstone:
    if how is How.DELETED:
        return Tombstone(name, "local", "ann", "layout", (), changed=1)
    return TaskRecord(
        task_id=name,
        kind="layout",
        tenant="local",
        owner="ann",
        params={},
        created_at=NOW,
        message=message,
    )


def message_of(told: Told) -> str | None:
    assert isinstance(told.task, TaskRecord)
    return told.task.message
