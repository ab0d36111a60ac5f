"""What `Store` promises of deletions."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decision
from taskpush.errors import IllegalTransition, NotFound, TaskPushError
from taskpush.ids import new_task_id
from taskpush.models.events import EventType
from taskpush.models.position import START
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.store.base import Announcement, TaskDeleted
from tests.store.harness import LOCAL, Harness, Told, anyway, listed, log_line, progress, retry, say


class DeleteContract:
    """Gone wholly, in order, and for good."""

    async def test_a_deleted_task_does_not_exist(self, harness: Harness) -> None:
        before = await harness.create_completed(tags=("x", "y"))
        kept = await harness.create_completed(tags=("x",))
        harness.store.publish(kept.task_id, 1, progress(1))
        assert await harness.store.delete(before.task_id, lifecycle.delete()) == before
        for _ in range(2):
            assert await harness.store.get(before.task_id) is None
            assert await listed(harness, LOCAL) == [kept.task_id]
            assert await listed(harness, replace(LOCAL, tag="x")) == [kept.task_id]
            for owner in ("ann", "bob"):
                assert await harness.store.was_deleted(
                    before.task_id, tenant="local", owner=owner
                ) is (owner == before.owner)
            assert not await harness.store.was_deleted(kept.task_id, tenant="local", owner="ann")
            for read in (
                harness.store.read(before.task_id, START, 10),
                harness.store.read(before.task_id, before.head, 10),
                harness.store.read_type(before.task_id, EventType.LOG),
            ):
                with pytest.raises(NotFound):
                    await read
            with pytest.raises(NotFound):
                await harness.store.write(before.task_id, say("late"))
            assert harness.store.publish(before.task_id, 1, progress(1)) is None
            assert await harness.store.get(kept.task_id) == kept
            await harness.reopen()

    async def test_a_decision_keeps_a_task_from_being_deleted(self, harness: Harness) -> None:
        running = await harness.create_running()
        with pytest.raises(IllegalTransition):
            await harness.store.delete(running.task_id, lifecycle.delete())
        assert await harness.store.get(running.task_id) == running

    async def test_what_the_decision_returns_is_ignored(self, harness: Harness) -> None:
        before = await harness.create_completed()
        told: list[Announcement] = []
        harness.store.listen(told.extend)

        def decide(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(replace(record, message="x"), (log_line("never"),))

        assert await harness.store.delete(before.task_id, decide) == before
        assert told == [TaskDeleted(before.task_id)]

    async def test_an_unknown_task_cannot_be_deleted(self, harness: Harness) -> None:
        for decide in (lifecycle.delete(), anyway):
            with pytest.raises(NotFound):
                await harness.store.delete(new_task_id(), decide)
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.delete("\ud800", anyway)

    async def test_an_id_is_never_given_again(self, harness: Harness) -> None:
        record = await harness.create_completed()
        await harness.store.delete(record.task_id, lifecycle.delete())
        again = harness.new_record(task_id=record.task_id)
        for _ in range(2):
            for creating in (
                harness.store.create([harness.new_record(), again]),
                harness.store.write(again.task_id, lifecycle.create(again)),
            ):
                with pytest.raises(TaskPushError) as caught:
                    await creating
                assert caught.value.code == "task_id_taken"
            assert await listed(harness, LOCAL) == []
            await harness.reopen()

    async def test_ids_that_no_task_has_are_missing(self, harness: Harness) -> None:
        there, deleted = [(await harness.create_completed()).task_id for _ in range(2)]
        never = new_task_id()
        await harness.store.delete(deleted, lifecycle.delete())
        for _ in range(2):
            missing = await harness.store.missing([there, deleted, never])
            assert set(missing) == {deleted, never}
            assert not await harness.store.missing([])
            await harness.reopen()

    async def test_a_place_in_the_lists_is_never_given_again(self, harness: Harness) -> None:
        kept = (await harness.create()).task_id
        newest = [(await harness.create()).task_id for _ in range(2)]
        page = await harness.store.tasks(LOCAL, limit=1)
        for task_id in newest:
            await harness.store.delete(task_id, anyway)
        await harness.reopen()
        await harness.create()
        rest = await harness.store.tasks(LOCAL, limit=5, after=page.next)
        assert [record.task_id for record in rest.records] == [kept]

    async def test_deletions_take_their_place_among_the_writes(self, harness: Harness) -> None:
        record = harness.new_record()
        told: list[Announcement] = []
        harness.store.listen(told.extend)
        other = await harness.create_running()
        told.clear()
        results = await asyncio.gather(
            harness.store.write(other.task_id, say("before")),
            harness.store.create([record]),
            harness.store.delete(record.task_id, lifecycle.delete()),
            harness.store.write(record.task_id, harness.start()),
            harness.store.write(record.task_id, harness.complete(7)),
            harness.store.delete(record.task_id, lifecycle.delete()),
            harness.store.delete(record.task_id, anyway),
            harness.store.write(record.task_id, retry),
            harness.store.create([record]),
            harness.store.write(other.task_id, say("after")),
            return_exceptions=True,
        )
        kinds = [type(result).__name__ for result in results]
        assert kinds == [
            *("Commit", "Created", "IllegalTransition", "Commit", "Commit"),
            *("TaskRecord", "NotFound", "AssertionError", "TaskPushError", "Commit"),
        ]
        assert [
            event.seq if isinstance(event, LoggedEvent) else type(event).__name__ for event in told
        ] == [3, 1, 2, 3, "TaskDeleted", 4]
        assert await harness.store.get(record.task_id) is None

    async def test_a_deletion_is_told_after_its_commit_and_before_its_future_is_done(
        self, harness: Harness
    ) -> None:
        record = await harness.create_completed()
        seen: list[bool] = []
        reads: list[asyncio.Task[TaskRecord | None]] = []

        def listener(events: Told) -> None:
            if events == [TaskDeleted(record.task_id)]:
                seen.append(deleting.done())
                reads.append(asyncio.create_task(harness.store.get(record.task_id)))

        harness.store.listen(listener)
        deleting = harness.store.delete(record.task_id, lifecycle.delete())
        await deleting
        assert seen == [False]
        assert [await read for read in reads] == [None]

    async def test_a_task_that_reports_can_be_deleted(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(1))
        deleting = harness.store.delete(task_id, anyway)
        while not deleting.done():
            harness.store.publish(task_id, 1, progress(2))
            await asyncio.sleep(0)
        assert harness.store.publish(task_id, 1, progress(3)) is None
        await harness.store.probe()
        assert await harness.store.get(task_id) is None

    async def test_many_logs_are_deleted_at_once(self, harness: Harness) -> None:
        task_ids = [(await harness.create_running()).task_id for _ in range(30)]
        for task_id in task_ids:
            await harness.store.write(task_id, say(*["x" * 50] * 700))
        kept = task_ids.pop()
        await asyncio.gather(*(harness.store.delete(task_id, anyway) for task_id in task_ids))
        assert await listed(harness, LOCAL) == [kept]
        assert len(await harness.log(kept)) == 702
