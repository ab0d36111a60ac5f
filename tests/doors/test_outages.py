"""The network gone, the client frozen, the server restarted: complete and in order afterwards."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.doors.subjects import CHOOSING, THROUGH_EVERY_DOOR, Subject, Watching, faults, watching
from tests.support.proxy import severable_link
from tests.support.server import ServerProcess

EVENTS = 200
LONG = [pytest.mark.full, pytest.mark.timeout(400)]
Pairs = list[tuple[Subject, str]]
EVERYBODY = [*THROUGH_EVERY_DOOR, *CHOOSING]
# A browser runs the code that Node does, and costs ten times as much.
MOST = [pair for pair in EVERYBODY if pair[0].name != "typescript-chromium" or pair[1] == "auto"]


async def all_watching(
    stack: AsyncExitStack, pairs: Pairs, url: str, task_id: str
) -> list[Watching]:
    """The programs through their doors, at once."""
    return [await stack.enter_async_context(watching(*pair, url, task_id)) for pair in pairs]


async def until_under_way(watches: list[Watching]) -> None:
    """Until each has seen some iterations."""
    await asyncio.gather(*(watch.until(lambda seen: len(seen.logged) >= 10) for watch in watches))


async def finish(server: ServerProcess, task_id: str, watches: list[Watching]) -> None:
    """To the end, where each has to have seen everything."""
    await asyncio.gather(*(watch.finish(120) for watch in watches))
    log = server.log_of(task_id)
    for watch in watches:
        assert faults(watch.items, log) == []
        assert watch.outcome == {"ended": log[-1]["data"]["status"]}


@pytest.mark.parametrize(
    ("gone_s", "pause_s", "pairs"),
    [(2, 0.04, MOST), pytest.param(60, 0.5, EVERYBODY, marks=LONG)],
    ids=["short", "long"],
)
async def test_the_network_is_gone_in_the_middle(
    server: ServerProcess, gone_s: float, pause_s: float, pairs: Pairs
) -> None:
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(severable_link(server.port))
        task_id = await asyncio.to_thread(
            server.create, "iterate", iterations=EVENTS, pause_s=pause_s
        )
        watches = await all_watching(stack, pairs, link.url, task_id)
        await until_under_way(watches)
        # Nothing is said any more; then, what was open is no more, and nothing can be opened.
        link.stall()
        link.refusing = True
        await asyncio.sleep(gone_s / 2)  # The outage is what is tested.
        link.cut()
        await asyncio.sleep(gone_s / 2)
        link.flow()
        link.refusing = False
        await finish(server, task_id, watches)


@pytest.mark.parametrize(
    ("frozen_s", "pause_s", "pairs"),
    [(2, 0.04, MOST), pytest.param(90, 0.5, EVERYBODY, marks=LONG)],
    ids=["short", "long"],
)
async def test_the_client_is_frozen_as_in_a_laptop_that_sleeps(
    server: ServerProcess, frozen_s: float, pause_s: float, pairs: Pairs
) -> None:
    async with AsyncExitStack() as stack:
        task_id = await asyncio.to_thread(
            server.create, "iterate", iterations=EVENTS, pause_s=pause_s
        )
        watches = await all_watching(stack, pairs, server.url, task_id)
        await until_under_way(watches)
        for watch in watches:
            watch.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(frozen_s)  # The sleep is what is tested.
        for watch in watches:
            watch.process.send_signal(signal.SIGCONT)
        await finish(server, task_id, watches)


@pytest.mark.parametrize(
    "pairs", [MOST, pytest.param(EVERYBODY, marks=LONG)], ids=["most", "everybody"]
)
async def test_the_server_is_killed_and_comes_back_on_the_same_port(
    tmp_path: Path, pairs: Pairs
) -> None:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(ServerProcess(tmp_path / "data"))
        task_id = await asyncio.to_thread(server.create, "iterate", iterations=10_000, pause_s=0.02)
        watches = await all_watching(stack, pairs, server.url, task_id)
        await until_under_way(watches)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await finish(server, task_id, watches)
        assert server.log_of(task_id)[-1]["data"]["status"] == "interrupted"
