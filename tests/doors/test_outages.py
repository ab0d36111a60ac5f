"""The network gone, the client frozen, the server restarted: complete and in order afterwards."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.doors.subjects import (
    CHOOSING,
    SUBJECTS,
    THROUGH_EVERY_DOOR,
    Subject,
    Watching,
    faults,
    watching,
)
from tests.support.proxy import severable_link
from tests.support.server import ServerProcess

EVENTS = 200
GOES_ON = 100_000
"""Iterations of a task that is cancelled when everybody has seen enough of it."""
EVERYBODY = [*THROUGH_EVERY_DOOR, *CHOOSING]
SOME = [*(pair for pair in THROUGH_EVERY_DOOR if pair[0] is SUBJECTS[0]), *CHOOSING]
"""Each door once, and each program as it chooses: everybody takes a browser for each door."""


async def start(
    stack: AsyncExitStack, pairs: list[tuple[Subject, str]], url: str, task_id: str
) -> list[Watching]:
    """The programs through their doors, at once."""
    return [await stack.enter_async_context(watching(*pair, url, task_id)) for pair in pairs]


async def until_seen(watches: list[Watching], events: int, within_s: float = 60) -> None:
    """Until each has seen so many."""
    await asyncio.gather(
        *(watch.until(lambda seen: len(seen.logged) >= events, within_s) for watch in watches)
    )


async def cancel(server: ServerProcess, task_id: str) -> None:
    status, answer = await asyncio.to_thread(
        server.call, "POST", f"/api/tasks/{task_id}/cancel", {}
    )
    assert status == 202, answer


async def finish(server: ServerProcess, task_id: str, watches: list[Watching]) -> None:
    """To the end, where each has to have seen everything."""
    await asyncio.gather(*(watch.finish(120) for watch in watches))
    log = server.log_of(task_id)
    for watch in watches:
        assert faults(watch.items, log) == []
        assert watch.outcome == {"ended": log[-1]["data"]["status"]}


@pytest.mark.parametrize(
    ("pairs", "gone_s", "pause_s"),
    [
        (SOME, 2, 0.04),
        pytest.param(EVERYBODY, 60, 0.5, marks=[pytest.mark.full, pytest.mark.timeout(400)]),
    ],
    ids=["short", "long"],
)
async def test_the_network_is_gone_in_the_middle(
    server: ServerProcess, pairs: list[tuple[Subject, str]], gone_s: float, pause_s: float
) -> None:
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(severable_link(server.port))
        task_id = await asyncio.to_thread(
            server.create, "iterate", iterations=GOES_ON, pause_s=pause_s
        )
        watches = await start(stack, pairs, link.url, task_id)
        await until_seen(watches, 10)
        # Nothing is said any more; then, what was open is no more, and nothing can be opened.
        link.stall()
        link.refusing = True
        await asyncio.sleep(gone_s / 2)  # The outage is what is tested.
        link.cut()
        await asyncio.sleep(gone_s / 2)
        link.flow()
        link.refusing = False
        await until_seen(watches, EVENTS, 200)
        await cancel(server, task_id)
        await finish(server, task_id, watches)


@pytest.mark.parametrize(
    ("pairs", "frozen_s", "pause_s"),
    [
        (SOME, 2, 0.04),
        pytest.param(EVERYBODY, 90, 0.5, marks=[pytest.mark.full, pytest.mark.timeout(400)]),
    ],
    ids=["short", "long"],
)
async def test_the_client_is_frozen_as_in_a_laptop_that_sleeps(
    server: ServerProcess, pairs: list[tuple[Subject, str]], frozen_s: float, pause_s: float
) -> None:
    async with AsyncExitStack() as stack:
        task_id = await asyncio.to_thread(
            server.create, "iterate", iterations=GOES_ON, pause_s=pause_s
        )
        watches = await start(stack, pairs, server.url, task_id)
        await until_seen(watches, 10)
        for watch in watches:
            watch.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(frozen_s)  # The sleep is what is tested.
        for watch in watches:
            watch.process.send_signal(signal.SIGCONT)
        await until_seen(watches, EVENTS, 200)
        await cancel(server, task_id)
        await finish(server, task_id, watches)


async def test_the_server_is_killed_and_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(ServerProcess(tmp_path / "data"))
        task_id = await asyncio.to_thread(
            server.create, "iterate", iterations=GOES_ON, pause_s=0.02
        )
        watches = await start(stack, SOME, server.url, task_id)
        await until_seen(watches, 10)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await finish(server, task_id, watches)
        assert server.log_of(task_id)[-1]["data"]["status"] == "interrupted"
