"""A blocked loop is noticed while it is blocked, once, and the handler is named."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from taskpush.runner.context import TaskContext
from taskpush.runner.watchdog import Watchdog
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import LoopBlocked, TelemetryEvent
from tests.runner.workbench import Workbench

PATIENCE_S = 5.0


class Listener:
    """Telemetry that says when, in the thread's time, it was told."""

    def __init__(self) -> None:
        self.told: list[LoopBlocked] = []
        self.heard = threading.Event()

    def __call__(self, event: TelemetryEvent) -> None:
        if isinstance(event, LoopBlocked):
            self.told.append(event)
            self.heard.set()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    watchdog = Watchdog(Telemetry(listener))
    watchdog.start()
    yield listener
    watchdog.stop()


async def test_a_blocking_handler_is_named_within_a_second_while_it_blocks(
    bench: Workbench, listener: Listener
) -> None:
    noticed_after_s: list[float] = []

    async def blocking(ctx: TaskContext) -> None:
        began = time.monotonic()
        if listener.heard.wait(PATIENCE_S):  # blocks until it is noticed
            noticed_after_s.append(time.monotonic() - began)

    record = await bench.run(blocking)
    (told,) = listener.told
    assert (told.kind, told.task_id) == ("blocking", record.task_id)
    assert 0.25 <= told.blocked_s < 1
    assert noticed_after_s[0] < 1
    assert re.fullmatch(r".*threading\.py:\d+ \S*wait", told.where)


async def test_a_task_that_the_handler_started_is_named_as_its_handler(
    bench: Workbench, listener: Listener
) -> None:
    async def part() -> None:
        listener.heard.wait(PATIENCE_S)

    async def spawning(ctx: TaskContext) -> None:
        await asyncio.create_task(asyncio.wait_for(part(), 60))

    record = await bench.run(spawning)
    assert [(each.kind, each.task_id) for each in listener.told] == [("spawning", record.task_id)]


async def test_whatever_else_blocks_is_shown_by_its_place(listener: Listener) -> None:
    listener.heard.wait(PATIENCE_S)
    (told,) = listener.told
    assert (told.kind, told.task_id) == (None, None)
    assert "wait" in told.where


async def test_one_blockage_is_told_once_and_the_next_one_again(listener: Listener) -> None:
    for _ in range(2):
        listener.heard.clear()
        assert listener.heard.wait(PATIENCE_S)
        time.sleep(0.5)  # noqa: ASYNC251 - the same blockage goes on
        await asyncio.sleep(0.3)  # The loop turns, long enough to be found alive.
    assert len(listener.told) == 2


async def test_a_loop_that_turns_is_left_alone(listener: Listener) -> None:
    for _ in range(40):
        await asyncio.sleep(0.01)
    assert listener.told == []


async def test_nothing_is_told_after_the_stop() -> None:
    listener = Listener()
    watchdog = Watchdog(Telemetry(listener))
    watchdog.start()
    watchdog.stop()
    time.sleep(0.5)  # noqa: ASYNC251 - a blockage that nobody watches
    await asyncio.sleep(0)
    assert listener.told == []


def test_the_thread_ends_with_its_loop() -> None:
    async def briefly() -> None:
        Watchdog(Telemetry()).start()

    asyncio.run(briefly())
    deadline = time.monotonic() + PATIENCE_S
    while _threads("taskpush watchdog") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _threads("taskpush watchdog")


@pytest.mark.parametrize("work", ["loop", "uvloop"])
def test_it_works_on_either_loop(work: str, tmp_path: Path) -> None:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if work == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    async def scenario() -> list[LoopBlocked]:
        listener, bench = Listener(), Workbench(tmp_path)
        watchdog = Watchdog(Telemetry(listener))
        watchdog.start()
        await bench.open()

        async def part() -> None:
            listener.heard.wait(PATIENCE_S)

        async def blocking(ctx: TaskContext) -> None:
            await asyncio.gather(part(), asyncio.sleep(0))

        await bench.run(blocking)
        await bench.close()
        watchdog.stop()
        return listener.told

    with asyncio.Runner(loop_factory=factory) as runner:
        (told,) = runner.run(scenario())
    assert told.kind == "blocking"


def _threads(name: str) -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == name]
