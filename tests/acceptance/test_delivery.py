"""Promise 1 over real sockets, cut at random: exactly the log, in order, the end once and last."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support.checker import faults
from tests.support.proxy import SeverableLink, severable_link
from tests.support.server import ServerProcess
from tests.support.watcher import Watcher

TASKS_PER_WATCHER = 10


async def _watch_through_cuts(
    server: ServerProcess, *, tasks: int, iterations: int, subscribers: int, seed: int
) -> None:
    chance = random.Random(seed)
    async with severable_link(server.port) as link, asyncio.TaskGroup() as group:
        task_ids = [
            await asyncio.to_thread(
                server.create, "iterate", iterations=iterations, pause_s=0.02, log_every=10
            )
            for _ in range(tasks)
        ]
        watchers = [
            Watcher(link.port, task_ids[first : first + TASKS_PER_WATCHER])
            for first in range(0, tasks, TASKS_PER_WATCHER)
            for _ in range(subscribers)
        ]
        running = [group.create_task(watcher.run()) for watcher in watchers]
        cutting = group.create_task(_cut_at_random(link, chance))
        for watcher in watchers:
            await watcher.until(lambda w: all(w.is_over(task_id) for task_id in w.task_ids), 300)
        cutting.cancel()
        for task in running:
            task.cancel()
        assert sum(watcher.reconnects for watcher in watchers) >= 3
    logs = {task_id: await asyncio.to_thread(server.log_of, task_id) for task_id in task_ids}
    for task_id, log in logs.items():
        assert len(log) == iterations + iterations // 10 + 3, task_id
    for watcher in watchers:
        assert watcher.resyncs == []
        assert watcher.errors == []
        for task_id in watcher.task_ids:
            assert faults(task_id, logs[task_id], watcher.received[task_id]) == []


async def _cut_at_random(link: SeverableLink, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        link.cut(chance, share=0.2)


async def test_links_cut_at_random_cost_no_event(shared_server: ServerProcess) -> None:
    await _watch_through_cuts(shared_server, tasks=20, iterations=100, subscribers=3, seed=1)


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_a_hundred_tasks_with_five_subscribers_each(server: ServerProcess) -> None:
    await _watch_through_cuts(server, tasks=100, iterations=182, subscribers=5, seed=2)


async def test_whoever_comes_after_the_end_sees_everything(shared_server: ServerProcess) -> None:
    task_id = await asyncio.to_thread(shared_server.create, "iterate", iterations=300)
    await asyncio.to_thread(shared_server.wait_over, task_id)
    watcher = Watcher(shared_server.port, [task_id])
    running = asyncio.create_task(watcher.run())
    await watcher.until(lambda w: w.is_over(task_id))
    running.cancel()
    log = await asyncio.to_thread(shared_server.log_of, task_id)
    assert faults(task_id, log, watcher.received[task_id]) == []
    volatile = [event for event in watcher.received[task_id] if event["seq"] is None]
    assert [event["data"]["progress_percent"] for event in volatile] == [100.0]


async def test_a_stalled_watcher_does_not_hold_up_another(shared_server: ServerProcess) -> None:
    async with severable_link(shared_server.port) as link:
        task_id = await asyncio.to_thread(
            shared_server.create, "iterate", iterations=3000, pause_s=0.001
        )
        stalled, healthy = Watcher(link.port, [task_id]), Watcher(shared_server.port, [task_id])
        running = [asyncio.create_task(w.run()) for w in (stalled, healthy)]
        await stalled.until(lambda w: len(w.received[task_id]) > 10)
        link.stall()
        await healthy.until(lambda w: w.is_over(task_id))
        assert not stalled.is_over(task_id)
        link.flow()
        await stalled.until(lambda w: w.is_over(task_id))
        for task in running:
            task.cancel()
    log = await asyncio.to_thread(shared_server.log_of, task_id)
    assert faults(task_id, log, stalled.received[task_id]) == []
    assert faults(task_id, log, healthy.received[task_id]) == []
