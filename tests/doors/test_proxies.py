"""Proxies that let a door not pass: the watch goes on through the next one, and misses nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from taskpush.client import AsyncClient, ConnectionState, ConnectionStatus, opening
from taskpush.client.door import LinkFailed
from taskpush.client.socket_link import open_socket
from tests.doors.subjects import CHOOSING, Subject, faults, named, watching
from tests.support import checker
from tests.support.nginx import (
    BUFFERS,
    BUFFERS_AND_CUTS,
    DROPS_UPGRADE,
    PASSES,
    REFUSES_UPGRADE,
    SPEAKS_1_0,
)
from tests.support.nginx import nginx as running_nginx
from tests.support.server import ServerProcess

FALLBACK_WITHIN_S = 5
WITHIN_S = 60
Behind = Callable[[str], str]


@pytest.fixture(scope="module")
def behind(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Gives the address of the server behind an nginx with these rules, one for the whole file."""
    addresses: dict[str, str] = {}
    with ExitStack() as stack:

        def address(rules: str) -> str:
            if rules not in addresses:
                folder = tmp_path_factory.mktemp("nginx")
                proxy = stack.enter_context(running_nginx(folder, server.port, rules))
                addresses[rules] = proxy.url
            return addresses[rules]

        yield address


@pytest.mark.parametrize("pair", CHOOSING, ids=named)
@pytest.mark.parametrize("rules", [REFUSES_UPGRADE, BUFFERS], ids=["refuses", "buffers"])
async def test_every_client_goes_on_behind_a_proxy_that_blocks(
    server: ServerProcess, behind: Behind, pair: tuple[Subject, str], rules: str
) -> None:
    params = {"iterations": 60, "pause_s": 0.05, "log_every": 9}
    task_id = await asyncio.to_thread(server.create, "iterate", **params)
    async with watching(*pair, behind(rules), task_id) as watch:
        await watch.finish()
    assert faults(watch.items, server.log_of(task_id)) == []
    assert watch.outcome == {"ended": "completed"}


@pytest.mark.parametrize(
    ("rules", "doors"),
    [
        (PASSES, ["socketio"]),
        (REFUSES_UPGRADE, ["sse"]),
        (DROPS_UPGRADE, ["sse"]),
        (SPEAKS_1_0, ["sse"]),
        (BUFFERS, ["sse", "long_poll"]),
    ],
    ids=["passes", "refuses", "drops", "speaks 1.0", "buffers"],
)
async def test_the_best_door_that_is_open_is_taken_in_time(
    behind: Behind, rules: str, doors: list[str]
) -> None:
    states: list[ConnectionState] = []
    client = AsyncClient(behind(rules), on_connection_state=states.append)
    async with client, asyncio.timeout(WITHIN_S):
        task = await client.create_task("iterate", {"iterations": 12, "pause_s": 0.25})
        began, first_s, seen = time.monotonic(), 0.0, []
        async for item in client.watch(task.task_id):
            first_s = first_s or time.monotonic() - began
            seen.append(item.raw)
        log = [event.raw async for event in client.events(task.task_id)]
    assert checker.faults(task.task_id, log, seen) == []
    assert [state.door for state in states if state.status is ConnectionStatus.LIVE] == doors
    assert first_s < FALLBACK_WITHIN_S


async def test_polls_that_a_proxy_cuts_become_plain_ones(behind: Behind) -> None:
    async with AsyncClient(behind(BUFFERS_AND_CUTS), doors=("long_poll", "poll")) as client:
        task = await client.create_task("leaky", {"canary": "tweet", "seconds": 4})
        async with asyncio.timeout(WITHIN_S):
            seen = [item.raw async for item in client.watch(task.task_id)]
        log = [event.raw async for event in client.events(task.task_id)]
        assert client.connection.door == "poll"
    assert checker.faults(task.task_id, log, seen) == []


async def test_a_watch_moves_to_a_better_door_that_has_opened(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the client waits for before it tries again, shortened.
    monkeypatch.setattr("taskpush.client.doors.FIRST_PAUSE_S", 0.3)
    states: list[ConnectionState] = []
    blocking = True

    async def guarded(*given: Any, **named: Any) -> object:
        if blocking:
            raise LinkFailed("a proxy does not let it pass", blocked=True)
        return await open_socket(*given, **named)

    monkeypatch.setattr(opening, "open_socket", guarded)
    client = AsyncClient(server.url, on_connection_state=states.append)
    async with client, asyncio.timeout(WITHIN_S):
        task = await client.create_task("iterate", {"iterations": 80, "pause_s": 0.03})
        seen = []
        async for item in client.watch(task.task_id):
            seen.append(item.raw)
            blocking = blocking and len(seen) < 10
        log = [event.raw async for event in client.events(task.task_id)]
    assert checker.faults(task.task_id, log, seen) == []
    assert [state.door for state in states] == ["sse", "socketio", None]


async def test_a_server_that_is_away_is_no_reason_to_step_down(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        doors = []
        client = AsyncClient(server.url, on_connection_state=lambda state: doors.append(state.door))
        async with client, asyncio.timeout(WITHIN_S):
            task = await client.create_task("sleep")
            async for item in client.watch(task.task_id):
                if item.event_type == "log":
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
    assert doors == ["socketio", None, "socketio", None]
