"""What `Store` promises of reading a task and its log."""

from __future__ import annotations

import asyncio

import pytest

from taskpush.core import lifecycle
from taskpush.errors import NotFound, PositionGone
from taskpush.ids import new_task_id
from taskpush.models.events import EventType, Status
from taskpush.models.position import START, Position
from taskpush.models.task import NewEvent, TaskError
from taskpush.store.base import LogPage
from tests.store.harness import Harness, body_of, log_line, retry, say, texts_of


class ReadContract:
    """Positions, pages of the log, one moment."""

    async def test_a_log_is_read_in_pages(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say("a", "b", "c"))
        position, seqs, ends = START, [], []
        for _ in range(3):
            page = await harness.store.read(task_id, position, 2)
            seqs.append([event.seq for event in page.events])
            ends.append(page.end)
            position = page.events[-1].position
            assert page.head == Position(5, harness.store.epoch)
        assert seqs == [[1, 2], [3, 4], [5]]
        assert ends == [False, False, True]

    async def test_a_page_ends_with_the_event_that_fills_its_bytes(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say(*["x" * 1000] * 5))
        pages: list[LogPage] = []
        position = Position(2)
        while not pages or not pages[-1].end:
            pages.append(await harness.store.read(task_id, position, 100, max_bytes=1500))
            position = pages[-1].events[-1].position
        assert [[event.seq for event in page.events] for page in pages] == [[3, 4], [5, 6], [7]]

    async def test_a_page_gives_the_events_as_they_were_committed(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = 'line\none\ttwo\u2028 \x00 \x7f \U0001f600 "quoted" \\n'
        commit = await harness.store.write(task_id, say(spoken, "", " 1 2 3"))
        events = await harness.log(task_id)
        assert tuple(events[2:]) == commit.events
        assert texts_of(events) == [spoken, "", " 1 2 3"]

    async def test_nothing_follows_the_head(self, harness: Harness) -> None:
        record = await harness.create_running()
        page = await harness.store.read(record.task_id, record.head, 10)
        assert (list(page.events), page.end, page.final) == ([], True, False)

    async def test_a_page_says_whether_the_log_ends_in_a_final_event(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_completed()).task_id
        first = await harness.store.read(task_id, START, 1)
        assert (first.end, first.final) == (False, True)
        last = await harness.store.read(task_id, Position(2), 1)
        assert (last.end, last.final, last.events[0].final) == (True, True, True)
        await harness.store.write(task_id, retry)
        assert not (await harness.store.read(task_id, START, 10)).final

    async def test_an_unknown_task_is_not_found(self, harness: Harness) -> None:
        assert await harness.store.get(new_task_id()) is None
        with pytest.raises(NotFound):
            await harness.store.read(new_task_id(), START, 10)
        with pytest.raises(NotFound):
            await harness.store.read_type(new_task_id(), EventType.ARTIFACT)

    async def test_a_position_is_valid_when_its_event_has_its_epoch(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        first = harness.store.epoch
        await harness.reopen()
        second = harness.store.epoch
        assert first != second
        await harness.store.write(task_id, say("by the second"))
        for valid, following in (
            (START, 3),
            (Position(0, ""), 3),
            (Position(0, "unknown0"), 3),
            (Position(1, first), 2),
            (Position(2, first), 1),
            (Position(2), 1),
            (Position(3, second), 0),
            (Position(3), 0),
        ):
            page = await harness.store.read(task_id, valid, 10)
            assert len(page.events) == following, valid

    async def test_any_other_position_is_gone(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        first = harness.store.epoch
        await harness.reopen()
        await harness.store.write(task_id, say("by the second"))
        for gone in (
            Position(3, first),
            Position(2, harness.store.epoch),
            Position(1, ""),
            Position(4),
            Position(4, harness.store.epoch),
            Position(2**53 - 1),
        ):
            with pytest.raises(PositionGone) as caught:
                await harness.store.read(task_id, gone, 10)
            assert caught.value.oldest == 1

    async def test_events_of_one_type_are_read_in_order(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        for name in ("a", "b", "a"):
            await harness.store.write(
                task_id,
                lifecycle.report(
                    1, [log_line("between"), NewEvent(EventType.ARTIFACT, {"name": name})]
                ),
            )
        artifacts = await harness.store.read_type(task_id, EventType.ARTIFACT)
        assert [body_of(event)["data"]["name"] for event in artifacts] == ["a", "b", "a"]
        assert len(await harness.store.read_type(task_id, EventType.LOG)) == 3
        assert await harness.store.read_type(task_id, EventType.CHECKPOINT) == []

    async def test_a_record_read_back_equals_the_record_written(self, harness: Harness) -> None:
        record = await harness.create_running(
            title="Grüße\n\u2028",
            priority=-3,
            tags=("b", "a"),
            params={"deep": [{"x": [1, 2.5, None, True, "ü"]}], "big": 2**53 - 1},
            metadata={"": {}},
        )
        harness.clock.wind(0.000001)
        error = TaskError(error="division by zero", error_type="ZeroDivisionError", code="raised")
        failed = await harness.store.write(
            record.task_id, lifecycle.fail(1, harness.clock.now(), error, reason="timeout")
        )
        assert await harness.store.get(record.task_id) == failed.record
        await harness.reopen()
        assert await harness.store.get(record.task_id) == failed.record

    async def test_a_record_is_never_ahead_of_or_behind_its_log(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        write = harness.store.write(task_id, harness.complete(), synced=True)
        seen: list[tuple[Status, int]] = []
        while not write.done():
            record = await harness.store.get(task_id)
            assert record is not None
            seen.append((record.status, record.head.seq))
            await asyncio.sleep(0)
        assert set(seen) <= {(Status.RUNNING, 2), (Status.COMPLETED, 3)}
