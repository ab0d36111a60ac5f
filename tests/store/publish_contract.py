"""What `Store` promises of volatile events, and to those who listen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from taskpush.core import lifecycle
from taskpush.errors import NotFound, TaskPushError
from taskpush.ids import new_task_id
from taskpush.models.events import MAX_EVENT_BYTES, EventType
from taskpush.models.position import START
from taskpush.models.task import LoggedEvent, NewEvent
from taskpush.store.base import Announcement, Commit
from tests.store.harness import (
    LOCAL,
    Harness,
    Told,
    body_of,
    place,
    preview,
    progress,
    retry,
    say,
    stats,
    texts_of,
)


class ListenContract:
    """Who is told what, and when."""

    async def test_each_event_is_told_once_in_order_and_before_the_future_is_done(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        told: list[int] = []
        told_late: list[int] = []
        writes: list[asyncio.Future[Commit]] = []

        def listener(events: Told) -> None:
            seqs = [event.seq for event in events if isinstance(event, LoggedEvent)]
            told.extend(seqs)
            # A write's two events are the third and fourth, the fifth and sixth, and so on.
            told_late.extend(seq for seq in seqs if writes[(seq - 3) // 2].done())

        harness.store.listen(listener)
        writes += [
            harness.store.write(task_id, say("a", "b"), synced=number % 3 == 0)
            for number in range(30)
        ]
        await asyncio.gather(*writes)
        assert told == list(range(3, 63))
        assert told_late == []

    async def test_what_is_told_can_be_read(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        reads: list[asyncio.Task[Sequence[LoggedEvent]]] = []
        harness.store.listen(
            lambda events: reads.append(asyncio.create_task(harness.log(events[-1].task_id)))
        )
        await harness.store.write(task_id, say("told"), synced=True)
        assert [texts_of(await read) for read in reads] == [["told"]]

    async def test_a_refused_write_is_not_told(self, harness: Harness) -> None:
        told: list[Told] = []
        harness.store.listen(told.append)
        with pytest.raises(NotFound):
            await harness.store.write(new_task_id(), say("x"))
        assert told == []

    async def test_a_published_event_is_told_at_once(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        told: list[Told] = []
        harness.store.listen(told.append)
        event = harness.store.publish(task_id, 1, progress(10))
        assert told == [[event]]

    async def test_a_listener_that_raises_does_not_keep_the_event_from_others(
        self, harness: Harness
    ) -> None:
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: raised.append(context["exception"])
        )
        told: list[Told] = []
        broken = RuntimeError("broken")

        def listener(_: Told) -> None:
            raise broken

        harness.store.listen(listener)
        harness.store.listen(told.append)
        await harness.create()
        assert len(told) == 1
        assert raised == [broken]


class PublishContract:
    """Volatile events: the fence, the newest, revs."""

    async def test_the_newest_of_each_type_is_kept(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        second = harness.store.publish(task_id, 1, progress(20))
        third = harness.store.publish(task_id, 1, stats(files=3))
        assert second is not None
        assert third is not None
        kept = {EventType.PROGRESS: second, EventType.STATS: third}
        record = await harness.store.get(task_id)
        page = await harness.store.read(task_id, START, 10)
        (listed,) = (await harness.store.tasks(LOCAL, limit=10)).records
        assert record is not None
        assert record.latest == page.latest == listed.latest == kept
        assert body_of(second)["seq"] is None
        assert body_of(second)["rev"] == second.rev

    async def test_revs_rise(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        revs = [_rev(harness, task_id) for _ in range(5)]
        harness.clock.set_back(24 * 3600)
        await harness.reopen()
        revs += [_rev(harness, task_id) for _ in range(5)]
        harness.clock.wind(48 * 3600)
        await harness.reopen()
        revs += [_rev(harness, task_id) for _ in range(5)]
        assert revs == sorted(set(revs))

    async def test_nothing_is_published_for_an_attempt_that_is_not_the_present_one(
        self, harness: Harness
    ) -> None:
        running = (await harness.create_running()).task_id
        over = (await harness.create_completed()).task_id
        told: list[Told] = []
        harness.store.listen(told.append)
        assert harness.store.publish(new_task_id(), 1, progress(1)) is None
        assert harness.store.publish(running, 2, progress(1)) is None
        assert harness.store.publish(over, 1, progress(1)) is None
        assert told == []

    async def test_nothing_is_published_after_the_final_event(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        kept = harness.store.publish(task_id, 1, progress(50))
        told: list[Announcement] = []
        harness.store.listen(told.extend)
        ending = harness.store.write(task_id, harness.complete())
        while not ending.done():
            harness.store.publish(task_id, 1, stats(n=len(told)))
            await asyncio.sleep(0)
        assert harness.store.publish(task_id, 1, progress(60)) is None
        assert isinstance(told[-1], LoggedEvent)
        record = await harness.store.get(task_id)
        assert record is not None
        assert record.latest[EventType.PROGRESS] == kept

    async def test_a_pending_task_has_volatile_events_too(self, harness: Harness) -> None:
        task_id = (await harness.create()).task_id
        event = harness.store.publish(task_id, 1, place(1))
        assert event is not None
        assert await _latest_everywhere(harness, task_id) == [{EventType.QUEUE: event}] * 3
        await harness.reopen()
        assert await _latest_everywhere(harness, task_id) == [{EventType.QUEUE: event}] * 3

    @pytest.mark.parametrize("flushed", [False, True])
    async def test_a_task_that_waits_no_more_has_no_place_in_the_queue(
        self, harness: Harness, flushed: bool
    ) -> None:
        started, cancelled = [(await harness.create()).task_id for _ in range(2)]
        kept = {}
        for task_id in (started, cancelled):
            harness.store.publish(task_id, 1, place(1))
            kept[task_id] = {EventType.STATS: harness.store.publish(task_id, 1, stats(n=1))}
        if flushed:
            await harness.reopen()
        await harness.store.write(started, harness.start())
        await harness.store.write(cancelled, lifecycle.cancel(None, harness.clock.now()))
        for _ in range(2):
            for task_id in (started, cancelled):
                assert await _latest_of(harness, task_id) == [kept[task_id]] * 3
                assert harness.store.publish(task_id, 1, place(2)) is None
            await harness.reopen()

    async def test_a_place_that_is_told_while_the_task_starts_is_dropped(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create()).task_id
        starting = harness.store.write(task_id, harness.start(), synced=True)
        while not starting.done():
            harness.store.publish(task_id, 1, place(1))
            await asyncio.sleep(0)
        for _ in range(2):
            assert await _latest_everywhere(harness, task_id) == [{}] * 3
            await harness.reopen()

    async def test_the_newest_are_there_after_a_restart(self, harness: Harness) -> None:
        running = (await harness.create_running()).task_id
        ending = (await harness.create_running()).task_id
        for task_id in (running, ending):
            harness.store.publish(task_id, 1, progress(10))
            harness.store.publish(task_id, 1, progress(33))
            harness.store.publish(task_id, 1, stats(files=3))
        await harness.store.write(ending, harness.complete())
        before = [await harness.store.get(task_id) for task_id in (running, ending)]
        await harness.reopen()
        assert [await harness.store.get(task_id) for task_id in (running, ending)] == before

    async def test_those_of_older_attempts_are_dropped(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        harness.store.publish(task_id, 1, stats(files=1))
        await harness.store.write(task_id, harness.complete())
        harness.store.publish(task_id, 1, stats(files=2))
        raised = await harness.store.write(task_id, retry)
        assert raised.record.latest == {}
        assert await _latest_everywhere(harness, task_id) == [{}] * 3
        event = harness.store.publish(task_id, 2, progress(1))
        assert event is not None
        for _ in range(2):
            kept = {EventType.PROGRESS: event}
            assert await _latest_everywhere(harness, task_id) == [kept] * 3
            await harness.reopen()

    async def test_those_published_while_the_attempt_is_raised_are_dropped_too(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        raising = harness.store.write(task_id, retry, synced=True)
        while not raising.done():
            harness.store.publish(task_id, 1, progress(70))
            await asyncio.sleep(0)
        assert await _latest_everywhere(harness, task_id) == [{}] * 3
        assert harness.store.publish(task_id, 1, progress(80)) is None
        await harness.reopen()
        assert await _latest_everywhere(harness, task_id) == [{}] * 3

    async def test_a_read_during_the_change_gives_those_of_one_attempt(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        raising = harness.store.write(task_id, retry, synced=True)
        while not raising.done():
            page = await harness.store.read(task_id, START, 10)
            attempts = {event.attempt for event in page.latest.values()}
            assert attempts <= {page.events[-1].attempt}

    async def test_what_is_published_during_a_write_is_not_lost_by_it(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        write = harness.store.write(task_id, say("slow"), synced=True)
        event = None
        while not write.done():
            event = harness.store.publish(task_id, 1, progress(70))
            await asyncio.sleep(0)
        record = await harness.store.get(task_id)
        assert record is not None
        assert record.latest == {EventType.PROGRESS: event}
        assert record.head.seq == 3

    async def test_what_is_published_during_a_read_is_in_its_answer(self, harness: Harness) -> None:
        task_id = (await harness.create()).task_id
        getting = asyncio.create_task(harness.store.get(task_id))
        reading = asyncio.create_task(harness.store.read(task_id, START, 10))
        listing = asyncio.create_task(harness.store.tasks(LOCAL, limit=10))
        await asyncio.sleep(0)
        event = harness.store.publish(task_id, 1, progress(0))
        record = await getting
        assert record is not None
        assert record.latest == {EventType.PROGRESS: event}
        assert (await reading).latest == {EventType.PROGRESS: event}
        assert (await listing).records == [record]

    @pytest.mark.parametrize("content", [b"\x89PNG", "half way"])
    async def test_a_preview_is_there_while_the_task_runs_and_survives_nothing(
        self, harness: Harness, content: bytes | str
    ) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, preview("first"))
        shown = harness.store.publish(task_id, 1, preview(content))
        assert shown is not None
        assert shown.attachment == (content if isinstance(content, bytes) else None)
        await harness.store.write(task_id, say("beside it"))
        await harness.store.probe()
        assert await _latest_everywhere(harness, task_id) == [{EventType.PREVIEW: shown}] * 3
        await harness.reopen()
        assert await _latest_everywhere(harness, task_id) == [{}] * 3

    async def test_a_task_that_does_not_run_has_no_preview(self, harness: Harness) -> None:
        task_id = (await harness.create()).task_id
        assert harness.store.publish(task_id, 1, preview("x")) is None
        await harness.store.write(task_id, harness.start())
        harness.store.publish(task_id, 1, preview(b"x"))
        await harness.store.write(task_id, harness.complete())
        assert await _latest_everywhere(harness, task_id) == [{}] * 3

    async def test_a_volatile_event_that_is_too_large_is_refused(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        with pytest.raises(TaskPushError) as caught:
            harness.store.publish(
                task_id, 1, NewEvent(EventType.STATS, {"x": "y" * MAX_EVENT_BYTES})
            )
        assert caught.value.code == "payload_too_large"


async def _latest_everywhere(harness: Harness, task_id: str) -> list[Any]:
    """What a record, a page of the log and the list, which has this task alone, say."""
    assert len((await harness.store.tasks(LOCAL, limit=2)).records) == 1
    return await _latest_of(harness, task_id)


async def _latest_of(harness: Harness, task_id: str) -> list[Any]:
    """What a record, a page of the log and a list say."""
    record = await harness.store.get(task_id)
    assert record is not None
    page = await harness.store.read(task_id, START, 1)
    listed = (await harness.store.tasks(LOCAL, limit=50)).records
    return [
        record.latest,
        page.latest,
        *(each.latest for each in listed if each.task_id == task_id),
    ]


def _rev(harness: Harness, task_id: str) -> int:
    event = harness.store.publish(task_id, 1, progress(10))
    assert event is not None
    return event.rev
