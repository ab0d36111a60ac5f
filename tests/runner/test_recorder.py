"""The recorder: order, bounds, budgets, and nothing after the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.errors import StoreUnavailable, TaskPushError
from taskpush.models.events import EventType
from taskpush.runner.context import TaskContext
from taskpush.runner.recorder import LOGS_IN_FLIGHT_UNWAITED, LogBudget, Recorder
from taskpush.runner.reporting.reports import (
    LOGS_IN_FLIGHT,
    Iteration,
    LogLine,
    NewArtifact,
    NewCheckpoint,
    Newest,
    log_line,
)
from tests.runner.kinds import Style, handler_for
from tests.runner.workbench import Workbench, every_style


class Desk:
    """A recorder of a running task, with the clock in the test's hand."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.clock = ManualClock()
        self.fenced = 0
        self.task_id = ""

    async def begin(self, **options: Any) -> Recorder:
        self.task_id = await self.bench.create("any")
        start = lifecycle.start(self.bench.store.epoch, self.bench.clock.now())
        await self.bench.store.write(self.task_id, start)
        self.recorder = Recorder(
            self.bench.store,
            self.bench.blobs,
            self.clock,
            task_id=self.task_id,
            attempt=1,
            on_fenced=self._fence,
            **options,
        )
        return self.recorder

    def _fence(self) -> None:
        self.fenced += 1

    async def finish(self) -> None:
        await self.recorder.finish(lifecycle.complete(1, self.bench.clock.now(), result=None))

    def said(self) -> list[str]:
        """The types of all events after the start."""
        return [each["event_type"] for each in self.bench.events(self.task_id)][2:]


@pytest.fixture
async def desk(bench: Workbench) -> AsyncIterator[Desk]:
    desk = Desk(bench)
    yield desk
    desk.recorder.close()


def line(text: str) -> LogLine:
    return log_line(text, "info", {})[0]


def newest(value: Callable[[], int], event_type: EventType = EventType.STATS) -> Newest:
    return Newest(event_type, lambda elapsed_s: {"elapsed_seconds": elapsed_s, "n": value()})


def state(n: int, event_type: EventType = EventType.STATS) -> Newest:
    return newest(lambda: n, event_type)


# -- order ----------------------------------------------------------------------


async def test_logged_reports_are_committed_in_call_order(desk: Desk) -> None:
    recorder = await desk.begin()
    recorder.take(line("a"))
    recorder.take(Iteration({"iteration": 1, "metrics": {}}))
    recorder.take(line("b"))
    await desk.finish()
    assert desk.said() == ["log", "iteration_complete", "log", "status_change"]


async def test_reports_after_the_outcome_are_ignored(desk: Desk) -> None:
    recorder = await desk.begin()
    await desk.finish()
    assert recorder.take(line("late")) is None
    assert recorder.take(Iteration({"iteration": 1, "metrics": {}})) is None
    assert recorder.take(NewArtifact("a", b"", "text/plain")) is None
    recorder.take(state(1))
    assert desk.said() == ["status_change"]


async def test_the_outcome_is_synced_and_waits_for_artifacts(desk: Desk) -> None:
    recorder = await desk.begin()
    recorder.take(NewArtifact("a", b"content", "text/plain"))
    await recorder.drain()
    await desk.finish()
    assert desk.said() == ["artifact", "status_change"]


# -- volatile -------------------------------------------------------------------


async def test_the_first_state_goes_at_once_and_the_next_when_it_is_due(desk: Desk) -> None:
    recorder = await desk.begin(rate_per_s=50)
    for n in range(5):
        recorder.take(state(n))
    assert [each["n"] for each in desk.bench.data(desk.task_id, "stats")] == [0]
    await desk.bench.until(lambda: len(desk.said()) == 2)
    assert desk.bench.data(desk.task_id, "stats")[-1]["n"] == 4


async def test_a_state_that_waits_is_read_when_it_is_sent(desk: Desk) -> None:
    recorder = await desk.begin()
    value = 1
    recorder.take(newest(lambda: value))
    recorder.take(newest(lambda: value))
    value = 2
    await desk.finish()
    assert [each["n"] for each in desk.bench.data(desk.task_id, "stats")] == [1, 2]


async def test_each_type_is_merged_by_itself(desk: Desk) -> None:
    recorder = await desk.begin()
    recorder.take(state(1, EventType.STATS))
    recorder.take(state(2, EventType.PROGRESS))
    assert desk.said() == ["stats", "progress"]


async def test_what_waits_comes_before_the_outcome_and_no_timer_is_left(desk: Desk) -> None:
    recorder = await desk.begin(rate_per_s=1000)
    recorder.take(state(1))
    recorder.take(state(2))
    await desk.finish()
    assert desk.said() == ["stats", "stats", "status_change"]
    await asyncio.sleep(0.01)  # Nothing is to come, though it was due ten times.
    assert desk.said()[-1] == "status_change"


async def test_elapsed_seconds_are_those_of_the_attempt(desk: Desk) -> None:
    recorder = await desk.begin()
    desk.clock.wind(2.5)
    recorder.take(state(1))
    assert desk.bench.data(desk.task_id, "stats")[0]["elapsed_seconds"] == 2.5


async def test_a_state_after_the_interval_goes_at_once(desk: Desk) -> None:
    recorder = await desk.begin()
    recorder.take(state(1))
    desk.clock.wind(0.2)
    recorder.take(state(2))
    assert desk.said() == ["stats", "stats"]


# -- bounds ---------------------------------------------------------------------


async def test_there_is_room_until_a_thousand_log_events_are_in_flight(desk: Desk) -> None:
    recorder = await desk.begin()
    desk.bench.store.flowing.clear()
    for i in range(LOGS_IN_FLIGHT):
        recorder.take(line(f"{i}"))
    assert recorder.room() is None
    recorder.take(line("one more"))
    room = recorder.room()
    assert room is not None
    await asyncio.sleep(0)
    assert not room.done()
    desk.bench.store.flowing.set()
    await room


async def test_what_cannot_wait_is_left_out_beyond_the_bound_and_said_once(desk: Desk) -> None:
    recorder = await desk.begin()
    desk.bench.store.flowing.clear()
    for i in range(LOGS_IN_FLIGHT_UNWAITED + 500):
        recorder.take(line(f"{i}"))
    desk.bench.store.flowing.set()
    await desk.bench.until(lambda: len(desk.bench.logs(desk.task_id)) == LOGS_IN_FLIGHT_UNWAITED)
    recorder.take(line("after"))
    await desk.finish()
    logs = desk.bench.logs(desk.task_id)
    assert logs[-2:] == [
        "500 log records were left out: they could not be stored in time",
        "after",
    ]
    assert len(logs) == LOGS_IN_FLIGHT_UNWAITED + 2


async def test_what_was_left_out_at_the_very_end_is_said_too(desk: Desk) -> None:
    recorder = await desk.begin()
    desk.bench.store.flowing.clear()
    for i in range(LOGS_IN_FLIGHT_UNWAITED + 3):
        recorder.take(line(f"{i}"))
    finishing = asyncio.ensure_future(desk.finish())
    desk.bench.store.flowing.set()
    await finishing
    assert desk.bench.logs(desk.task_id)[-1].startswith("3 log records were left out")


@every_style
async def test_a_handler_waits_when_too_many_log_lines_are_in_flight(
    bench: Workbench, style: Style
) -> None:
    handler = handler_for("chatter", style)
    kind = bench.kind(handler, process=style is Style.PROCESS)
    task_id = await bench.submit(kind, {"count": 3_000})
    await bench.until(lambda: bool(bench.logs(task_id)))
    bench.store.flowing.clear()
    for _ in range(50):
        await asyncio.sleep(0.002)
    held = bench.store._opened().writer._queue
    assert len(held) <= LOGS_IN_FLIGHT + 1
    bench.store.flowing.set()
    await bench.over(task_id)
    assert bench.logs(task_id) == [f"line {i}" for i in range(3_000)]


async def test_a_thread_that_waits_for_room_is_cancelled(bench: Workbench) -> None:
    task_id = await bench.submit(bench.kind(handler_for("chatter", Style.THREAD)), {"count": 9_000})
    await bench.until(lambda: bool(bench.logs(task_id)))
    bench.store.flowing.clear()
    for _ in range(20):
        await asyncio.sleep(0.002)
    bench.runner.cancel(task_id)
    bench.store.flowing.set()
    record = await bench.over(task_id)
    assert record.status == "cancelled"
    assert len(bench.logs(task_id)) < 9_000


# -- the log budget -------------------------------------------------------------


async def test_past_the_budget_one_record_says_how_many_were_left_out(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    await bench.open(log_budget=LogBudget(records=10))

    async def chatty(ctx: TaskContext) -> None:
        for i in range(25):
            await ctx.log(f"{i}")
        await ctx.iteration(1)

    task_id = (await bench.run(chatty)).task_id
    logs = bench.logs(task_id)
    assert logs[:10] == [str(i) for i in range(10)]
    assert logs[10:] == [
        "15 log records were left out: the log budget of 10 records or 67108864 bytes is used up"
    ]
    assert bench.data(task_id, "log")[-1]["fields"] == {"left_out": 15}
    assert len(bench.data(task_id, "iteration_complete")) == 1
    await bench.close()


async def test_the_budget_also_counts_bytes_and_complaints(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    await bench.open(log_budget=LogBudget(size_bytes=1_000))

    async def complaining(ctx: TaskContext) -> None:
        for i in range(100):
            await ctx.iteration(i, {"loss": float("nan")})

    task_id = (await bench.run(complaining)).task_id
    assert len(bench.logs(task_id)) < 20
    assert "left out: the log budget" in bench.logs(task_id)[-1]
    assert len(bench.data(task_id, "iteration_complete")) == 100
    await bench.close()


# -- when the store refuses -----------------------------------------------------


async def test_the_first_refusal_by_the_fence_is_told_once_and_ends_the_recording(
    desk: Desk,
) -> None:
    recorder = await desk.begin()
    ended = lifecycle.interrupt(1, desk.bench.clock.now(), reason="worker_lost", message="m")
    await desk.bench.store.write(desk.task_id, ended)
    first, second = recorder.take(line("a")), recorder.take(line("b"))
    assert first is not None
    assert second is not None
    for each in (first, second):
        with pytest.raises(TaskPushError):
            await each
    assert desk.fenced == 1
    assert recorder.take(line("c")) is None


async def test_a_report_that_cannot_be_committed_raises_where_it_is_awaited(desk: Desk) -> None:
    recorder = await desk.begin()
    desk.bench.store.broken = True
    committed = recorder.take(Iteration({"iteration": 1, "metrics": {}}))
    assert committed is not None
    with pytest.raises(StoreUnavailable):
        await committed
    desk.bench.store.broken = False
    recorder.take(line("again"))
    await desk.finish()
    assert desk.bench.logs(desk.task_id)[0].startswith("1 log records were left out")


async def test_a_store_that_is_closed_under_it_breaks_nothing(desk: Desk) -> None:
    recorder = await desk.begin()
    await desk.bench.store.close()
    committed = recorder.take(line("a"))
    recorder.take(state(1))
    assert committed is not None
    with pytest.raises(StoreUnavailable):
        await committed
    await desk.bench.store.open()


# -- checkpoints ----------------------------------------------------------------


async def test_checkpoints_that_nobody_waits_for_take_effect_in_call_order(
    bench: Workbench,
) -> None:
    desk = Desk(bench)
    recorder = await desk.begin()
    for number in range(5):
        # The first is the slowest to be written.
        recorder.take(NewCheckpoint(b"x" * (5_000_000 - number * 1_000_000), str(number), None))
    await recorder.drain()
    await desk.finish()
    said = bench.data(desk.task_id, "checkpoint")
    assert [each["label"] for each in said] == ["0", "1", "2", "3", "4"]
    record = await bench.record(desk.task_id)
    assert record.checkpoint is not None
    assert record.checkpoint.label == "4"
    content = await bench.blobs.read_checkpoint(desk.task_id, record.checkpoint.sha256)
    assert len(content) == 1_000_000


async def test_a_checkpoint_of_a_replaced_attempt_is_refused_and_the_newer_one_stays(
    bench: Workbench,
) -> None:
    desk = Desk(bench)
    recorder = await desk.begin()
    store, now = bench.store, bench.clock.now()
    kept = recorder.take(NewCheckpoint(b"1", None, None))
    assert kept is not None
    await kept
    await store.write(desk.task_id, lifecycle.interrupt(1, now, reason="r", message="gone"))
    await store.write(desk.task_id, lifecycle.retry(None))
    late = recorder.take(NewCheckpoint(b"2", None, None))
    assert late is not None
    with pytest.raises(asyncio.CancelledError):
        await late
    assert desk.fenced == 1
    last = recorder.take(NewCheckpoint(b"3", None, None))
    assert last is not None
    with pytest.raises(asyncio.CancelledError):
        await last
    record = await bench.record(desk.task_id)
    assert record.checkpoint is not None
    assert await bench.blobs.read_checkpoint(desk.task_id, record.checkpoint.sha256) == b"1"


async def test_a_checkpoint_that_cannot_be_written_is_the_handlers_to_know(
    bench: Workbench,
) -> None:
    desk = Desk(bench)
    recorder = await desk.begin()
    (bench.folder / "checkpoints").write_text("in the way", encoding="utf-8")
    kept = recorder.take(NewCheckpoint(b"1", None, None))
    assert kept is not None
    with pytest.raises(StoreUnavailable):
        await kept
    assert (await bench.record(desk.task_id)).checkpoint is None
