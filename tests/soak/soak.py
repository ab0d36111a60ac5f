"""One soak: a load on a server of its own, measured while it lasts and when it is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.soak.load import Load, Tally
from tests.soak.measuring import Sample, sample, slope_per_min
from tests.support.server import ServerProcess

SAMPLE_EVERY_S = 2.0
STEADY = {
    "keep_tasks_count": "100",
    "keep_spare": "60s",
    "retention_interval_s": "5",
}
"""Settings with which the store does not grow for ever."""


def soak_server(data: Path) -> ServerProcess:
    """A server for a soak, not yet started."""
    return ServerProcess(data, app="tests.soak.app:push", settings=STEADY)


@dataclass(frozen=True)
class Bounds:
    """What the server may grow by, under the load and over it."""

    memory_kib_per_min: float
    # Connections and tasks come and go, so it is never quite flat.
    descriptors_per_min: float
    asyncio_tasks_per_min: float
    # At rest, before the load and after it.
    descriptors: int = 8
    asyncio_tasks: int = 6


@dataclass
class Soak:
    """What was measured."""

    tally: Tally
    before: Sample
    after: Sample
    # Under the load, after the warm-up.
    samples: list[Sample]

    @property
    def rss_kib_per_min(self) -> float:
        return slope_per_min(self.samples, lambda it: it.rss_kib)

    @property
    def own_kib_per_min(self) -> float:
        return slope_per_min(self.samples, lambda it: it.rss_kib - it.sqlite_kib)

    @property
    def descriptors_per_min(self) -> float:
        return slope_per_min(self.samples, lambda it: it.descriptors)

    @property
    def asyncio_tasks_per_min(self) -> float:
        return slope_per_min(self.samples, lambda it: it.asyncio_tasks)

    def growth_beyond(self, bounds: Bounds) -> list[str]:
        """Whatever grew by more than it may."""
        grown = {
            "memory, KiB a minute": (self.rss_kib_per_min, bounds.memory_kib_per_min),
            "file descriptors a minute": (self.descriptors_per_min, bounds.descriptors_per_min),
            "asyncio tasks a minute": (self.asyncio_tasks_per_min, bounds.asyncio_tasks_per_min),
            "file descriptors at rest": (
                self.after.descriptors - self.before.descriptors,
                bounds.descriptors,
            ),
            "asyncio tasks at rest": (
                self.after.asyncio_tasks - self.before.asyncio_tasks,
                bounds.asyncio_tasks,
            ),
        }
        return [f"{it}: {by:.1f}, {to} allowed" for it, (by, to) in grown.items() if by > to]


async def soak(
    server: ServerProcess,
    *,
    seconds: float,
    warm_up_s: float,
    tasks: int = 50,
    watchers: int = 200,
    polling_share: float = 0.1,
    say: Callable[[str], None] = lambda line: None,
) -> Soak:
    """Keep the load up for so many seconds after the warm-up, and measure."""
    before = await sample(server)
    load = Load(
        server, tasks=tasks, watchers=watchers, polling_share=polling_share, chance=random.Random(4)
    )
    loading = asyncio.create_task(load.run())
    await _for(warm_up_s, loading)
    samples = []
    ends_at = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends_at:
        samples.append(await sample(server))
        say(_line(samples[-1], samples[0].at_s))
        await _for(SAMPLE_EVERY_S, loading)
    loading.cancel()
    await asyncio.wait([loading])
    return Soak(load.tally, before, await _at_rest(server, polling=polling_share > 0), samples)


async def _for(seconds: float, loading: asyncio.Task[None]) -> None:
    """Let the load go on; raises what ended it."""
    done, _ = await asyncio.wait([loading], timeout=seconds)
    if done:
        await loading


async def _at_rest(server: ServerProcess, *, polling: bool) -> Sample:
    """End what still runs, and wait until no connection is open."""
    async with asyncio.timeout(60):
        while (running := await _running(server)) or server.peer_ports:
            for task_id in running:
                await asyncio.to_thread(server.call, "POST", f"/api/tasks/{task_id}/cancel")
            await asyncio.sleep(0.5)
    # A session that polled and went without a goodbye is given up after 45 s.
    await asyncio.sleep(50 if polling else 1)
    return await sample(server)


async def _running(server: ServerProcess) -> list[str]:
    _, page = await asyncio.to_thread(server.call, "GET", "/api/tasks?status=running")
    return [item["task_id"] for item in page["items"]]


def _line(it: Sample, began_s: float) -> str:
    return (
        f"{it.at_s - began_s:6.0f} s  {it.rss_kib / 1024:7.1f} MiB"
        f"  {it.sqlite_kib / 1024:5.1f} of SQLite"
        f"  {it.descriptors:4} descriptors  {it.asyncio_tasks:4} asyncio tasks"
        f"  {it.objects:7} objects"
    )
