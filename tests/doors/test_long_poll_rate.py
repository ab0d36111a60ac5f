"""How often a client asks that watches by long poll: what comes thick and fast comes together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.doors.subjects import SUBJECTS, Subject, faults, watching
from tests.support.nginx import PASSES, nginx
from tests.support.server import ServerProcess

POLLS_PER_S = 4
WATCHED_S = 2
ASYNCHRONOUS = [one for one in SUBJECTS if one.name in {"python-async", "typescript-node"}]


@pytest.mark.parametrize("subject", ASYNCHRONOUS, ids=lambda subject: subject.name)
async def test_however_much_happens_it_asks_four_times_a_second(
    server: ServerProcess, tmp_path: Path, subject: Subject
) -> None:
    with nginx(tmp_path / "nginx", server.port, PASSES) as proxy:
        params = {"iterations": 20 * WATCHED_S, "pause_s": 0.05}
        task_id = await asyncio.to_thread(server.create, "iterate", **params)
        async with watching(subject, "long_poll", proxy.url, task_id) as watch:
            await watch.finish()
        waited = [request for request in proxy.requests if "wait_s=" in request]
    assert faults(watch.items, server.log_of(task_id)) == []
    watched_s = watch.came_at[-1] - watch.came_at[0]
    assert 0 < len(waited) <= watched_s * POLLS_PER_S + 2
