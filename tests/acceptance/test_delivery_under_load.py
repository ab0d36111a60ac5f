"""Promise 1 when there is more to say than some will take: floods, cuts, and stalls.

The same on both ways out of the server, and through every door.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.checker import faults
from tests.support.long_polling import long_polling_socket
from tests.support.polling import polling_socket
from tests.support.proxy import SeverableLink, severable_link
from tests.support.server import PLAIN_SERVERS, PlainServer, ServerProcess
from tests.support.streaming import streaming_socket
from tests.support.watcher import Door, Watcher, raw_socket

DOORS: Final[dict[str, Door]] = {
    "websocket": raw_socket,
    "polling": polling_socket,
    "streams": streaming_socket,
    "long polls": long_polling_socket,
}
LINE_CHARS: Final = 6000
"""So much that the shortest stall is longer than all buffers on the way are large."""

both_ways = pytest.mark.parametrize("plain_asgi", [None, *PLAIN_SERVERS])


@dataclass(frozen=True)
class _Load:
    """What is said, and to how many."""

    tasks: int
    steps: int
    pause_s: float
    # Of each door, healthy ones, ones that are cut, and ones that stall.
    watchers: int
    # How long stalls are; after 10 s the server aborts.
    stall_s: tuple[float, float]
    seed: int


@dataclass(frozen=True)
class _Audience:
    """Everybody who watches, by how they fare."""

    healthy: list[Watcher]
    cut: list[Watcher]
    stalled: list[Watcher]

    @property
    def everybody(self) -> list[Watcher]:
        return [*self.healthy, *self.cut, *self.stalled]


async def _watch_under_load(server: ServerProcess, load: _Load) -> None:
    async with _watching(server, load) as (audience, task_ids):
        for watcher in audience.everybody:
            await watcher.until(lambda w: all(w.is_over(task_id) for task_id in w.task_ids), 300)
    await _check(server, task_ids, load, audience)


@asynccontextmanager
async def _watching(
    server: ServerProcess, load: _Load
) -> AsyncIterator[tuple[_Audience, list[str]]]:
    chance = random.Random(load.seed)
    audience = _Audience([], [], [])
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:

        async def behind_a_link(door: Door) -> tuple[Watcher, SeverableLink]:
            link = await stack.enter_async_context(severable_link(server.port, narrow=True))
            return Watcher(link.port, door=door), link

        troubles = []
        for door in DOORS.values():
            for _ in range(load.watchers):
                audience.healthy.append(Watcher(server.port, door=door))
                watcher, link = await behind_a_link(door)
                audience.cut.append(watcher)
                troubles.append(_cut_at_random(link, chance))
                watcher, link = await behind_a_link(door)
                audience.stalled.append(watcher)
                troubles.append(_stall_at_random(link, chance, load.stall_s))
        running = [group.create_task(watcher.run()) for watcher in audience.everybody]
        # Everybody is there when it begins: a flood is over before a slow machine lets them in.
        await _watch(audience.everybody, await asyncio.to_thread(server.create, "iterate"))
        for watcher in audience.everybody:
            await watcher.until(lambda w: all(w.is_over(task_id) for task_id in w.task_ids))
        task_ids = await asyncio.to_thread(_flood, server, load)
        await _watch(audience.everybody, *task_ids)
        running += [group.create_task(trouble) for trouble in troubles]
        yield audience, task_ids
        for task in running:
            task.cancel()


def _flood(server: ServerProcess, load: _Load) -> list[str]:
    params = {"steps": load.steps, "pause_s": load.pause_s, "line_chars": LINE_CHARS}
    return [server.create("flood", **params) for _ in range(load.tasks)]


async def _watch(watchers: Sequence[Watcher], *task_ids: str) -> None:
    for watcher in watchers:
        for task_id in task_ids:
            await watcher.add(task_id)


async def _cut_at_random(link: SeverableLink, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.2, 2))
        link.cut()


async def _stall_at_random(
    link: SeverableLink, chance: random.Random, stall_s: tuple[float, float]
) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.2, 2))
        link.stall()
        await asyncio.sleep(chance.uniform(*stall_s))
        link.flow()


async def _check(
    server: ServerProcess, task_ids: Sequence[str], load: _Load, audience: _Audience
) -> None:
    logs = {task_id: await asyncio.to_thread(server.log_of, task_id) for task_id in task_ids}
    for task_id, log in logs.items():
        assert len(log) == load.steps + 3, task_id
    for watcher in audience.everybody:
        assert watcher.resyncs == []
        assert watcher.errors == []
        for task_id in task_ids:
            assert faults(task_id, logs[task_id], watcher.received[task_id]) == []
    for task_id in task_ids:
        _, snapshot = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}")
        for watcher in audience.everybody:
            assert _newest(watcher, task_id) == {
                key: snapshot["latest"][key] for key in ("progress", "stats")
            }
    assert all(watcher.reconnects > 0 for watcher in audience.cut)
    if load.stall_s[1] > 10:
        assert any(watcher.reconnects > 0 for watcher in audience.stalled)
    # What they had not taken was merged.
    received = sum(_volatile_count(watcher) for watcher in audience.stalled)
    assert received < sum(_volatile_count(watcher) for watcher in audience.healthy)


def _newest(watcher: Watcher, task_id: str) -> dict[str, Any]:
    """The last data of each volatile type but `queue`, which ends when the task starts."""
    return {
        event["event_type"]: event["data"]
        for event in watcher.received[task_id]
        if event["seq"] is None and event["event_type"] != "queue"
    }


def _volatile_count(watcher: Watcher) -> int:
    return sum(event["seq"] is None for events in watcher.received.values() for event in events)


@both_ways
async def test_neither_merging_nor_cuts_nor_stalls_cost_an_event(
    tmp_path: Path, plain_asgi: PlainServer | None
) -> None:
    with ServerProcess(tmp_path / "data", plain_asgi=plain_asgi) as server:
        await _watch_under_load(
            server,
            _Load(
                tasks=6,
                steps=120,
                pause_s=0.04,
                watchers=1,
                stall_s=(1, 3),
                seed=1,
            ),
        )


@pytest.mark.full
@pytest.mark.timeout(900)
@both_ways
async def test_neither_do_they_among_many(tmp_path: Path, plain_asgi: PlainServer | None) -> None:
    with ServerProcess(tmp_path / "data", plain_asgi=plain_asgi) as server:
        await _watch_under_load(
            server,
            _Load(
                tasks=16,
                steps=300,
                pause_s=0.2,
                watchers=3,
                stall_s=(1, 15),
                seed=2,
            ),
        )
