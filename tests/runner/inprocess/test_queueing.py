"""Who runs when: concurrency, priority, order, delays and keys."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from taskpush.models.events import Status
from taskpush.runner.context import TaskContext
from taskpush.store.base import Waiting
from taskpush.telemetry.events import (
    AttemptBroken,
    KindMissing,
)
from tests.runner.kinds import Style
from tests.runner.workbench import Workbench, register


async def test_no_more_handlers_of_a_kind_run_than_its_concurrency(
    bench: Workbench, gate: threading.Event
) -> None:
    running: list[str] = []
    most = 0

    def busy(ctx: TaskContext) -> None:
        nonlocal most
        running.append(ctx.task_id)
        most = max(most, len(running))
        gate.wait()
        running.remove(ctx.task_id)

    kind = bench.kind(busy, concurrency=3)
    tasks = [await bench.submit(kind) for _ in range(8)]
    await bench.until(lambda: sum(bench.statuses(each)[-1] == "running" for each in tasks) == 3)
    assert len(bench.runner.running()) == 3
    gate.set()
    for task_id in tasks:
        assert (await bench.over(task_id)).status is Status.COMPLETED
    assert most == 3


async def test_a_full_kind_does_not_hold_up_another(
    bench: Workbench, gate: threading.Event
) -> None:
    def slow(ctx: TaskContext) -> None:
        gate.wait()

    async def quick(ctx: TaskContext) -> str:
        return "there"

    kind = bench.kind(slow, concurrency=1)
    for _ in range(3):
        await bench.submit(kind)
    assert (await bench.run(quick)).result == "there"


async def test_higher_priority_goes_first_then_the_order_of_submission(bench: Workbench) -> None:
    order: list[str] = []
    first = asyncio.Event()

    async def queued(ctx: TaskContext) -> None:
        order.append(ctx.task_id)
        await first.wait()

    kind = bench.kind(queued, concurrency=1)
    blocker = await bench.submit(kind)
    low = [await bench.submit(kind, priority=0) for _ in range(3)]
    high = [await bench.submit(kind, priority=5) for _ in range(2)]
    last = await bench.submit(kind, priority=-1)
    first.set()
    await bench.over(last)
    assert order == [blocker, *high, *low, last]


async def test_tasks_that_were_pending_before_the_start_run_in_their_order(
    bench: Workbench,
) -> None:
    order: list[str] = []

    async def queued(ctx: TaskContext) -> None:
        order.append(ctx.task_id)

    kind = bench.kind(queued, concurrency=1)
    await bench.runner.stop(1)
    pending = [await bench.submit(kind) for _ in range(5)]
    assert order == []
    await bench.runner.start(await bench.store.waiting())
    await bench.over(pending[-1])
    assert order == pending


async def test_a_task_submitted_while_the_runner_starts_is_not_lost(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> str:
        return "ran"

    kind = bench.kind(job)
    await bench.runner.stop(1)
    starting = asyncio.create_task(bench.runner.start([]))
    await asyncio.sleep(0)
    task_id = await bench.submit(kind)
    await starting
    assert (await bench.over(task_id)).result == "ran"


async def test_a_stop_during_the_start_is_not_lost(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None: ...

    kind = bench.kind(job)
    await bench.runner.stop(1)
    task_id = await bench.create(kind)
    starting = asyncio.create_task(bench.runner.start(await bench.store.waiting()))
    await asyncio.sleep(0)
    await bench.runner.stop(1)
    await starting
    assert bench.runner.running() == []
    assert (await bench.record(task_id)).status is Status.PENDING


async def test_a_task_announced_twice_runs_once(bench: Workbench) -> None:
    runs: list[str] = []

    async def once(ctx: TaskContext) -> None:
        runs.append(ctx.task_id)

    kind = bench.kind(once)
    task_id = await bench.submit(kind)
    bench.runner.submit(Waiting(task_id, kind, 0))
    await bench.over(task_id)
    await bench.idle()
    assert runs == [task_id]


async def test_a_pending_task_of_an_unknown_kind_stays_pending_and_is_noticed(
    bench: Workbench,
) -> None:
    task_id = await bench.create("forgotten")
    await bench.runner.start([Waiting(task_id, "forgotten", 0)])
    assert bench.noticed == [KindMissing(task_id, "forgotten")]
    assert (await bench.record(task_id)).status is Status.PENDING


async def test_a_handler_sees_nothing_of_the_request_that_submitted_it(bench: Workbench) -> None:
    request = ContextVar("request", default="nobody's")

    async def on_loop(ctx: TaskContext) -> str:
        return request.get()

    def in_thread(ctx: TaskContext) -> str:
        return request.get()

    request.set("somebody's")
    assert (await bench.run(on_loop)).result == "nobody's"
    assert (await bench.run(in_thread)).result == "nobody's"


async def test_a_handler_that_cannot_be_begun_does_not_leave_its_task_running(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def job(ctx: TaskContext) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        record = await bench.run(job)
    assert record.status is Status.INTERRUPTED
    assert record.reason == "worker_lost"
    assert len(bench.noticed_of(AttemptBroken)) == 1


async def test_a_delayed_task_starts_when_it_is_due_and_not_before(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP)
    run_at = bench.clock.now() + timedelta(seconds=0.3)
    record = await bench.over(await bench.submit(kind, run_at=run_at))
    assert record.started_at is not None
    assert record.started_at >= run_at


async def test_delayed_tasks_are_taken_up_by_the_next_server(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP)
    run_at = bench.clock.now() + timedelta(seconds=0.3)
    task_id = await bench.submit(kind, run_at=run_at)
    await bench.runner.stop(0)
    await bench.store.close()
    await bench.open()
    record = await bench.over(task_id)
    assert record.started_at is not None
    assert record.started_at >= run_at


async def test_a_delayed_task_that_is_announced_as_due_waits_all_the_same(
    bench: Workbench,
) -> None:
    kind = register(bench, "everything", Style.LOOP)
    run_at = bench.clock.now() + timedelta(seconds=0.3)
    task_id = await bench.create(kind, run_at=run_at)
    bench.runner.submit(Waiting(task_id, kind, 0))
    record = await bench.over(task_id)
    assert record.started_at is not None
    assert record.started_at >= run_at


async def test_of_delayed_tasks_that_are_due_the_highest_priority_is_first(
    bench: Workbench,
) -> None:
    kind = register(bench, "everything", Style.LOOP, concurrency=1)
    run_at = bench.clock.now() + timedelta(seconds=0.2)
    low, high = [await bench.submit(kind, priority=each, run_at=run_at) for each in (0, 5)]
    await bench.over(low)
    started = [(await bench.record(each)).started_at for each in (high, low)]
    assert None not in started
    assert started == sorted(started, key=str)


@pytest.mark.parametrize("key", ["owner", lambda params: params["for"]])
async def test_tasks_with_a_key_in_common_run_one_at_a_time(bench: Workbench, key: Any) -> None:
    running: list[str] = []
    most: dict[str, int] = {}
    seen = 0

    async def bake(ctx: TaskContext, params: dict[str, Any]) -> None:
        nonlocal seen
        mine = params["for"]
        running.append(mine)
        most[mine] = max(most.get(mine, 0), running.count(mine))
        seen = max(seen, len(running))
        await asyncio.sleep(0.02)
        running.remove(mine)

    kind = bench.kind(bake, concurrency_key=key)
    owners = ["ann", "ann", "bob", "ann", "bob", "cy"]
    tasks = [await bench.submit(kind, {"for": each}, owner=each) for each in owners]
    for task_id in tasks:
        assert (await bench.over(task_id)).status is Status.COMPLETED
    assert most == {"ann": 1, "bob": 1, "cy": 1}
    assert seen > 1


async def test_owners_of_one_name_in_two_tenants_do_not_wait_for_each_other(
    bench: Workbench,
) -> None:
    kind = register(bench, "until_cancelled", Style.LOOP, concurrency_key="owner")
    tasks = [await bench.submit(kind, tenant=tenant, owner="ann") for tenant in ("acme", "bolt")]
    for task_id in tasks:
        await bench.begun(task_id)
    for task_id in tasks:
        await bench.cancel(task_id)
        await bench.over(task_id)


async def test_a_key_function_that_raises_lifts_no_limit_and_is_noticed(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP, concurrency_key=lambda params: params["no"])
    for task_id in [await bench.submit(kind) for _ in range(3)]:
        assert (await bench.over(task_id)).status is Status.COMPLETED
    assert "KeyError" in bench.noticed_of(AttemptBroken)[0].traceback


async def test_a_cancelled_task_gives_its_key_to_the_next(bench: Workbench) -> None:
    kind = register(bench, "until_cancelled", Style.LOOP, concurrency_key="owner")
    first, second = await bench.submit(kind), await bench.submit(kind)
    await bench.begun(first)
    await bench.cancel(first)
    await bench.begun(second)
    await bench.cancel(second)
    await bench.over(second)
