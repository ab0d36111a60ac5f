"""A minute of load: what grows under it, and is left over. `make soak` sees slow growth, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.measuring import Sample, slope_per_min
from tests.soak.soak import Bounds, soak, soak_server

# In its first minute a server fills its caches, by 14 MiB a minute, and under so short a load
# connections and tasks have a slope of ten a minute either way. There are 250 watches a minute, so
# that one connection or asyncio task left over by each is far beyond.
FIRST_MINUTE = Bounds(
    memory_kib_per_min=28 * 1024, descriptors_per_min=30, asyncio_tasks_per_min=60
)


@pytest.mark.timeout(180)
async def test_the_server_does_not_grow_in_a_minute_of_steady_load(tmp_path: Path) -> None:
    with soak_server(tmp_path / "data") as server:
        done = await soak(server, seconds=40, warm_up_s=20, tasks=20, watchers=60, polling_share=0)
    assert done.growth_beyond(FIRST_MINUTE) == []
    assert done.tally.cancelled > 0
    assert done.tally.watches > 60


def test_the_slope_is_the_growth_of_a_minute() -> None:
    samples = [Sample(second, 1000 + 3 * second, 0, 5, 7, 0) for second in range(0, 60, 2)]
    assert slope_per_min(samples, lambda it: it.rss_kib) == pytest.approx(180)
    assert slope_per_min(samples, lambda it: it.descriptors) == pytest.approx(0)
