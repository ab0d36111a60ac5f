"""Feeds over real sockets: every task's last state, at a bounded rate, through cuts and stalls."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.feed_watcher import FeedWatcher
from tests.support.proxy import SeverableLink, severable_link
from tests.support.server import PLAIN_SERVERS, PlainServer, ServerProcess
from tests.support.watcher import raw_socket

RATE_PER_S = 250
"""What the pace of a feed allows: 50 states five times a second."""


async def test_a_feed_is_subscribed_followed_and_left(shared_server: ServerProcess) -> None:
    async with raw_socket(shared_server.port) as socket:
        assert (await socket.event())[0] == "connected"
        await socket.emit("subscribe", {"feed": "tag:mine"}, ack=1)
        assert await socket.event() == ("ack", {"ok": True, "feed": "tag:mine"})
        assert await socket.event() == ("subscribed", {"feed": "tag:mine"})
        name, listed = await socket.event()
        assert (name, listed["tasks"], listed["reset"]) == ("active_tasks", [], False)
        body = {"kind": "iterate", "params": {"iterations": 1}, "tags": ["mine"]}
        status, task = await asyncio.to_thread(shared_server.call, "POST", "/api/tasks", body)
        assert status == 201
        name, created = await socket.event()
        assert (name, created["feed"]) == ("task_created", "tag:mine")
        assert created["task"]["task_id"] == task["task_id"]
        while not created["task"]["final"]:
            name, created = await socket.event()
            assert name == "feed_update"
        await socket.emit("unsubscribe", {"feed": "tag:mine"}, ack=2)
        assert await socket.event() == ("ack", {"ok": True, "feed": "tag:mine"})


@pytest.mark.parametrize(
    "payload",
    [
        {"feed": "everything"},
        {"feed": None},
        {"feed": "kind:a b"},
        {"feed": "all", "after": 7},
        {"feed": "all", "after": {"epoch": "k3v9", "seq": 1}},
        {"feed": "all", "after": "x" * 201},
    ],
)
async def test_what_is_wrong_is_said_and_the_connection_lives_on(
    shared_server: ServerProcess, payload: dict[str, Any]
) -> None:
    async with raw_socket(shared_server.port) as socket:
        await socket.event()
        await socket.emit("subscribe", payload, ack=1)
        name, answer = await socket.event()
        assert (name, answer["ok"], answer["code"]) == ("ack", False, "invalid_request")
        assert (await socket.event())[0] == "error"
        await socket.emit("subscribe", {"feed": "all"}, ack=2)
        assert (await socket.event())[1]["ok"] is True


async def test_feeds_count_as_subscriptions(shared_server: ServerProcess) -> None:
    async with raw_socket(shared_server.port, max_queue=1000) as socket:
        _, hello = await socket.event()
        limit = hello["limits"]["subscriptions"]
        for number in range(limit):
            await socket.emit("subscribe", {"feed": f"tag:t{number}"})
        await socket.emit("subscribe", {"feed": "tag:one.more"}, ack=1)
        name, answer = await socket.event()
        while name != "ack":
            name, answer = await socket.event()
        assert answer["code"] == "subscription_limit"


async def test_a_cursor_goes_on_after_kill_9(server: ServerProcess) -> None:
    watcher = FeedWatcher(server.port)
    watching = asyncio.create_task(watcher.run())
    tasks = [
        await asyncio.to_thread(server.create, "iterate", iterations=500, pause_s=0.05)
        for _ in range(20)
    ]
    await watcher.until(lambda view: _count(view.tasks, "running") == 20)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    await watcher.until(lambda view: _count(view.tasks, "interrupted") == 20)
    assert set(watcher.view.tasks) == set(tasks)
    assert watcher.view.resets == 0
    watching.cancel()


async def _flood_through_cuts(server: ServerProcess, tasks: int, *, seed: int) -> None:
    """So many tasks run and end, while links are cut and one peer takes nothing."""
    chance = random.Random(seed)
    async with (
        severable_link(server.port) as cut_link,
        severable_link(server.port) as stalled_link,
        asyncio.TaskGroup() as group,
    ):
        steady = FeedWatcher(server.port)
        cut = [FeedWatcher(cut_link.port) for _ in range(3)]
        stalled = [FeedWatcher(stalled_link.port) for _ in range(10)]
        watchers = [steady, *cut, *stalled]
        running = [group.create_task(watcher.run()) for watcher in watchers]
        for watcher in watchers:
            await watcher.until(lambda view: view.cursor is not None)
        stalled_link.stall()
        cutting = group.create_task(_cut_at_random(cut_link, chance))
        before_kib, begin = _memory_kib(server.pid), time.monotonic()
        await asyncio.to_thread(_create, server, tasks)
        await steady.until(lambda view: view.over == tasks, 500)
        took_s, peak_kib = time.monotonic() - begin, _memory_kib(server.pid)
        told, messages = steady.view.states, steady.view.messages
        cutting.cancel()
        for watcher in cut:
            await watcher.until(lambda view: view.over == tasks, 200)
        assert all(watcher.view.over < tasks for watcher in stalled)
        stalled_link.flow()
        for watcher in stalled:
            await watcher.until(lambda view: view.over == tasks, 500)
        shown = await asyncio.to_thread(_listed, server)
        for watcher in watchers:
            # The last words about a task's log may follow its end.
            await watcher.until(lambda view: view.tasks == shown)
            assert watcher.view.resets == 0
        for task in running:
            task.cancel()
    print(
        f"\n  {tasks} tasks in {took_s:.0f} s, {_positions(shown)} logged events:"
        f" {messages} messages, {told / took_s:.0f} states/s to who keeps up;"
        f" {sum(watcher.reconnects for watcher in cut)} cuts;"
        f" server {before_kib / 1024:.0f} → {peak_kib / 1024:.0f} MiB"
    )
    assert sum(watcher.reconnects for watcher in cut) >= 3
    assert told <= RATE_PER_S * (took_s + 1)


async def _cut_at_random(link: SeverableLink, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        link.cut(chance, share=0.3)


def _create(server: ServerProcess, tasks: int) -> None:
    for first in range(0, tasks, 1000):
        bodies = [
            {"kind": "iterate", "params": {"iterations": 3 + number % 5, "pause_s": 0.02}}
            for number in range(first, min(first + 1000, tasks))
        ]
        status, answer = server.call("POST", "/api/tasks/batch", {"tasks": bodies})
        assert status == 201, answer


def _listed(server: ServerProcess) -> dict[str, dict[str, Any]]:
    """All tasks, by the pages of the list."""
    found: dict[str, dict[str, Any]] = {}
    path = "/api/tasks?limit=200"
    while path:
        status, page = server.call("GET", path)
        assert status == 200, page
        found |= {task["task_id"]: task for task in page["items"]}
        path = page["next"]
    return found


def _count(tasks: dict[str, dict[str, Any]], status: str) -> int:
    return sum(task["status"] == status for task in tasks.values())


def _positions(tasks: dict[str, dict[str, Any]]) -> int:
    return sum(task["position"]["seq"] for task in tasks.values())


def _memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.timeout(300)
async def test_a_thousand_tasks_do_not_flood_their_feed(server: ServerProcess) -> None:
    await _flood_through_cuts(server, 1000, seed=1)


@pytest.mark.parametrize("plain_asgi", PLAIN_SERVERS)
async def test_nor_do_they_under_another_server(tmp_path: Path, plain_asgi: PlainServer) -> None:
    with ServerProcess(tmp_path / "data", plain_asgi=plain_asgi) as server:
        await _flood_through_cuts(server, 600, seed=3)


@pytest.mark.full
@pytest.mark.timeout(1800)
async def test_ten_thousand_tasks_do_not_flood_their_feed(server: ServerProcess) -> None:
    await _flood_through_cuts(server, 10_000, seed=2)
