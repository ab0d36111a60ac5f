"""The promises of `Store`, one by one: each adapter's test module runs this suite on its own.

A subclass gives the fixture `harness`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decision
from taskpush.errors import (
    IllegalTransition,
    NotFound,
    PositionGone,
    StaleAttempt,
    StoreUnavailable,
    TaskPushError,
)
from taskpush.ids import new_task_id
from taskpush.models.events import MAX_EVENT_BYTES, EventType, Status
from taskpush.models.position import START, Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskError, TaskRecord, VolatileEvent
from taskpush.store.base import Commit, LogPage, TaskFilter, TaskPage
from tests.store.harness import (
    Harness,
    body_of,
    log_line,
    progress,
    retry,
    say,
    stats,
    texts_of,
)

Told = Sequence[LoggedEvent | VolatileEvent]
LOCAL = TaskFilter(tenant="local")


class WriteContract:
    """Order, atomicity, fencing, cancellation."""

    async def test_a_write_gives_the_record_and_the_events_that_it_made(
        self, harness: Harness
    ) -> None:
        record = harness.new_record(title="First", tags=("a",), metadata={"x": [1, None]})
        commit = await harness.store.write(record.task_id, lifecycle.create(record))
        (event,) = commit.events
        assert (event.seq, event.epoch, event.attempt) == (1, harness.store.epoch, 1)
        assert body_of(event)["seq"] == 1
        assert commit.record == replace(
            record, head=event.position, last_event_at=harness.clock.now()
        )
        assert await harness.store.get(record.task_id) == commit.record

    async def test_calls_take_effect_in_the_order_in_which_they_were_made(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = [str(number) for number in range(100)]
        writes = [
            harness.store.write(task_id, say(text), synced=number % 7 == 0)
            for number, text in enumerate(spoken)
        ]
        await asyncio.gather(*writes)
        assert texts_of(await harness.log(task_id)) == spoken

    async def test_each_decision_is_made_on_what_the_calls_before_it_made(
        self, harness: Harness
    ) -> None:
        record = harness.new_record()
        writes = [
            harness.store.write(record.task_id, decide)
            for decide in (
                lifecycle.create(record),
                harness.start(),
                say("one"),
                harness.complete([1, 2]),
            )
        ]
        commits = await asyncio.gather(*writes)
        assert [commit.record.status for commit in commits] == [
            Status.PENDING,
            Status.RUNNING,
            Status.RUNNING,
            Status.COMPLETED,
        ]
        assert await harness.store.get(record.task_id) == commits[-1].record

    async def test_seqs_have_no_holes_over_attempts(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(
            task_id,
            lifecycle.interrupt(1, harness.clock.now(), reason="worker_lost", message="gone"),
        )
        await harness.store.write(task_id, retry)
        await harness.store.write(task_id, harness.start())
        await harness.store.write(task_id, say("again", attempt=2))
        events = await harness.log(task_id)
        assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
        assert [event.attempt for event in events] == [1, 1, 1, 2, 2, 2]

    async def test_a_write_takes_effect_wholly_or_not_at_all(self, harness: Harness) -> None:
        before = await harness.create_running()
        huge = log_line("x" * MAX_EVENT_BYTES)

        def decide(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(replace(record, message="half"), (log_line("fits"), huge))

        with pytest.raises(TaskPushError) as caught:
            await harness.store.write(before.task_id, decide)
        assert caught.value.code == "payload_too_large"
        assert await harness.store.get(before.task_id) == before
        assert texts_of(await harness.log(before.task_id)) == []

    async def test_a_refused_write_does_not_touch_those_around_it(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        unknown = new_task_id()
        results = await asyncio.gather(
            harness.store.write(task_id, say("before")),
            harness.store.write(task_id, harness.start()),
            harness.store.write(unknown, say("to nobody")),
            harness.store.write(task_id, say("after")),
            return_exceptions=True,
        )
        assert isinstance(results[1], IllegalTransition)
        assert isinstance(results[2], NotFound)
        assert texts_of(await harness.log(task_id)) == ["before", "after"]
        assert await harness.store.get(unknown) is None

    async def test_whatever_a_decision_raises_reaches_its_caller(self, harness: Harness) -> None:
        class OddError(Exception):
            pass

        def decide(_: TaskRecord | None) -> Decision:
            raise OddError

        def exhausted(_: TaskRecord | None) -> Decision:
            raise StopIteration

        with pytest.raises(OddError):
            await harness.store.write(new_task_id(), decide)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await harness.store.write(new_task_id(), exhausted)
        await harness.create()

    @pytest.mark.parametrize(
        "fields",
        [
            {"params": {"x": object()}},
            {"params": {"x": 2**70}},
            {"title": "\ud800"},
            {"owner": "\ud800"},
            {"tags": ("\ud800",)},
            {"priority": 2**63},
        ],
        ids=str,
    )
    async def test_what_cannot_be_stored_fails_its_own_write_only(
        self, harness: Harness, fields: dict[str, Any]
    ) -> None:
        bad = harness.new_record(**fields)
        good = harness.new_record()
        results = await asyncio.gather(
            harness.store.write(bad.task_id, lifecycle.create(bad)),
            harness.store.write(good.task_id, lifecycle.create(good)),
            return_exceptions=True,
        )
        assert isinstance(results[0], (TypeError, ValueError))
        assert isinstance(results[1], Commit)
        assert await harness.store.get(bad.task_id) is None

    async def test_a_task_id_that_is_no_text_is_refused_at_once(self, harness: Harness) -> None:
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.write("\ud800", say("x"))

    async def test_what_a_task_was_created_with_stays(self, harness: Harness) -> None:
        record = await harness.create()

        def decide(_: TaskRecord | None) -> Decision:
            return Decision(replace(record, owner="mallory"))

        with pytest.raises(ValueError, match="created with"):
            await harness.store.write(record.task_id, decide)

    async def test_an_old_attempt_is_refused(self, harness: Harness) -> None:
        task_id = (await harness.create_completed()).task_id
        with pytest.raises(IllegalTransition):
            await harness.store.write(task_id, say("late"))
        await harness.store.write(task_id, retry)
        await harness.store.write(task_id, harness.start())
        with pytest.raises(StaleAttempt):
            await harness.store.write(task_id, say("much too late"))

    async def test_two_creations_of_one_id_make_one_task(self, harness: Harness) -> None:
        record = harness.new_record()
        results = await asyncio.gather(
            *(harness.store.write(record.task_id, lifecycle.create(record)) for _ in range(20)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Commit) for result in results) == 1
        assert len(await harness.log(record.task_id)) == 1

    async def test_many_tasks_written_at_once_do_not_mix(self, harness: Harness) -> None:
        async def live(number: int) -> str:
            task_id = (await harness.create_running()).task_id
            for step in range(10):
                await harness.store.write(
                    task_id, say(f"{number}.{step}"), synced=(number + step) % 5 == 0
                )
            await harness.store.write(task_id, harness.complete(number))
            return task_id

        task_ids = await asyncio.gather(*(live(number) for number in range(40)))
        for number, task_id in enumerate(task_ids):
            events = await harness.log(task_id)
            assert texts_of(events) == [f"{number}.{step}" for step in range(10)]
            assert [event.seq for event in events] == list(range(1, 14))
            record = await harness.store.get(task_id)
            assert record is not None
            assert record.result == number

    async def test_a_flood_is_committed_in_order_and_in_parts(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        parts: list[int] = []
        harness.store.listen(lambda events: parts.append(len(events)))
        spoken = [[f"{number}.{line}" for line in range(100)] for number in range(50)]
        await asyncio.gather(*(harness.store.write(task_id, say(*texts)) for texts in spoken))
        assert texts_of(await harness.log(task_id)) == list(chain(*spoken))
        assert max(parts) < 1100

    async def test_a_cancelled_future_does_not_undo_its_write(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        cancelled = harness.store.write(task_id, say("cancelled"), synced=True)
        cancelled.cancel()
        awaited = asyncio.create_task(_await_write(harness, task_id))
        await asyncio.sleep(0)
        awaited.cancel()
        await harness.store.write(task_id, say("last"))
        assert texts_of(await harness.log(task_id)) == ["cancelled", "awaited", "last"]

    async def test_a_decision_that_changes_nothing_is_committed_as_nothing(
        self, harness: Harness
    ) -> None:
        before = await harness.create_running()
        told: list[Told] = []
        harness.store.listen(told.append)
        for synced in (False, True):
            commit = await harness.store.write(
                before.task_id, lifecycle.report(1, ()), synced=synced
            )
            assert commit == Commit(before, ())
        assert told == []

    async def test_a_record_changes_without_an_event(self, harness: Harness) -> None:
        before = await harness.create_running()
        commit = await harness.store.write(
            before.task_id, lifecycle.cancel(None, harness.clock.now())
        )
        assert commit.events == ()
        assert commit.record.cancel_requested
        await harness.reopen()
        assert await harness.store.get(before.task_id) == commit.record

    async def test_timestamps_never_fall_when_the_clock_does(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.clock.set_back(3600)
        await harness.reopen()
        await harness.store.write(task_id, say("later"))
        stamps = [body_of(event)["timestamp"] for event in await harness.log(task_id)]
        assert stamps == sorted(stamps)


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
        told: list[LoggedEvent | VolatileEvent] = []
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
        place = NewEvent(EventType.QUEUE, {"kind": "layout", "position": 1, "ahead": 0})
        event = harness.store.publish(task_id, 1, place)
        assert event is not None
        started = await harness.store.write(task_id, harness.start())
        assert started.record.latest == {EventType.QUEUE: event}
        assert await harness.store.get(task_id) == started.record

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

    async def test_a_volatile_event_that_is_too_large_is_refused(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        with pytest.raises(TaskPushError) as caught:
            harness.store.publish(
                task_id, 1, NewEvent(EventType.STATS, {"x": "y" * MAX_EVENT_BYTES})
            )
        assert caught.value.code == "payload_too_large"


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


class ListContract:
    """Lists of tasks, the queue, what a dead server left."""

    async def test_tasks_are_listed_newest_first_whatever_the_clock_says(
        self, harness: Harness
    ) -> None:
        created = []
        for _ in range(5):
            created.append((await harness.create()).task_id)
            harness.clock.set_back(60)
        assert await _listed(harness, LOCAL) == created[::-1]
        await harness.reopen()
        created.append((await harness.create()).task_id)
        assert await _listed(harness, LOCAL) == created[::-1]

    async def test_pages_do_not_shift_while_tasks_are_created_and_written(
        self, harness: Harness
    ) -> None:
        created = [(await harness.create_running()).task_id for _ in range(7)]
        listed: list[str] = []
        page = await harness.store.tasks(LOCAL, limit=3)
        while True:
            listed += [record.task_id for record in page.records]
            if page.next is None:
                break
            await harness.create()
            await harness.store.write(created[3], say("moved"))
            page = await harness.store.tasks(LOCAL, limit=3, after=page.next)
        assert listed == created[::-1]

    async def test_the_last_page_has_no_next(self, harness: Harness) -> None:
        for _ in range(4):
            await harness.create()
        first = await harness.store.tasks(LOCAL, limit=2)
        assert first.next is not None
        assert (await harness.store.tasks(LOCAL, limit=2, after=first.next)).next is None
        empty = await harness.store.tasks(TaskFilter(tenant="other"), limit=2)
        assert empty == TaskPage(records=[], next=None)

    @pytest.mark.parametrize("after", ["", "x", "t0", "t-1", "tffffffffffffffffffff", "\ud800"])
    async def test_an_after_that_no_page_gave_is_refused(
        self, harness: Harness, after: str
    ) -> None:
        with pytest.raises(TaskPushError) as caught:
            await harness.store.tasks(LOCAL, limit=1, after=after)
        assert caught.value.code == "invalid_request"

    async def test_each_filter_leaves_what_fits(self, harness: Harness) -> None:
        alpha = (await harness.create_running(title="Über alles", tags=("x", "y"))).task_id
        between = harness.clock.now() + timedelta(seconds=5)
        harness.clock.wind(10)
        beta = (await harness.create(kind="train", owner="bob", tags=("x",))).task_id
        gamma = (await harness.create(title="100% [a-z]_*")).task_id
        await harness.create(tenant="other", title="Über alles", tags=("x",))
        for where, expected in (
            (LOCAL, [gamma, beta, alpha]),
            (replace(LOCAL, owner="ann"), [gamma, alpha]),
            (replace(LOCAL, owner="ann", status=Status.PENDING), [gamma]),
            (replace(LOCAL, owner="ann", kind="train"), []),
            (replace(LOCAL, status=Status.RUNNING), [alpha]),
            (replace(LOCAL, status=Status.PENDING, kind="train"), [beta]),
            (replace(LOCAL, kind="layout"), [gamma, alpha]),
            (replace(LOCAL, tag="x"), [beta, alpha]),
            (replace(LOCAL, tag="y"), [alpha]),
            (replace(LOCAL, tag="x", owner="bob"), [beta]),
            (replace(LOCAL, tag="x", status=Status.RUNNING, kind="layout"), [alpha]),
            (replace(LOCAL, tag="z"), []),
            (replace(LOCAL, created_after=between), [gamma, beta]),
            (replace(LOCAL, created_before=between), [alpha]),
            (replace(LOCAL, q="ÜBER"), [alpha]),
            (replace(LOCAL, q="ber a"), [alpha]),
            (replace(LOCAL, q="% [A-Z]_*"), [gamma]),
            (replace(LOCAL, q="_"), [gamma]),
            (replace(LOCAL, q=beta[9:].upper()), [beta]),
            (replace(LOCAL, q=""), [gamma, beta, alpha]),
            (TaskFilter(tenant="nobody"), []),
        ):
            assert await _listed(harness, where) == expected, where

    async def test_a_filtered_list_is_paged_too(self, harness: Harness) -> None:
        wanted = []
        for number in range(12):
            record = await harness.create(tags=("even",) if number % 2 == 0 else ("odd",))
            wanted += [record.task_id] if number % 2 == 0 else []
        page = await harness.store.tasks(replace(LOCAL, tag="even"), limit=4)
        rest = await harness.store.tasks(replace(LOCAL, tag="even"), limit=4, after=page.next)
        listed = [record.task_id for record in (*page.records, *rest.records)]
        assert listed == wanted[::-1]
        assert rest.next is None

    async def test_lists_hold_the_whole_record(self, harness: Harness) -> None:
        record = await harness.create_running(tags=("x",), params={"a": [1]})
        (listed,) = (await harness.store.tasks(LOCAL, limit=5)).records
        assert listed == record

    async def test_pending_tasks_wait_by_priority_then_by_age(self, harness: Harness) -> None:
        task_ids = []
        for priority in (0, 5, 0, -1, 5):
            task_ids.append((await harness.create(priority=priority)).task_id)
            harness.clock.set_back(1)
        await harness.create_running()
        await harness.create_completed()
        order = [1, 4, 0, 2, 3]
        waiting = await harness.store.waiting()
        assert [task.task_id for task in waiting] == [task_ids[index] for index in order]
        assert [task.priority for task in waiting] == [5, 5, 0, 0, -1]
        assert {task.kind for task in waiting} == {"layout"}
        await harness.reopen()
        assert await harness.store.waiting() == waiting

    async def test_running_tasks_of_an_earlier_server_are_abandoned(self, harness: Harness) -> None:
        lost = [await harness.create_running() for _ in range(3)]
        await harness.create()
        await harness.create_completed()
        assert await harness.store.abandoned() == []
        await harness.reopen()
        await harness.create_running()
        assert await harness.store.abandoned() == lost
        await harness.store.write(
            lost[0].task_id,
            lifecycle.interrupt(1, harness.clock.now(), reason="server_stopped", message="gone"),
        )
        assert await harness.store.abandoned() == lost[1:]


class LifeContract:
    """Opening, closing, probing."""

    async def test_closing_finishes_the_writes_that_were_begun(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = [str(number) for number in range(1000)]
        writes = [
            harness.store.write(task_id, say(text), synced=number == 999)
            for number, text in enumerate(spoken)
        ]
        await harness.store.close()
        assert all(write.done() for write in writes)
        await harness.store.open()
        assert texts_of(await harness.log(task_id)) == spoken

    async def test_calls_after_the_close_are_refused(self, harness: Harness) -> None:
        store = harness.store
        task_id = (await harness.create_running()).task_id
        await store.close()
        with pytest.raises(StoreUnavailable):
            store.write(task_id, say("late"))
        with pytest.raises(StoreUnavailable):
            store.publish(task_id, 1, progress(1))
        for call in (
            store.get(task_id),
            store.read(task_id, START, 1),
            store.read_type(task_id, EventType.LOG),
            store.tasks(LOCAL, limit=1),
            store.waiting(),
            store.abandoned(),
            store.probe(),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        await store.close()

    async def test_each_opening_has_its_own_epoch(self, harness: Harness) -> None:
        epochs = {harness.store.epoch}
        for _ in range(3):
            epochs.add((await harness.reopen()).epoch)
        assert len(epochs) == 4

    async def test_a_probe_of_a_store_that_works_returns(self, harness: Harness) -> None:
        record = await harness.create_running()
        told: list[Told] = []
        harness.store.listen(told.append)
        await harness.store.probe()
        assert told == []
        assert await harness.store.get(record.task_id) == record

    async def test_everything_is_there_after_a_restart(self, harness: Harness) -> None:
        for number in range(20):
            await harness.create_completed(title=f"Task {number}", tags=(f"t{number % 3}",))
        before = await harness.store.tasks(LOCAL, limit=100)
        logs = [await harness.log(record.task_id) for record in before.records]
        await harness.reopen()
        after = await harness.store.tasks(LOCAL, limit=100)
        assert after == before
        assert [await harness.log(record.task_id) for record in after.records] == logs


class StoreContract(
    WriteContract, ListenContract, PublishContract, ReadContract, ListContract, LifeContract
):
    """All of it."""


async def _await_write(harness: Harness, task_id: str) -> None:
    await harness.store.write(task_id, say("awaited"))


def _rev(harness: Harness, task_id: str) -> int:
    event = harness.store.publish(task_id, 1, progress(10))
    assert event is not None
    return event.rev


async def _listed(harness: Harness, where: TaskFilter) -> list[str]:
    return [record.task_id for record in (await harness.store.tasks(where, limit=50)).records]
