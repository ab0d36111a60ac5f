"""What `Store` promises of appends: what it promises of writes, told in another way."""

from __future__ import annotations

import asyncio

import pytest
from typing_extensions import override

from taskpush.core import lifecycle
from taskpush.errors import (
    IllegalTransition,
    NotFound,
    StaleAttempt,
    StoreUnavailable,
    TaskPushError,
)
from taskpush.ids import new_task_id
from taskpush.models.events import MAX_EVENT_BYTES
from taskpush.store.base import Append
from tests.store.harness import Harness, Told, body_of, log_line, say, texts_of


class Line(Append):
    """A line of a log that remembers what it was told."""

    def __init__(self, task_id: str, text: str, attempt: int = 1) -> None:
        super().__init__(task_id, attempt, log_line(text))
        self.answers: list[BaseException | None] = []
        self.answered = asyncio.Event()

    @override
    def committed(self) -> None:
        self.answers.append(None)
        self.answered.set()

    @override
    def refused(self, error: BaseException) -> None:
        self.answers.append(error)
        self.answered.set()


class AppendContract:
    """Order, fencing, and what the append is told."""

    async def test_an_append_makes_what_the_write_of_a_report_makes(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        line = Line(task_id, "a")
        harness.store.append(line)
        await line.answered.wait()
        appended = await harness.store.get(task_id)
        await harness.store.write(task_id, say("a"))
        by_append, by_write = map(body_of, (await harness.log(task_id))[2:])
        assert by_write == {**by_append, "seq": by_append["seq"] + 1}
        assert appended is not None
        assert appended.head.seq == by_append["seq"]
        assert appended.last_event_at == harness.clock.now()

    async def test_appends_and_writes_take_effect_in_the_order_of_the_calls(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = [str(number) for number in range(100)]
        lines = []
        for number, text in enumerate(spoken):
            if number % 3 == 0:
                harness.store.write(task_id, say(text), synced=number % 6 == 0)
            else:
                lines.append(Line(task_id, text))
                harness.store.append(lines[-1])
        last = harness.store.write(task_id, harness.complete())
        late = Line(task_id, "late")
        harness.store.append(late)
        await last
        await late.answered.wait()
        assert texts_of(await harness.log(task_id)) == spoken
        assert all(line.answers == [None] for line in lines)
        (refusal,) = late.answers
        assert isinstance(refusal, IllegalTransition)

    async def test_an_append_is_told_after_the_listeners(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        line = Line(task_id, "a")
        before: list[int] = []

        def listen(told: Told) -> None:
            before.extend(len(line.answers) for _ in told)

        harness.store.listen(listen)
        harness.store.append(line)
        await line.answered.wait()
        assert before == [0]

    async def test_an_append_is_refused_as_its_write_would_be(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        pending = (await harness.create()).task_id
        refused = {
            Line(task_id, "old", attempt=2): StaleAttempt,
            Line(pending, "early"): IllegalTransition,
            Line(new_task_id(), "nobody"): NotFound,
            Line(task_id, "x" * MAX_EVENT_BYTES): TaskPushError,
            Line(task_id, "\ud800"): TypeError,
        }
        taken = Line(task_id, "taken")
        for line in (*refused, taken):
            harness.store.append(line)
        await taken.answered.wait()
        for line, error in refused.items():
            (refusal,) = line.answers
            with pytest.raises(error):
                await harness.store.write(
                    line.task_id, lifecycle.report(line.attempt, [line.event])
                )
            assert isinstance(refusal, error)
        assert taken.answers == [None]
        assert texts_of(await harness.log(task_id)) == ["taken"]
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.append(Line("\ud800", "a"))

    async def test_closing_finishes_the_appends_that_were_begun(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        lines = [Line(task_id, str(number)) for number in range(1000)]
        for line in lines:
            harness.store.append(line)
        await harness.store.close()
        assert all(line.answers == [None] for line in lines)
        late = Line(task_id, "late")
        with pytest.raises(StoreUnavailable):
            harness.store.append(late)
        assert late.answers == []
        await harness.store.open()
        assert texts_of(await harness.log(task_id)) == [str(number) for number in range(1000)]
