"""What becomes of attempts while the store is away, and when the server stops."""

from __future__ import annotations

import asyncio
import threading

from taskpush.models.events import Status
from taskpush.runner.context import TaskCancelled, TaskContext
from taskpush.telemetry.events import (
    HandlerLeftBehind,
    StoreFailed,
)
from tests.runner.kinds import Style
from tests.runner.workbench import PATIENCE_S, Workbench, begin, every_style, register


async def test_an_outcome_waits_until_the_store_can_write_again(bench: Workbench) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def precious(ctx: TaskContext) -> str:
        begun.set()
        await go.wait()
        return "the result of hours"

    task_id = await bench.submit(bench.kind(precious))
    await begun.wait()
    bench.store.broken = True
    go.set()
    await bench.until(lambda: bool(bench.noticed_of(StoreFailed)))
    bench.store.broken = False
    record = await bench.over(task_id)
    assert record.result == "the result of hours"


@every_style
async def test_stopping_interrupts_what_runs(bench: Workbench, style: Style) -> None:
    task_id = await begin(bench, "until_cancelled", style)
    assert await bench.runner.stop(10) == 1
    record = await bench.record(task_id)
    assert record.status is Status.INTERRUPTED
    assert record.reason == "server_stopped"
    assert bench.runner.running() == []


@every_style
async def test_a_handler_that_completes_while_the_server_stops_has_completed(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "finish_anyway", style)
    assert await bench.runner.stop(10) == 0
    assert (await bench.record(task_id)).status is Status.COMPLETED


async def test_stopping_leaves_waiting_tasks_pending(bench: Workbench) -> None:
    kind = register(bench, "until_cancelled", Style.LOOP, concurrency=1)
    first = await bench.submit(kind)
    second = await bench.submit(kind)
    await bench.begun(first)
    await bench.runner.stop(10)
    assert (await bench.record(second)).status is Status.PENDING


async def test_a_thread_that_does_not_stop_is_let_go_at_the_deadline(
    bench: Workbench, gate: threading.Event
) -> None:
    raised = threading.Event()

    def stuck(ctx: TaskContext) -> None:
        ctx.log("begun")
        gate.wait()
        try:
            ctx.log("too late")
        except TaskCancelled:
            raised.set()

    task_id = await bench.submit(bench.kind(stuck))
    await bench.begun(task_id)
    assert await bench.runner.stop(0.05) == 1
    assert (await bench.record(task_id)).status is Status.INTERRUPTED
    assert bench.noticed_of(HandlerLeftBehind)
    gate.set()
    assert await asyncio.to_thread(raised.wait, PATIENCE_S)
    assert bench.logs(task_id) == ["begun"]


async def test_an_async_handler_that_ignores_its_cancel_is_let_go_at_the_deadline(
    bench: Workbench,
) -> None:
    leave = asyncio.Event()

    async def deaf(ctx: TaskContext) -> None:
        await ctx.log("begun")
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                continue

    task_id = await bench.submit(bench.kind(deaf))
    await bench.begun(task_id)
    assert await bench.runner.stop(0.05) == 1
    assert (await bench.record(task_id)).reason == "server_stopped"
    leave.set()


async def test_a_cancelled_task_that_stops_with_the_server_is_cancelled(bench: Workbench) -> None:
    task_id = await begin(bench, "until_cancelled", Style.THREAD)
    await asyncio.gather(bench.cancel(task_id), bench.runner.stop(10))
    assert (await bench.record(task_id)).status is Status.CANCELLED


async def test_stopping_ends_when_the_store_cannot_write_any_more(bench: Workbench) -> None:
    await begin(bench, "until_cancelled", Style.LOOP)
    bench.store.broken = True
    assert await bench.runner.stop(0.2) == 0
    bench.store.broken = False


async def test_nothing_starts_after_a_stop(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP)
    await bench.runner.stop(1)
    task_id = await bench.submit(kind)
    await asyncio.sleep(0)
    assert bench.runner.running() == []
    assert (await bench.record(task_id)).status is Status.PENDING
