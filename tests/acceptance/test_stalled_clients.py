"""Those who stop reading: what they cost, who goes first, and that they miss nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.checker import faults
from tests.support.proxy import severable_link
from tests.support.server import PlainServer, ServerProcess
from tests.support.watcher import Watcher, raw_socket

STALLED_AFTER_S: Final = 10.0
LINE_CHARS: Final = 12_000
MB: Final = 1_000_000

both_ways = pytest.mark.parametrize("plain_asgi", [None, "uvicorn"], ids=["wire", "asgi"])


@asynccontextmanager
async def _running(watchers: Sequence[Watcher]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(watcher.run()) for watcher in watchers]
        yield
        for task in running:
            task.cancel()


async def _until(condition: Callable[[], bool], within_s: float) -> None:
    """Until it holds of another process, which nobody tells of."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _flood(server: ServerProcess, *, steps: int, pause_s: float) -> str:
    params = {"steps": steps, "pause_s": pause_s, "line_chars": LINE_CHARS}
    return await asyncio.to_thread(server.create, "flood", **params)


async def _all_over(watchers: Sequence[Watcher], task_id: str, within_s: float = 120) -> None:
    async with asyncio.timeout(within_s):
        for watcher in watchers:
            await watcher.until(lambda w: w.is_over(task_id), within_s)


async def _check(server: ServerProcess, task_id: str, watchers: Sequence[Watcher]) -> None:
    log = await asyncio.to_thread(server.log_of, task_id)
    for watcher in watchers:
        assert watcher.resyncs == []
        assert watcher.errors == []
        assert faults(task_id, log, watcher.received[task_id]) == []


async def _stall_some(server: ServerProcess, *, clients: int, stalled: int, max_mb: float) -> None:
    """Some of them stall while others go on, and come back: `max_mb` is what they may cost."""
    async with severable_link(server.port, narrow=True) as link:
        standing = [Watcher(link.port) for _ in range(stalled)]
        healthy = [Watcher(server.port) for _ in range(clients - stalled)]
        everybody = [*standing, *healthy]
        async with _running(everybody):
            # Once with nobody stalled: what the server needs for so many is not what is asked.
            await _watch_one(server, everybody, await _flood(server, steps=5, pause_s=0.02))
            before = server.rss_bytes
            task_id = await _flood(server, steps=100, pause_s=0.05)
            await _add(everybody, task_id)
            link.stall()
            peak = await _peak_until(server, _all_over(healthy, task_id))
            cost_mb = (peak - before) / MB
            print(f"{stalled} stalled of {clients}: {cost_mb:.1f} MB")
            assert not any(watcher.is_over(task_id) for watcher in standing)
            if not server.plain_asgi:
                gone = link.upstream_ports
                await _until(lambda: not server.peer_ports & gone, STALLED_AFTER_S + 10)
            link.flow()
            await _all_over(standing, task_id)
        await _check(server, task_id, everybody)
    assert cost_mb < max_mb


async def _peak_until(server: ServerProcess, over: Coroutine[None, None, None]) -> int:
    """The most memory that the server has had until `over` is done."""
    waiting = asyncio.create_task(over)
    peak = server.rss_bytes
    while not waiting.done():
        await asyncio.wait([waiting], timeout=0.2)
        peak = max(peak, server.rss_bytes)
    await waiting
    return peak


async def _watch_one(server: ServerProcess, watchers: Sequence[Watcher], task_id: str) -> None:
    await _add(watchers, task_id)
    await _all_over(watchers, task_id)


async def _add(watchers: Sequence[Watcher], task_id: str) -> None:
    for watcher in watchers:
        await watcher.add(task_id)
    for watcher in watchers:
        await watcher.until(lambda w: bool(w.received[task_id]))


@both_ways
async def test_stalled_clients_cost_little_and_come_back_to_everything(
    tmp_path: Path, plain_asgi: PlainServer | None
) -> None:
    with ServerProcess(tmp_path / "data", plain_asgi=plain_asgi) as server:
        await _stall_some(server, clients=200, stalled=20, max_mb=30)


@pytest.mark.full
@pytest.mark.timeout(600)
@both_ways
async def test_a_hundred_stalled_clients_of_a_thousand(
    tmp_path: Path, plain_asgi: PlainServer | None
) -> None:
    with ServerProcess(tmp_path / "data", plain_asgi=plain_asgi) as server:
        await _stall_some(server, clients=1000, stalled=100, max_mb=50)


async def test_beyond_the_budget_of_all_those_go_first_that_stand_still_longest(
    tmp_path: Path,
) -> None:
    with ServerProcess(tmp_path / "data", settings={"outboxes_bytes": "2MB"}) as server:
        task_id = await _flood(server, steps=400, pause_s=0.02)
        async with (
            severable_link(server.port, narrow=True) as one,
            severable_link(server.port, narrow=True) as other,
        ):
            first = [Watcher(one.port, [task_id]) for _ in range(4)]
            second = [Watcher(other.port, [task_id]) for _ in range(4)]
            healthy = Watcher(server.port, [task_id])
            everybody = [*first, *second, healthy]
            async with _running(everybody):
                for watcher in everybody:
                    await watcher.until(lambda w: len(w.received[task_id]) > 5)
                slowest, slow = one.upstream_ports, other.upstream_ports
                one.stall()
                began = time.monotonic()
                # Four of them are within the budget, and eight are not.
                await asyncio.sleep(3)
                assert slowest <= server.peer_ports
                other.stall()
                await _until(lambda: not slowest <= server.peer_ports, 10)
                assert time.monotonic() - began < STALLED_AFTER_S
                assert slow <= server.peer_ports
                one.flow()
                other.flow()
                await _all_over(everybody, task_id)
        assert healthy.reconnects == 0
        assert any(watcher.reconnects for watcher in first)
        assert not any(watcher.reconnects for watcher in second)
        await _check(server, task_id, everybody)


async def test_clients_are_told_what_may_wait_for_them(tmp_path: Path) -> None:
    settings = {"outbox_bytes": "64KiB", "outboxes_bytes": "16MiB"}
    with ServerProcess(tmp_path / "data", settings=settings) as server:
        async with raw_socket(server.port) as socket:
            name, greeting = await socket.event()
            assert name == "connected"
            assert greeting["limits"]["outbox_bytes"] == 64 * 1024
            assert greeting["limits"]["outboxes_bytes"] == 16 * 1024**2
            assert greeting["limits"]["packets_at_once"] == 512
            assert greeting["limits"]["packets_per_s"] == 100
