"""The promises of `Store.changes`, `mark` and `follow`, on each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from taskpush.core import lifecycle
from taskpush.models.events import EventType, Status
from taskpush.models.feed import Change, Cursor, FeedFilter, How, Mark, Tombstone
from taskpush.models.task import TaskRecord
from taskpush.store.changes import ChangePage
from tests.store.harness import Harness, progress, retry, say

ALL = FeedFilter("local")


class ChangesContract:
    """Which tasks changed after a cursor."""

    async def test_without_a_cursor_the_active_tasks_are_told_newest_first(
        self, harness: Harness
    ) -> None:
        waiting = await harness.create()
        running = await harness.create_running()
        await harness.create_completed()
        page = await harness.store.changes(ALL, after=None, limit=10)
        assert ids(page) == [running.task_id, waiting.task_id]
        assert (page.reset, page.end) == (False, True)

    async def test_after_a_cursor_what_changed_since_is_told_finished_tasks_included(
        self, harness: Harness
    ) -> None:
        first = await harness.create_running()
        await harness.create_running()
        cursor = await now(harness)
        await harness.store.write(first.task_id, harness.complete())
        created = await harness.create()
        page = await harness.store.changes(ALL, after=cursor, limit=10)
        assert states(page) == {first.task_id: Status.COMPLETED, created.task_id: Status.PENDING}
        assert (page.reset, page.end) == (False, True)
        assert ids(await harness.store.changes(ALL, after=str(page.cursor), limit=10)) == []

    async def test_a_task_is_told_once_in_its_newest_state(self, harness: Harness) -> None:
        cursor = await now(harness)
        task = await harness.create_completed()
        await harness.store.write(task.task_id, retry)
        (told,) = (await harness.store.changes(ALL, after=cursor, limit=10)).tasks
        assert told == await harness.store.get(task.task_id)

    async def test_an_event_that_leaves_the_record_as_it_was_is_a_change(
        self, harness: Harness
    ) -> None:
        task = await harness.create_running()
        cursor = await now(harness)
        await harness.store.write(task.task_id, say("hello"))
        (told,) = (await harness.store.changes(ALL, after=cursor, limit=10)).tasks
        assert isinstance(told, TaskRecord)
        assert told.head.seq == 3

    async def test_newer_progress_is_a_change(self, harness: Harness) -> None:
        task = await harness.create_running()
        other = await harness.create_running()
        cursor = await now(harness)
        harness.store.publish(task.task_id, 1, progress(10))
        harness.store.publish(other.task_id, 1, progress(20))
        harness.store.publish(task.task_id, 1, progress(30))
        page = await harness.store.changes(ALL, after=cursor, limit=10)
        assert ids(page) == [other.task_id, task.task_id]
        assert page.tasks[1] == await harness.store.get(task.task_id)

    async def test_the_queue_position_of_a_waiting_task_is_told(self, harness: Harness) -> None:
        task = await harness.create()
        cursor = await now(harness)
        harness.store.publish(task.task_id, 1, progress(10))
        await harness.store.probe()
        (told,) = (await harness.store.changes(ALL, after=cursor, limit=10)).tasks
        assert isinstance(told, TaskRecord)
        assert EventType.PROGRESS in told.latest

    async def test_a_deleted_task_is_told_as_a_tombstone(self, harness: Harness) -> None:
        task = await harness.create_completed(tags=("x", "y"))
        cursor = await now(harness)
        gone = await harness.create_completed()
        await harness.store.delete(gone.task_id, lifecycle.delete())
        await harness.store.delete(task.task_id, lifecycle.delete())
        page = await harness.store.changes(ALL, after=cursor, limit=10)
        assert [type(told) for told in page.tasks] == [Tombstone, Tombstone]
        assert ids(page) == [gone.task_id, task.task_id]
        tagged = await harness.store.changes(FeedFilter("local", tag="y"), after=cursor, limit=10)
        assert ids(tagged) == [task.task_id]

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    async def test_pages_hold_everything_in_turn(self, harness: Harness, limit: int) -> None:
        old = [await harness.create_running() for _ in range(5)]
        cursor = await now(harness)
        new = [await harness.create() for _ in range(5)]
        await harness.store.delete((await harness.create_completed()).task_id, lifecycle.delete())
        for task in old[:3]:
            harness.store.publish(task.task_id, 1, progress(10))
        await harness.store.write(old[3].task_id, say("hello"))
        told, pages = await follow(harness, cursor, limit)
        assert len(told) == 5 + 1 + 4
        assert set(told) >= {task.task_id for task in (*old[:4], *new)}
        assert all(len(page.tasks) <= limit for page in pages)

    async def test_the_list_of_active_tasks_goes_over_into_the_changes(
        self, harness: Harness
    ) -> None:
        tasks = [await harness.create_running() for _ in range(6)]
        first = await harness.store.changes(ALL, after=None, limit=2)
        ended = tasks[0]
        await harness.store.write(ended.task_id, harness.complete())
        later = await harness.create()
        told, _ = await follow(harness, str(first.cursor), 2)
        assert {*ids(first), *told} == {task.task_id for task in (*tasks, later)}
        assert told[ended.task_id].status is Status.COMPLETED

    async def test_a_feed_holds_what_its_filter_says(self, harness: Harness) -> None:
        await harness.create(tenant="other")
        ann = await harness.create(tags=("x",))
        bob = await harness.create_running(owner="bob", kind="train", tags=("x", "y"))
        for where, expected in (
            (FeedFilter("local"), {ann.task_id, bob.task_id}),
            (FeedFilter("local", owner="bob"), {bob.task_id}),
            (FeedFilter("local", kind="layout"), {ann.task_id}),
            (FeedFilter("local", tag="x"), {ann.task_id, bob.task_id}),
            (FeedFilter("local", kind="train", tag="y"), {bob.task_id}),
            (FeedFilter("local", owner="ann", tag="y"), set()),
            (FeedFilter("elsewhere"), set()),
        ):
            listed = await harness.store.changes(where, after=None, limit=10)
            assert set(ids(listed)) == expected
            start = str(Cursor(Mark(harness.store.epoch, 0, 0)))
            changed = await harness.store.changes(where, after=start, limit=10)
            assert set(ids(changed)) == expected
            assert listed.end
            assert changed.end
        cursor = await now(harness)
        harness.store.publish(bob.task_id, 1, progress(10))
        page = await harness.store.changes(
            FeedFilter("local", kind="layout"), after=cursor, limit=10
        )
        assert ids(page) == []

    async def test_a_cursor_survives_a_restart(self, harness: Harness) -> None:
        await harness.create_completed()
        changed = await harness.create_running()
        first = await now(harness)
        harness.store.publish(changed.task_id, 1, progress(10))
        await harness.store.write(changed.task_id, say("hello"))
        last = await now(harness)
        for _ in range(2):
            await harness.reopen()
        left = await harness.create()
        (abandoned,) = await harness.store.abandoned()
        interrupt = lifecycle.interrupt(1, harness.clock.now(), reason="lost", message="gone")
        await harness.store.write(abandoned.task_id, interrupt)
        for cursor in (first, last):
            page = await harness.store.changes(ALL, after=cursor, limit=10)
            assert (page.reset, page.end) == (False, True)
            assert set(ids(page)) == {left.task_id, changed.task_id}

    @pytest.mark.parametrize(
        "cursor",
        ["", "nonsense", "k3v9k3v9.1.0", "{epoch}.ffff.0", "{epoch}.0.ffff", "{epoch}.-1.0"],
    )
    async def test_an_unknown_cursor_is_answered_with_the_active_tasks(
        self, harness: Harness, cursor: str
    ) -> None:
        tasks = [await harness.create() for _ in range(3)]
        asked = cursor.replace("{epoch}", harness.store.epoch)
        page = await harness.store.changes(ALL, after=asked, limit=2)
        assert (page.reset, page.end) == (True, False)
        rest = await harness.store.changes(ALL, after=str(page.cursor), limit=2)
        assert (rest.reset, rest.end) == (False, True)
        assert [*ids(page), *ids(rest)] == [task.task_id for task in reversed(tasks)]

    async def test_a_cursor_from_before_a_forgotten_deletion_is_unknown(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("taskpush.store.changes.MAX_TOMBSTONES", 3)
        tasks = [await harness.create_completed() for _ in range(5)]
        cursors = []
        for task in tasks:
            cursors.append(await now(harness))
            await harness.store.delete(task.task_id, lifecycle.delete())
        for _ in range(2):
            resets = [
                (await harness.store.changes(ALL, after=cursor, limit=10)).reset
                for cursor in cursors
            ]
            assert resets == [True, True, False, False, False]
            assert len((await harness.store.changes(ALL, after=cursors[2], limit=10)).tasks) == 3
            await harness.reopen()

    async def test_a_write_that_was_refused_is_no_change(self, harness: Harness) -> None:
        task = await harness.create_completed()
        mark = harness.store.mark
        with pytest.raises(Exception, match="expected running"):
            await harness.store.write(task.task_id, harness.complete())
        assert harness.store.mark == mark

    async def test_followers_are_told_each_change_when_the_mark_covers_it(
        self, harness: Harness
    ) -> None:
        told: list[tuple[Change, Mark]] = []
        harness.store.follow(
            lambda changes, mark: told.extend((change, mark) for change in changes)
        )
        before = harness.store.mark
        task = await harness.create_running()
        await harness.store.write(task.task_id, say("hello"))
        harness.store.publish(task.task_id, 1, progress(10))
        await harness.store.write(task.task_id, harness.complete())
        over = await harness.store.get(task.task_id)
        await harness.store.delete(task.task_id, lifecycle.delete())
        assert [change.how for change, _ in told] == [
            How.CREATED,
            How.WRITTEN,
            How.STIRRED,
            How.STIRRED,
            How.WRITTEN,
            How.DELETED,
        ]
        assert told[-1][1] == harness.store.mark
        assert told[-2][0].task == over
        assert isinstance(told[-1][0].task, Tombstone)
        marks = [(mark.written, mark.stirred) for _, mark in told]
        assert marks == sorted(set(marks))
        assert marks[0] > (before.written, before.stirred)

    async def test_a_commit_tells_each_task_once(self, harness: Harness) -> None:
        told: list[Sequence[Change]] = []
        harness.store.follow(lambda changes, mark: told.append(changes))
        record = harness.new_record()
        other = harness.new_record()
        await asyncio.gather(
            harness.store.write(record.task_id, lifecycle.create(record)),
            harness.store.write(other.task_id, lifecycle.create(other)),
            harness.store.write(record.task_id, harness.start()),
        )
        (changes,) = told
        assert [change.how for change in changes] == [How.CREATED, How.CREATED]
        first = changes[0].task
        assert isinstance(first, TaskRecord)
        assert first.status is Status.RUNNING

    async def test_reading_while_tasks_change_misses_none(self, harness: Harness) -> None:
        tasks = [await harness.create_running() for _ in range(20)]
        page = await harness.store.changes(ALL, after=None, limit=7)
        known = {told.task_id: told for told in page.tasks}
        writes = []
        for number in range(200):
            task = tasks[number * 7 % 20]
            if number % 3:
                harness.store.publish(task.task_id, 1, progress(number / 2))
            else:
                writes.append(harness.store.write(task.task_id, say(str(number)), synced=True))
            if number == 150:
                writes.append(harness.store.write(tasks[3].task_id, harness.complete()))
            page = await harness.store.changes(ALL, after=str(page.cursor), limit=7)
            known |= {told.task_id: told for told in page.tasks}
        await asyncio.gather(*writes, return_exceptions=True)
        known |= (await follow(harness, str(page.cursor), 7))[0]
        for task in tasks:
            assert known[task.task_id] == await harness.store.get(task.task_id)


async def now(harness: Harness) -> str:
    """A cursor behind everything."""
    return str(Cursor(harness.store.mark))


async def follow(
    harness: Harness, cursor: str, limit: int
) -> tuple[dict[str, TaskRecord], list[ChangePage]]:
    """All pages from a cursor on, and the tasks in them."""
    pages = [await harness.store.changes(ALL, after=cursor, limit=limit)]
    while not pages[-1].end:
        assert len(pages) < 100
        pages.append(await harness.store.changes(ALL, after=str(pages[-1].cursor), limit=limit))
    told = [task for page in pages for task in page.tasks]
    return {task.task_id: task for task in told}, pages  # type: ignore[misc]  # told by name


def ids(page: ChangePage) -> list[str]:
    return [task.task_id for task in page.tasks]


def states(page: ChangePage) -> dict[str, Status]:
    return {task.task_id: task.status for task in page.tasks if isinstance(task, TaskRecord)}
