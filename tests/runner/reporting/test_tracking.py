"""`ctx.track` under the names that tqdm's callers use; as a plain loop: `test_context`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from taskpush.models.events import Status
from taskpush.runner.context import TaskContext
from taskpush.runner.reporting.tracking import IGNORED
from tests.runner.workbench import Workbench


def _last(bench: Workbench, task_id: str, event_type: str = "progress") -> dict[str, Any]:
    return bench.data(task_id, event_type)[-1]


async def test_a_bar_is_updated_by_hand(bench: Workbench) -> None:
    def job(ctx: TaskContext) -> None:
        with ctx.track(total=100, desc="bytes", unit="B") as bar:
            for _ in range(4):
                bar.update(20)

    task_id = (await bench.run(job)).task_id
    last = _last(bench, task_id)
    assert (last["completed"], last["total"], last["progress_percent"]) == (80, 100, 80)
    assert (last["unit"], last["message"]) == ("B", "bytes")
    assert "current_iteration" not in last


async def test_a_bar_without_a_block_is_closed_by_hand(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        bar = ctx.track(total=3)
        bar.update()
        bar.close()
        other = ctx.track(total=4)
        other.update(3)
        other.close()

    last = _last(bench, (await bench.run(job)).task_id)
    assert (last["completed"], last["total"], last["current_iteration"]) == (3, 4, 3)


@pytest.mark.parametrize("unit", [None, "it", "iteration"])
async def test_what_is_counted_without_a_unit_are_iterations(
    bench: Workbench, unit: str | None
) -> None:
    async def job(ctx: TaskContext) -> None:
        for _ in ctx.track(range(3), unit=unit):
            pass

    last = _last(bench, (await bench.run(job)).task_id)
    assert (last["unit"], last["current_iteration"], last["max_iterations"]) == ("iteration", 3, 3)


async def test_what_was_done_before_counts_but_not_for_the_rate(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        for _ in ctx.track(range(50), total=1000, initial=940):
            await asyncio.sleep(0.002)

    last = _last(bench, (await bench.run(job)).task_id)
    assert (last["completed"], last["progress_percent"]) == (990, 99)
    assert last["rate_per_s"] < 600
    assert last["eta_seconds"] == pytest.approx(last["elapsed_seconds"] / 5, abs=0.06)


async def test_a_bar_says_what_it_is_about_and_its_figures(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        with ctx.track(range(2), desc="first", postfix={"lr": 0.1}) as bar:
            for epoch in bar:
                bar.set_description(f"epoch {epoch}")
                bar.set_postfix(loss=0.5 - epoch / 10)
                bar.write(f"wrote {epoch}")
        bar.set_postfix({"loss": 0.25}, refresh=False, accuracy=1)

    task_id = (await bench.run(job)).task_id
    assert _last(bench, task_id)["message"] == "epoch 1"
    stats = _last(bench, task_id, "stats")
    assert (stats["lr"], stats["loss"], stats["accuracy"]) == (0.1, 0.25, 1)
    assert stats["elapsed_seconds"] >= 0
    assert bench.logs(task_id) == ["wrote 0", "wrote 1"]


async def test_a_count_may_be_set(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> tuple[int, float]:
        bar = ctx.track(total=8)
        bar.n = 6
        bar.refresh()
        length, count = len(bar), bar.n
        bar.close()
        return length, count

    record = await bench.run(job)
    assert record.result == [8, 6]
    assert _last(bench, record.task_id)["completed"] == 6


async def _numbers() -> AsyncIterator[int]:
    for number in range(4):
        await asyncio.sleep(0)
        yield number


async def test_async_for_goes_through_either_kind_of_iterable(bench: Workbench) -> None:
    seen: list[int] = []

    async def job(ctx: TaskContext) -> None:
        seen.extend([number async for number in ctx.track(_numbers(), total=4)])
        seen.extend([number async for number in ctx.track(range(4))])

    last = _last(bench, (await bench.run(job)).task_id)
    assert seen == [*range(4), *range(4)]
    assert last["completed"] == 4


async def test_a_loop_that_was_left_makes_way_for_the_next(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        async for number in ctx.track(_numbers(), total=100):
            if number == 1:
                break
        for _ in ctx.track(range(5)):
            pass

    last = _last(bench, (await bench.run(job)).task_id)
    assert (last["completed"], last["total"]) == (5, 5)


async def test_async_for_gives_the_loop_its_turns(bench: Workbench) -> None:
    """An async handler whose loop never awaits anything else must still be cancellable."""

    async def job(ctx: TaskContext) -> None:
        async for _ in ctx.track(iter(int, 1)):
            ctx.progress(message="busy")

    task_id = await bench.submit(bench.kind(job))
    await bench.begun(task_id)
    await bench.cancel(task_id)
    assert (await bench.over(task_id)).status is Status.CANCELLED


async def test_a_loop_in_a_thread_stops_when_it_is_cancelled(bench: Workbench) -> None:
    def job(ctx: TaskContext) -> None:
        with ctx.track() as bar:
            while True:
                bar.update()

    task_id = await bench.submit(bench.kind(job))
    await bench.until(lambda: bool(bench.data(task_id, "progress")))
    await bench.cancel(task_id)
    assert (await bench.over(task_id)).status is Status.CANCELLED


async def test_the_looks_of_a_bar_are_ignored_and_mistakes_are_not(bench: Workbench) -> None:
    looks: dict[str, Any] = dict.fromkeys(IGNORED)

    async def job(ctx: TaskContext) -> None:
        assert list(ctx.track(range(3), **looks)) == [0, 1, 2]
        ctx.track(range(3), totl=3)

    record = await bench.run(job)
    assert record.error is not None
    assert record.error.error == "track() takes no 'totl'"


async def test_steps_that_are_no_numbers_are_left_out(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        with ctx.track(total=4, initial="none") as bar:  # type: ignore[arg-type]  # the mistake
            bar.update(2)
            bar.update(float("nan"))

    task_id = (await bench.run(job)).task_id
    assert _last(bench, task_id)["completed"] == 2
    assert bench.logs(task_id, "error") == [
        "track: initial: 'none' is no number of at least 0; left out",
        "track: update: nan is no number; left out",
    ]
