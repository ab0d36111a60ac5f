"""What connections cost that only listen."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.attacks import raw
from tests.soak.measuring import sample
from tests.support.server import ServerProcess

FIRST: Final = 200
"""What many need once, such as larger tables, is no cost of one more."""
MORE: Final = 1000
MOST_KIB: Final = 26
"""Node's server takes as much; measured here: 17 (docs/explanation/performance.md)."""


def _listen(server: ServerProcess, task_id: str, count: int, stack: ExitStack) -> None:
    """So many WebSockets that watch the task."""
    for _ in range(count):
        peer = stack.enter_context(raw.peer(server.port)).join()
        peer.say(f'42/tasks,["subscribe",{{"task_id":"{task_id}","after":"now"}}]')
        while not peer.packet().startswith('42/tasks,["subscribed"'):
            pass


async def test_who_only_listens_takes_little_memory_and_no_task(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "data", app="tests.soak.app:push") as server,
        ExitStack() as stack,
    ):
        task_id = server.create("sleep")
        await asyncio.to_thread(_listen, server, task_id, FIRST, stack)
        before = await sample(server)
        await asyncio.to_thread(_listen, server, task_id, MORE, stack)
        after = await sample(server)
    each_kib = (after.rss_kib - before.rss_kib) / MORE
    print(f"\n{each_kib:.1f} KiB for each of {MORE} connections")
    assert after.descriptors - before.descriptors < MORE + 8
    assert after.asyncio_tasks - before.asyncio_tasks < 5
    assert each_kib < MOST_KIB
