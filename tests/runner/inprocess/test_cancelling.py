"""Every style of handler can be stopped, by a cancel or because its attempt was ended elsewhere."""

from __future__ import annotations

import asyncio

from taskpush.core import lifecycle
from taskpush.models.events import Status
from taskpush.runner.context import TaskContext
from taskpush.telemetry.events import (
    OutcomeRefused,
)
from tests.runner.kinds import Style
from tests.runner.workbench import Workbench, begin, every_style, register


@every_style
async def test_a_task_cancelled_while_it_waits_never_runs(bench: Workbench, style: Style) -> None:
    kind = register(bench, "until_cancelled", style, concurrency=1)
    first = await bench.submit(kind)
    await bench.begun(first)
    second, third = await bench.submit(kind), await bench.submit(kind)
    await bench.cancel(second)
    await bench.cancel(first)
    await bench.begun(third)
    assert bench.statuses(second) == ["pending", "cancelled"]
    await bench.cancel(third)
    await bench.over(third)


@every_style
async def test_a_cancel_right_behind_the_start_is_not_lost(bench: Workbench, style: Style) -> None:
    kind = register(bench, "until_cancelled", style)
    for pauses in range(6):
        task_id = await bench.submit(kind)
        for _ in range(pauses):
            await asyncio.sleep(0)
        await bench.cancel(task_id)
        record = await bench.over(task_id)
        assert record.status is Status.CANCELLED
        assert [each["final"] for each in bench.data(task_id, "status_change")].count(True) == 1


@every_style
async def test_a_cancel_queued_behind_the_start_stops_it_before_the_handler(
    bench: Workbench, style: Style
) -> None:
    bench.store.flowing.clear()
    creating = asyncio.ensure_future(bench.submit(register(bench, "until_cancelled", style)))
    bench.store.flowing.set()
    task_id = await creating
    bench.store.flowing.clear()
    cancelling = asyncio.ensure_future(bench.cancel(task_id))
    await asyncio.sleep(0)
    bench.store.flowing.set()
    await cancelling
    record = await bench.over(task_id)
    assert record.status is Status.CANCELLED


@every_style
async def test_a_running_handler_is_stopped_by_a_cancel(bench: Workbench, style: Style) -> None:
    task_id = await begin(bench, "until_cancelled", style)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.CANCELLED
    assert record.reason == "cancelled_by"


@every_style
async def test_a_handler_that_completes_after_a_cancel_has_completed(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "finish_anyway", style)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.COMPLETED
    assert record.result == "done anyway"


@every_style
async def test_a_handler_that_fails_while_cleaning_up_has_failed(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "stumble", style)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.error == "cleaning up failed"


@every_style
async def test_cancels_around_the_end_leave_exactly_one_final_event(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "everything", style)
    rounds = 3 if style is Style.PROCESS else 25
    for pauses in range(rounds):
        task_id = await bench.submit(kind, {"rounds": 1})
        await bench.until(lambda: len(bench.events(task_id)) >= 4 + pauses // 5)  # noqa: B023
        record = await bench.record(task_id)
        if not record.status.is_over:
            await asyncio.gather(bench.cancel(task_id), return_exceptions=True)
        await bench.over(task_id)
        finals = [each for each in bench.data(task_id, "status_change") if each["final"]]
        assert len(finals) == 1
        assert bench.events(task_id)[-1]["data"] == finals[0]


async def test_a_cancelled_error_that_nobody_asked_for_is_a_failure(bench: Workbench) -> None:
    async def cancels_itself(ctx: TaskContext) -> None:
        raise asyncio.CancelledError

    record = await bench.run(cancels_itself)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.error_type == "CancelledError"


async def test_cancelling_what_is_unknown_does_nothing(bench: Workbench) -> None:
    bench.runner.cancel("unknown")


async def test_cancelling_twice_interrupts_the_cleanup_of_an_async_handler(
    bench: Workbench,
) -> None:
    async def slow_to_leave(ctx: TaskContext) -> None:
        try:
            await ctx.log("begun")
            await asyncio.Event().wait()
        finally:
            await ctx.log("cleaning up")
            await asyncio.Event().wait()

    task_id = await bench.submit(bench.kind(slow_to_leave))
    await bench.begun(task_id)
    await bench.cancel(task_id)
    await bench.until(lambda: "cleaning up" in bench.logs(task_id))
    await bench.cancel(task_id)
    assert (await bench.over(task_id)).status is Status.CANCELLED


@every_style
async def test_an_attempt_that_was_ended_elsewhere_is_stopped_and_says_nothing_more(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "chatter_on", style)
    ended = lifecycle.interrupt(1, bench.clock.now(), reason="worker_lost", message="lost")
    await bench.store.write(task_id, ended)
    said = len(bench.events(task_id))
    await bench.idle()
    assert len(bench.events(task_id)) == said
    assert bench.noticed_of(OutcomeRefused)
    assert (await bench.record(task_id)).status is Status.INTERRUPTED
