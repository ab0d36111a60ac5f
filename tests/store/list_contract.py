"""What `Store` promises of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.errors import TaskPushError
from taskpush.models.events import Status
from taskpush.models.task import TaskError, TaskRecord
from taskpush.store.base import TaskFilter, TaskPage, Waiting
from tests.store.harness import LOCAL, Harness, listed, say


class ListContract:
    """Lists of tasks, the queue, what a dead server left."""

    async def test_tasks_are_listed_newest_first_whatever_the_clock_says(
        self, harness: Harness
    ) -> None:
        created = []
        for _ in range(5):
            created.append((await harness.create()).task_id)
            harness.clock.set_back(60)
        assert await listed(harness, LOCAL) == created[::-1]
        await harness.reopen()
        created.append((await harness.create()).task_id)
        assert await listed(harness, LOCAL) == created[::-1]

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
            assert await listed(harness, where) == expected, where

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

    async def test_a_waiting_task_says_whose_it_is_and_when_it_is_due(
        self, harness: Harness
    ) -> None:
        due = harness.clock.now() + timedelta(hours=1)
        delayed = await harness.create(tenant="acme", owner="bob", run_at=due, priority=1)
        plain = await harness.create(kind="train")
        await harness.reopen()
        assert await harness.store.waiting() == [
            Waiting(delayed.task_id, "layout", 1, run_at=due, tenant="acme", owner="bob"),
            Waiting(plain.task_id, "train", 0, run_at=None, tenant="local", owner="ann"),
        ]

    async def test_interrupted_tasks_are_listed_by_kind_and_age(self, harness: Harness) -> None:
        lost = [await harness.create_running(kind=kind) for kind in ("a", "b", "c", "a")]
        await harness.create_running(kind="a")
        await harness.create(kind="a")
        for record in reversed(lost):
            await harness.store.write(
                record.task_id,
                lifecycle.interrupt(1, harness.clock.now(), reason="worker_lost", message="gone"),
            )
        found = await harness.store.interrupted(["a", "b"])
        now = [await harness.store.get(lost[index].task_id) for index in (0, 1, 3)]
        assert list(found) == now
        assert list(await harness.store.interrupted([])) == []

    async def test_tasks_that_ended_by_themselves_are_told_newest_end_first(
        self, harness: Harness
    ) -> None:
        first, second, third, cancelled, elsewhere = [
            await harness.create_running(kind=kind, tenant=tenant)
            for kind, tenant in (("a", "local"), ("a", "other"), ("a", "x"), ("a", "x"), ("b", "x"))
        ]
        await harness.create_running(kind="a")
        await harness.create(kind="a")
        now = harness.clock.now
        error = TaskError(error="no", error_type="E", code="raised")
        ends: Sequence[tuple[TaskRecord, Callable[[], Decide]]] = (
            (second, harness.complete),
            (cancelled, lambda: lifecycle.cancel(None, now())),
            (elsewhere, harness.complete),
            (third, lambda: lifecycle.fail(1, now(), error)),
            (first, harness.complete),
        )
        for record, end in ends:
            harness.clock.wind(1)
            await harness.store.write(record.task_id, end())
        found = await harness.store.ended("a", limit=10)
        assert list(found) == [await harness.store.get(it.task_id) for it in (first, third, second)]
        assert list(await harness.store.ended("a", limit=1)) == [found[0]]
        assert list(await harness.store.ended("c", limit=1)) == []

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
