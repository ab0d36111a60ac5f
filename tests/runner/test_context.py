"""What a handler holds, in every style: reporting never breaks a job, and forgets nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taskpush.core.progress import BadReport
from taskpush.models.events import Status
from taskpush.runner.context import LastWords, TaskCancelled, TaskContext
from taskpush.runner.reporting.reports import Iteration, NewCheckpoint
from tests.runner.kinds import Style, handler_for
from tests.runner.workbench import PATIENCE_S, Workbench, every_style


async def run(bench: Workbench, name: str, style: Style, params: Any = None) -> str:
    """Run the handler of that name to its end."""
    handler = handler_for(name, style)
    record = await bench.run(handler, params, process=style is Style.PROCESS)
    return record.task_id


# -- what cannot travel ---------------------------------------------------------


@every_style
async def test_what_cannot_travel_is_left_out_and_one_record_each_says_so(
    bench: Workbench, style: Style
) -> None:
    task_id = await run(bench, "bad_values", style)
    assert (await bench.record(task_id)).result == "unharmed"
    assert bench.logs(task_id, "error") == [
        (
            "iteration 1: metrics.loss: nan cannot travel as a JSON number;"
            f" metrics.huge: {2**60} cannot travel as a JSON number; left out"
        ),
        "progress: progress went back from 50 to 40 percent; left out",
        "log: fields.bad: a object is not a JSON value; left out",
        "log: message: text with a lone surrogate; left out",
        "stats: stats.worst: inf cannot travel as a JSON number; left out",
        "preview: a picture of 200000 bytes, of at most 196608; left out",
    ]
    assert bench.data(task_id, "preview")[-1]["content"] == "half way"
    assert bench.data(task_id, "iteration_complete") == [{"iteration": 1, "metrics": {"good": 1.5}}]
    last = bench.data(task_id, "progress")[-1]
    assert (last["progress_percent"], last["message"]) == (50, "further")
    assert bench.data(task_id, "stats")[-1]["best"] == 2
    fields = [each for each in bench.data(task_id, "log") if each["message"] == "with fields"]
    assert fields[0]["fields"] == {"fine": 1}


@every_style
async def test_strict_reporting_raises_instead(tmp_path: Path, style: Style) -> None:
    bench = Workbench(tmp_path)
    await bench.open(strict_reporting=True)
    task_id = await run(bench, "bad_values", style)
    record = await bench.record(task_id)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.error_type == "BadReport"
    assert "metrics.loss" in record.error.error
    assert bench.data(task_id, "iteration_complete") == []
    await bench.close()


@every_style
async def test_an_artifact_that_is_not_there_is_left_out_and_said(
    bench: Workbench, style: Style
) -> None:
    task_id = await run(bench, "bad_artifact", style)
    assert (await bench.record(task_id)).result == "unharmed"
    assert bench.logs(task_id, "error") == [
        "artifact gone.bin: No such file or directory; left out"
    ]


@every_style
async def test_an_artifact_that_is_not_there_raises_when_strict(
    tmp_path: Path, style: Style
) -> None:
    bench = Workbench(tmp_path)
    await bench.open(strict_reporting=True)
    task_id = await run(bench, "bad_artifact", style)
    record = await bench.record(task_id)
    assert record.error is not None
    assert record.error.error_type == "BadReport"
    await bench.close()


async def test_progress_that_is_wrong_keeps_its_texts(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        await ctx.progress(fraction=1.5, message="a")
        await ctx.progress(done=-1, stage="s")
        await ctx.progress(done=1, total=2, fraction=0.5)
        await ctx.progress(done=float("nan"))
        await ctx.progress(done="3")  # type: ignore[arg-type]
        await ctx.progress(np.int64(1), np.float32(2), unit="cell")  # type: ignore[arg-type]

    record = await bench.run(job)
    assert len(bench.logs(record.task_id, "error")) == 5
    last = bench.data(record.task_id, "progress")[-1]
    assert last["progress_percent"] == 50
    assert (last["message"], last["stage"], last["unit"]) == ("a", "s", "cell")


async def test_numpy_scalars_are_taken_everywhere(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        await ctx.iteration(np.int32(1), {"t": np.float32(0.5)})  # type: ignore[arg-type,dict-item]
        await ctx.log("values", n=np.int64(3), mean=np.float64(2.5))
        await ctx.stats(n=np.int64(3))

    task_id = (await bench.run(job)).task_id
    assert bench.logs(task_id, "error") == []
    assert bench.data(task_id, "iteration_complete") == [{"iteration": 1, "metrics": {"t": 0.5}}]
    assert bench.data(task_id, "log")[0]["fields"] == {"n": 3, "mean": 2.5}


# -- forgetting to await --------------------------------------------------------


async def test_calls_that_are_not_awaited_take_effect_in_their_order(
    bench: Workbench, recwarn: pytest.WarningsRecorder
) -> None:
    async def forgetful(ctx: TaskContext) -> None:
        ctx.log("first")
        ctx.iteration(1, {"a": 1})
        ctx.log("second")
        ctx.progress(1, 2)
        ctx.stats(n=1)
        ctx.artifact("late.txt", "content")

    record = await bench.run(forgetful)
    assert record.status is Status.COMPLETED
    logged = [each["event_type"] for each in bench.events(record.task_id) if each["seq"]][2:]
    assert logged == ["log", "iteration_complete", "log", "artifact", "status_change"]
    assert len(bench.data(record.task_id, "progress")) == 1
    assert not recwarn.list


async def test_an_iteration_is_committed_when_it_was_awaited(bench: Workbench) -> None:
    seen: list[int] = []

    async def job(ctx: TaskContext) -> None:
        for i in range(5):
            await ctx.iteration(i)
            seen.append(len(bench.data(ctx.task_id, "iteration_complete")))

    await bench.run(job)
    assert seen == [1, 2, 3, 4, 5]


async def test_an_iteration_is_committed_when_it_returns_in_a_thread(bench: Workbench) -> None:
    seen: list[int] = []

    def job(ctx: TaskContext) -> None:
        for i in range(5):
            ctx.log(f"before {i}")
            ctx.iteration(i)
            seen.append(len(bench.events(ctx.task_id, "log", "iteration_complete")))

    await bench.run(job)
    assert seen == [2, 4, 6, 8, 10]


async def test_a_cancelled_wait_does_not_undo_the_report(bench: Workbench) -> None:
    async def impatient(ctx: TaskContext) -> str:
        bench.store.flowing.clear()
        try:
            async with asyncio.timeout(0.01):
                await ctx.iteration(1)
        except TimeoutError:
            bench.store.flowing.set()
        return "went on"

    record = await bench.run(impatient)
    assert record.result == "went on"
    assert len(bench.data(record.task_id, "iteration_complete")) == 1


async def test_reports_after_the_end_are_ignored(bench: Workbench) -> None:
    kept: list[TaskContext] = []

    async def job(ctx: TaskContext) -> None:
        kept.append(ctx)

    record = await bench.run(job)
    said = len(bench.events(record.task_id))
    await kept[0].log("too late")
    await kept[0].progress(1, 2)
    await kept[0].iteration(1)
    await kept[0].artifact("a", b"")
    assert len(bench.events(record.task_id)) == said


async def test_awaiting_reports_gives_the_loop_its_turns(bench: Workbench) -> None:
    turns = 0
    stop = asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not stop.is_set():
            turns += 1
            await asyncio.sleep(0)

    async def computing(ctx: TaskContext) -> None:
        for i in ctx.track(range(20)):
            sum(range(200_000))
            await ctx.progress(message=f"step {i}")

    watching = asyncio.create_task(others())
    await bench.run(computing)
    stop.set()
    await watching
    assert turns >= 4


# -- an async handler with threads of its own ------------------------------------


async def test_an_async_handler_may_hand_its_context_to_a_thread(bench: Workbench) -> None:
    def part(ctx: TaskContext) -> str:
        ctx.log("from the thread")
        ctx.iteration(1, {"a": 1})
        ctx.progress(1, 1)
        return threading.current_thread().name

    async def job(ctx: TaskContext) -> str:
        return await asyncio.to_thread(part, ctx)

    record = await bench.run(job)
    assert record.status is Status.COMPLETED
    assert bench.logs(record.task_id) == ["from the thread"]
    assert len(bench.data(record.task_id, "iteration_complete")) == 1


async def test_such_a_thread_gets_task_cancelled(bench: Workbench) -> None:
    ended = threading.Event()

    def part(ctx: TaskContext) -> None:
        ctx.log("begun")
        try:
            while True:
                ctx.progress(message="on it")
        except TaskCancelled:
            ended.set()

    async def job(ctx: TaskContext) -> None:
        await asyncio.to_thread(part, ctx)

    task_id = await bench.submit(bench.kind(job))
    await bench.begun(task_id)
    await bench.cancel(task_id)
    assert (await bench.over(task_id)).status is Status.CANCELLED
    assert await asyncio.to_thread(ended.wait, PATIENCE_S)


# -- progress -------------------------------------------------------------------


@every_style
async def test_a_flood_is_merged_and_its_first_and_last_state_are_shown(
    bench: Workbench, style: Style
) -> None:
    task_id = await run(bench, "flood", style, {"count": 5_000})
    progress, stats = bench.data(task_id, "progress"), bench.data(task_id, "stats")
    assert progress[0]["completed"] <= progress[-1]["completed"] == 5_000
    assert stats[-1]["turns"] == 5_000
    percents = [each["progress_percent"] for each in progress]
    assert percents == sorted(percents)
    elapsed_s = progress[-1]["elapsed_seconds"]
    assert all(0 <= each["elapsed_seconds"] <= elapsed_s + 1 for each in (*progress, *stats))
    assert len(progress) <= 10 * elapsed_s + 3
    assert len(stats) <= 10 * elapsed_s + 3


@every_style
async def test_nothing_volatile_follows_the_final_event(bench: Workbench, style: Style) -> None:
    task_id = await run(bench, "flood", style, {"count": 200})
    last = bench.events(task_id)[-1]
    assert last["event_type"] == "status_change"
    assert last["data"]["final"]


async def test_track_counts_from_one_and_ends_at_its_total(bench: Workbench) -> None:
    seen: list[Any] = []

    async def job(ctx: TaskContext) -> None:
        seen.extend(ctx.track(["a", "b", "c"], description="letters"))

    task_id = (await bench.run(job)).task_id
    assert seen == ["a", "b", "c"]
    first, *_, last = bench.data(task_id, "progress")
    assert first["progress_percent"] == 0
    assert last["progress_percent"] == 100
    assert (last["current_iteration"], last["max_iterations"]) == (3, 3)
    assert "current_iteration" not in first or first["current_iteration"] >= 1


async def test_track_takes_any_iterable_with_or_without_a_total(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        for _ in ctx.track(iter(range(4)), total=4):
            pass

    async def unknown(ctx: TaskContext) -> None:
        for _ in ctx.track(i for i in range(4)):
            pass

    known = bench.data((await bench.run(job)).task_id, "progress")[-1]
    assert known["progress_percent"] == 100
    open_ended = bench.data((await bench.run(unknown)).task_id, "progress")[-1]
    assert open_ended["progress_percent"] is None
    assert open_ended["completed"] == 4


async def test_a_loop_that_is_left_early_shows_how_far_it_came(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        for i in ctx.track(range(10)):
            if i == 3:
                break

    last = bench.data((await bench.run(job)).task_id, "progress")[-1]
    assert last["completed"] == 3


async def test_a_second_loop_never_lets_progress_fall_and_is_no_error(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        for _ in ctx.track(range(4)):
            await asyncio.sleep(0.04)
        for _ in ctx.track(range(4)):
            await asyncio.sleep(0.04)

    task_id = (await bench.run(job)).task_id
    percents = [each["progress_percent"] for each in bench.data(task_id, "progress")]
    assert percents == sorted(percents)
    assert bench.logs(task_id) == []


async def test_an_inner_loop_leaves_progress_to_the_outer(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        for _ in ctx.track(range(2)):
            for _ in ctx.track(range(100)):
                pass

    last = bench.data((await bench.run(job)).task_id, "progress")[-1]
    assert (last["completed"], last["total"]) == (2, 2)


async def test_a_wrong_total_is_said_once(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> int:
        return sum(1 for _ in ctx.track(range(10), total=float("nan")))

    record = await bench.run(job)
    assert record.result == 10
    assert bench.logs(record.task_id) == ["track: total: nan is no number of at least 0; left out"]


async def test_a_message_inside_a_loop_is_kept(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        for i in ctx.track(range(3), description="loop"):
            await ctx.progress(message=f"at {i}")

    last = bench.data((await bench.run(job)).task_id, "progress")[-1]
    assert (last["message"], last["completed"]) == ("at 2", 3)


async def test_stats_that_are_not_named_keep_their_values(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        await ctx.stats(a=1)
        await ctx.stats(b=2)

    last = bench.data((await bench.run(job)).task_id, "stats")[-1]
    assert (last["a"], last["b"]) == (1, 2)
    assert last["elapsed_seconds"] >= 0


# -- the logger -----------------------------------------------------------------


async def test_records_of_the_logger_become_log_events(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        ctx.logger.debug("one %s", "d")
        ctx.logger.info("two")
        ctx.logger.warning("three")
        ctx.logger.critical("four")
        ctx.logger.log(35, "between")

    data = bench.data((await bench.run(job)).task_id, "log")
    assert [(each["level"], each["message"]) for each in data] == [
        ("debug", "one d"),
        ("info", "two"),
        ("warning", "three"),
        ("error", "four"),
        ("warning", "between"),
    ]


async def test_an_exception_in_the_log_is_one_line_without_a_traceback(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        try:
            raise ValueError("odd\nvalue")
        except ValueError:
            ctx.logger.exception("it went wrong")

    (message,) = bench.logs((await bench.run(job)).task_id)
    assert message.startswith("it went wrong: ValueError: odd")
    assert "Traceback" not in message
    assert ".py" not in message


async def test_a_wrong_format_string_does_not_end_the_job(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> str:
        ctx.logger.info("%d items", "many")
        return "unharmed"

    record = await bench.run(job)
    assert record.result == "unharmed"
    assert bench.logs(record.task_id) == ["%d items [arguments do not fit: TypeError]"]


async def test_the_logger_is_not_registered_and_hands_nothing_on(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    names: list[str] = []

    async def job(ctx: TaskContext) -> None:
        ctx.logger.error("only for the task")
        names.append(ctx.logger.name)

    await bench.run(job)
    assert names[0] not in logging.root.manager.loggerDict
    assert caplog.records == []


# -- artifacts ------------------------------------------------------------------


async def test_an_artifact_event_pins_the_content(bench: Workbench, tmp_path: Path) -> None:
    made = tmp_path / "made.csv"
    made.write_text("a,b", encoding="utf-8")

    async def job(ctx: TaskContext) -> None:
        await ctx.artifact("my table.csv", made)
        made.write_text("changed", encoding="utf-8")
        await ctx.artifact("raw", b"\x00\x01", media_type="application/x-raw")

    task_id = (await bench.run(job)).task_id
    table, raw = bench.data(task_id, "artifact")
    assert (table["name"], table["media_type"], table["size_bytes"]) == (
        "my table.csv",
        "text/csv",
        3,
    )
    hashed = table["sha256"]
    assert table["url"] == f"/api/tasks/{task_id}/artifacts/my%20table.csv?sha256={hashed}"
    assert bench.blobs.path(task_id, hashed).read_text() == "a,b"
    assert raw["media_type"] == "application/x-raw"
    assert bench.blobs.path(task_id, raw["sha256"]).read_bytes() == b"\x00\x01"


async def test_the_content_is_complete_before_the_event_is_committed(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None:
        await ctx.artifact("big", b"x" * 5_000_000)

    complete: list[bool] = []

    def look(events: Any) -> None:
        for each in events:
            if each.event_type == "artifact":
                folder = bench.folder / "artifacts" / each.task_id
                complete.extend(file.stat().st_size == 5_000_000 for file in folder.iterdir())

    bench.store.listen(look)
    await bench.run(job)
    assert complete == [True]


async def test_a_name_with_a_slash_is_left_out(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> str:
        await ctx.artifact("../../etc/passwd", "x")
        return "unharmed"

    record = await bench.run(job)
    assert record.result == "unharmed"
    assert "no artifact name" in bench.logs(record.task_id, "error")[0]


# -- the rest -------------------------------------------------------------------


async def test_a_handler_knows_its_task(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> Any:
        return [ctx.task_id, ctx.attempt, ctx.resumed_from, ctx.cancel_requested]

    record = await bench.run(job)
    assert record.result == [record.task_id, 1, None, False]


def test_task_cancelled_passes_an_except_exception() -> None:
    assert not issubclass(TaskCancelled, Exception)
    assert issubclass(BadReport, ValueError)


# -- the last words of a plain handler ------------------------------------------

STATE = NewCheckpoint(b"1", None, None)


def test_a_handler_that_is_told_may_make_one_more_checkpoint() -> None:
    last_words = LastWords()
    with pytest.raises(TaskCancelled):
        last_words.check(Iteration({}))
    last_words.check(STATE)
    with pytest.raises(TaskCancelled):
        last_words.check(STATE)


def test_a_handler_that_only_makes_checkpoints_is_told_by_the_second() -> None:
    last_words = LastWords()
    last_words.check(STATE)
    with pytest.raises(TaskCancelled):
        last_words.check(STATE)
    last_words.check(STATE)
    with pytest.raises(TaskCancelled):
        last_words.check(STATE)


# -- remaining time -------------------------------------------------------------


async def _told_after(folder: Path, state: object, *reports: dict[str, Any]) -> dict[str, Any]:
    """The progress after these reports, where tasks of that kind always took 100 s."""
    bench = Workbench(folder, run_times=lambda kind, params: lambda: [100.0] * 30)
    await bench.open()

    async def job(ctx: TaskContext) -> None:
        if state is not None and ctx.resumed_from is None:
            await ctx.checkpoint(state)
            raise ValueError("once")
        for report in reports:
            await ctx.progress(**report)

    task_id = await bench.submit(bench.kind(job), max_attempts=2)
    await bench.over(task_id)
    await bench.close()
    return bench.data(task_id, "progress")[-1]


async def test_earlier_runs_say_what_is_left_before_there_is_a_rate(tmp_path: Path) -> None:
    told = await _told_after(tmp_path, None, {"message": "warming up"})
    assert told["progress_percent"] is None
    assert told["eta_seconds"] == pytest.approx(100, abs=2)


async def test_earlier_runs_outweigh_the_rate_of_the_first_moment(tmp_path: Path) -> None:
    told = await _told_after(tmp_path, None, {"fraction": 0.5})
    assert told["eta_seconds"] > 90


async def test_when_all_is_done_nothing_is_left(tmp_path: Path) -> None:
    assert (await _told_after(tmp_path, None, {"fraction": 1}))["eta_seconds"] == 0


async def test_what_an_earlier_attempt_has_done_is_not_left(tmp_path: Path) -> None:
    told = await _told_after(tmp_path, "state", {"fraction": 0.75})
    assert told["eta_seconds"] == pytest.approx(25, abs=1)
