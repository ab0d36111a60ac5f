"""What the server's process holds, over time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.server import ServerProcess


@dataclass(frozen=True)
class Sample:
    """What the server held at one moment."""

    at_s: float
    rss_kib: float
    # Of these SQLite's, whose page caches fill up to a size that is set.
    sqlite_kib: float
    descriptors: int
    asyncio_tasks: int
    objects: int


async def sample(server: ServerProcess) -> Sample:
    """Take one, by a task of the kind `census` for what only the process itself knows."""
    task_id = await asyncio.to_thread(server.create, "census")
    await asyncio.to_thread(server.wait_over, task_id)
    _, answer = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}/result")
    return Sample(
        time.monotonic(),
        server.rss_bytes / 1024,
        answer["result"]["sqlite_bytes"] / 1024,
        server.descriptors,
        answer["result"]["asyncio_tasks"],
        answer["result"]["objects"],
    )


def slope_per_min(samples: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    """How much `value` grows a minute, by least squares."""
    times = [it.at_s / 60 for it in samples]
    values = [value(it) for it in samples]
    mean_time, mean_value = sum(times) / len(times), sum(values) / len(values)
    together = sum((t - mean_time) * (v - mean_value) for t, v in zip(times, values, strict=True))
    return together / sum((t - mean_time) ** 2 for t in times)
