"""What `Store` promises to retention."""

from __future__ import annotations

import asyncio

import pytest

from taskpush.core import lifecycle
from taskpush.core.retention import FinishedTask
from taskpush.errors import IllegalTransition, NotFound, PositionGone
from taskpush.ids import new_task_id
from taskpush.models.events import EventType
from taskpush.models.position import START, Position
from taskpush.models.task import NewEvent, TaskRecord
from taskpush.store.rows import encode_record
from tests.store.harness import Harness, anyway, log_line, retry, say


class RetentionContract:
    """What may go, what went, what is left."""

    async def test_finished_tasks_are_listed_newest_end_first(self, harness: Harness) -> None:
        late = await harness.create_running(kind="train")
        early = await harness.create_completed()
        await harness.create()
        await harness.create_running()
        kept = await harness.create_running()
        await harness.store.write(
            kept.task_id,
            lifecycle.interrupt(1, harness.clock.now(), reason="server_stopped", message="gone"),
        )
        harness.clock.wind(10)
        middle = harness.clock.now()
        harness.clock.wind(10)
        await harness.store.write(late.task_id, say("x"))
        await harness.store.write(late.task_id, harness.complete({"large": "x" * 50_000}))
        whole = [await _finished(harness, late, 1), await _finished(harness, early, 2)]
        assert [(task.events, task.kind) for task in whole] == [(4, "train"), (3, "layout")]
        assert whole[0].record_bytes > 50_000
        for before, kind, limit, expected in (
            (None, None, 10, whole),
            (None, None, 1, whole[:1]),
            (middle, None, 10, whole[1:]),
            (whole[1].finished_at, None, 10, []),
            (None, "train", 10, whole[:1]),
            (middle, "train", 10, []),
            (None, "other", 10, []),
        ):
            found = await harness.store.finished(before=before, kind=kind, limit=limit)
            assert list(found) == expected, (before, kind, limit)
        await harness.store.write(late.task_id, retry)
        assert list(await harness.store.finished(limit=9)) == whole[1:]

    async def test_finished_tasks_are_followed_while_they_go(self, harness: Harness) -> None:
        created = [await harness.create_completed(kind="ab"[n % 2]) for n in range(3)]
        harness.clock.wind(1)
        created += [await harness.create_completed(kind="ab"[n % 2]) for n in range(3, 6)]
        newest_first = [record.task_id for record in reversed(created)]
        found: list[str] = []
        after = None
        while page := await harness.store.finished(after=after, limit=2):
            found += [task.task_id for task in page]
            after = page[-1]
            await harness.store.delete(after.task_id, lifecycle.delete())
            await harness.create_completed()
        assert found == newest_first
        assert not await harness.store.finished(kind="a", after=after, limit=9)

    async def test_the_artifacts_of_a_trimmed_log_stay(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        for name in ("a", "b"):
            events = [log_line("between"), NewEvent(EventType.ARTIFACT, {"name": name})]
            await harness.store.write(task_id, lifecycle.report(1, events))
        await harness.store.write(task_id, harness.complete())
        before = await harness.store.read_type(task_id, EventType.ARTIFACT)
        assert len(before) == 2
        for keep_last in (2, 1):
            await harness.store.trim(task_id, lifecycle.delete(), keep_last=keep_last)
            assert await harness.store.read_type(task_id, EventType.ARTIFACT) == before
            assert await harness.store.read_type(task_id, EventType.LOG) == []
            assert len(await harness.log(task_id)) == keep_last
            await harness.reopen()
        await harness.store.delete(task_id, lifecycle.delete())
        with pytest.raises(NotFound):
            await harness.store.read_type(task_id, EventType.ARTIFACT)

    async def test_a_trimmed_log_begins_at_its_oldest_event(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say("a", "b", "c"))
        ended = (await harness.store.write(task_id, harness.complete())).record
        log = await harness.log(task_id)
        removed = await harness.store.trim(task_id, lifecycle.delete(), keep_last=2)
        assert removed == sum(len(event.body) for event in log[:4])
        for _ in range(2):
            page = await harness.store.read(task_id, START, 10)
            assert list(page.events) == list(log[4:])
            assert (page.end, page.final, page.head) == (True, True, ended.head)
            assert await harness.store.get(task_id) == ended
            for gone in (log[0].position, log[3].position, Position(3)):
                with pytest.raises(PositionGone) as caught:
                    await harness.store.read(task_id, gone, 10)
                assert caught.value.oldest == 5
            for position, following in ((Position(4), 2), (log[4].position, 1), (ended.head, 0)):
                assert len((await harness.store.read(task_id, position, 9)).events) == following
            with pytest.raises(PositionGone):
                await harness.store.read(task_id, Position(7), 10)
            await harness.reopen()

    async def test_the_last_event_is_always_kept(self, harness: Harness) -> None:
        record = await harness.create_completed()
        with pytest.raises(ValueError, match="always kept"):
            harness.store.trim(record.task_id, lifecycle.delete(), keep_last=0)
        assert await harness.store.trim(record.task_id, lifecycle.delete()) > 0
        assert await harness.store.trim(record.task_id, lifecycle.delete()) == 0
        assert await harness.store.trim(record.task_id, lifecycle.delete(), keep_last=9) == 0
        assert [event.seq for event in await harness.log(record.task_id)] == [3]

    async def test_a_trimmed_task_goes_on_where_it_was(self, harness: Harness) -> None:
        record = await harness.create_completed()
        results = await asyncio.gather(
            harness.store.trim(record.task_id, lifecycle.delete()),
            harness.store.write(record.task_id, retry),
            harness.store.write(record.task_id, harness.start()),
            harness.store.write(record.task_id, say("again", attempt=2)),
        )
        assert isinstance(results[0], int)
        assert [event.seq for event in await harness.log(record.task_id)] == [3, 4, 5, 6]
        assert (await harness.store.read(record.task_id, record.head, 10)).end

    async def test_a_log_that_is_trimmed_and_then_deleted_was_trimmed(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_completed()).task_id
        log = await harness.log(task_id)
        trimmed = harness.store.trim(task_id, lifecycle.delete())
        await harness.store.delete(task_id, lifecycle.delete())
        assert await trimmed == sum(len(event.body) for event in log[:-1])

    async def test_a_decision_keeps_a_log_from_being_trimmed(self, harness: Harness) -> None:
        running = await harness.create_running()
        with pytest.raises(IllegalTransition):
            await harness.store.trim(running.task_id, lifecycle.delete())
        for decide in (lifecycle.delete(), anyway):
            with pytest.raises(NotFound):
                await harness.store.trim(new_task_id(), decide)
        assert len(await harness.log(running.task_id)) == 2

    async def test_usage_counts_what_is_there(self, harness: Harness) -> None:
        assert (await harness.store.usage()).tasks == 0
        deleted, trimmed = [await harness.create_completed() for _ in range(2)]
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say(*["x" * 60_000] * 20))
        full = await harness.store.usage()
        assert (full.tasks, full.events) == (3, 28)
        assert full.bytes > 1_200_000
        await harness.store.delete(deleted.task_id, lifecycle.delete())
        await harness.store.trim(trimmed.task_id, lifecycle.delete())
        await harness.store.trim(task_id, anyway)
        left = await harness.store.usage()
        assert (left.tasks, left.events) == (2, 2)
        assert left.bytes < full.bytes - 1_000_000

    async def test_shrinking_loses_nothing(self, harness: Harness) -> None:
        deleted = (await harness.create_running()).task_id
        await harness.store.write(deleted, say(*["x" * 60_000] * 50))
        kept = await harness.create_completed()
        await harness.store.delete(deleted, anyway)
        shrinking = asyncio.create_task(harness.store.shrink())
        created = await harness.store.create([harness.new_record()])
        await shrinking
        await harness.store.shrink()
        assert await harness.store.get(kept.task_id) == kept
        assert await harness.store.get(created.records[0].task_id) == created.records[0]


async def _finished(harness: Harness, record: TaskRecord, order: int) -> FinishedTask:
    """What retention is told of a task that is over."""
    present = await harness.store.get(record.task_id)
    assert present is not None
    assert present.finished_at is not None
    log = await harness.log(record.task_id)
    return FinishedTask(
        task_id=present.task_id,
        kind=present.kind,
        order=order,
        attempt=present.attempt,
        finished_at=present.finished_at,
        events=len(log),
        log_bytes=sum(len(event.body) for event in log),
        last_event_bytes=len(log[-1].body),
        record_bytes=len(encode_record(present)),
    )
