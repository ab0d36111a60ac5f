"""Promise 1 over Server-Sent Events: cut five hundred times, over a killed server, and stopped."""

from __future__ import annotations

import asyncio
import random

from tests.support.checker import faults, kept
from tests.support.proxy import SeverableLink, severable_link
from tests.support.server import ServerProcess
from tests.support.stream import FeedStreamWatcher, StreamWatcher, raw_stream

CUTS = 500
TASKS = 8
WATCHERS_PER_TASK = 3


async def _create(server: ServerProcess, *, iterations: int, pause_s: float) -> str:
    return await asyncio.to_thread(
        lambda: server.create("iterate", iterations=iterations, pause_s=pause_s, log_every=10)
    )


async def _check(server: ServerProcess, watchers: list[StreamWatcher]) -> None:
    for watcher in watchers:
        log = await asyncio.to_thread(server.log_of, watcher.task_id)
        assert watcher.resyncs == []
        assert faults(watcher.task_id, log, watcher.received) == []


async def test_five_hundred_cuts_cost_no_event(server: ServerProcess) -> None:
    chance = random.Random(5)
    async with severable_link(server.port) as link, asyncio.TaskGroup() as group:
        task_ids = [await _create(server, iterations=1500, pause_s=0.005) for _ in range(TASKS)]
        watchers = [StreamWatcher(link.port, each) for each in task_ids * WATCHERS_PER_TASK]
        running = [group.create_task(watcher.run()) for watcher in watchers]
        await _cut(link, chance, running)
        async with asyncio.timeout(60):
            await asyncio.wait(running)
    assert link.cuts >= CUTS
    assert sum(watcher.reconnects for watcher in watchers) > CUTS
    await _check(server, watchers)


async def _cut(
    link: SeverableLink, chance: random.Random, running: list[asyncio.Task[None]]
) -> None:
    while link.cuts < CUTS:
        await asyncio.sleep(chance.uniform(0, 0.03))
        link.cut(chance, share=0.2)
        assert not all(task.done() for task in running), f"over after {link.cuts} cuts"


async def test_streams_go_on_where_they_were_when_the_server_was_killed(
    server: ServerProcess,
) -> None:
    task_id = await asyncio.to_thread(lambda: server.create("stepwise", steps=60, pause_s=0.03))
    watcher = StreamWatcher(server.port, task_id)
    running = asyncio.create_task(watcher.run())
    for seq in (20, 50):
        await watcher.until_seq(seq)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    async with asyncio.timeout(60):
        await running
    watcher.received = kept(watcher.received)
    await _check(server, [watcher])
    assert watcher.received[-1]["attempt"] == 3


async def test_a_server_that_stops_tells_how_the_task_was_left_and_ends_the_stream(
    server: ServerProcess,
) -> None:
    task_id = await asyncio.to_thread(server.create, "sleep")
    async with raw_stream(server.port, f"/api/tasks/{task_id}/stream") as stream:
        assert stream.status == 200
        began = asyncio.get_running_loop().time()
        assert await asyncio.to_thread(server.stop) == 0
        took_s = asyncio.get_running_loop().time() - began
        last = (await stream.events())[-1].data["data"]
    assert (last["status"], last["reason"]) == ("interrupted", "server_stopped")
    # A stream that held up the stop would be cancelled after two seconds.
    assert "timeout graceful shutdown exceeded" not in server.log
    assert took_s < 10


async def test_every_task_of_a_feed_is_in_its_last_state_after_any_cut(
    server: ServerProcess,
) -> None:
    chance, tasks = random.Random(7), 300
    async with severable_link(server.port) as link, asyncio.TaskGroup() as group:
        watchers = [FeedStreamWatcher(link.port) for _ in range(5)]
        running = [group.create_task(watcher.run()) for watcher in watchers]
        for watcher in watchers:
            await watcher.until(lambda view: view.cursor is not None)
        cutting = group.create_task(_cut_for_ever(link, chance))
        batch = {
            "tasks": [{"kind": "iterate", "params": {"iterations": 10, "pause_s": 0.1}}] * tasks
        }
        status, _ = await asyncio.to_thread(server.call, "POST", "/api/tasks/batch", batch)
        assert status == 201
        for watcher in watchers:
            await watcher.until(lambda view: view.over == tasks)
        cutting.cancel()
        for task in running:
            task.cancel()
    assert link.cuts > 20
    for watcher in watchers:
        assert watcher.reconnects > 3
        assert watcher.view.resets == 0
        assert {task["status"] for task in watcher.view.tasks.values()} == {"completed"}


async def _cut_for_ever(link: SeverableLink, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0, 0.1))
        link.cut(chance, share=0.3)
