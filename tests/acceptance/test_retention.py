"""Retention in a real server: what watchers and readers see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from taskpush.client import AsyncClient, Client, RequestRefused, Resync, WatchEvent
from tests.support.checker import faults
from tests.support.server import ServerProcess
from tests.support.watcher import Watcher, raw_socket

WITHIN_S = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Retention trims whatever ended more than a second ago, several times a second."""
    with ServerProcess(
        tmp_path_factory.mktemp("retention") / "data",
        settings={"keep_logs_age": "1s", "retention_interval_s": "0.2"},
    ) as process:
        yield process


async def trimmed(server: ServerProcess, task_id: str) -> dict[str, Any]:
    """The first event that is left when the log was trimmed."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            _, page = await asyncio.to_thread(
                server.call, "GET", f"/api/tasks/{task_id}/events?limit=1"
            )
            event: dict[str, Any] = page["items"][0]
            if event["seq"] > 1:
                return event
            await asyncio.sleep(0.05)  # It happens in the server, which tells nobody.


def logged(items: Iterable[WatchEvent | Resync]) -> list[dict[str, Any]]:
    """The envelopes of the log among what a watch gave."""
    return [dict(each.raw) for each in items if isinstance(each, WatchEvent) and each.seq]


async def ran(server: ServerProcess, kind: str, **params: Any) -> str:
    task_id = await asyncio.to_thread(server.create, kind, **params)
    await asyncio.to_thread(server.wait_over, task_id)
    return task_id


async def test_a_trimmed_log_is_watched_to_its_end_by_our_clients(server: ServerProcess) -> None:
    task_id = await ran(server, "iterate", iterations=20)
    last = await trimmed(server, task_id)
    assert last["seq"] > 20
    async with AsyncClient(server.url) as client, asyncio.timeout(WITHIN_S):
        seen = [item async for item in client.watch(task_id)]
        read = [item async for item in client.events(task_id)]
    assert logged(seen) == [last]
    assert [item.raw for item in read] == [last]

    def watch() -> list[Any]:
        with Client(server.url) as client:
            return logged(client.watch(task_id))

    assert await asyncio.to_thread(watch) == [last]
    snapshot = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}/result")
    assert snapshot[1]["result"]["final_iteration"] == 20


async def test_whoever_stands_in_the_part_that_went_is_told(server: ServerProcess) -> None:
    task_id = await asyncio.to_thread(server.create, "iterate", iterations=20)
    log = await asyncio.to_thread(_followed, server, task_id)
    last = await trimmed(server, task_id)
    at = log[4]["position"]
    status, problem = await asyncio.to_thread(
        server.call, "GET", f"/api/tasks/{task_id}/events?after={at}"
    )
    assert (status, problem["code"], problem["oldest"]) == (410, "position_gone", last["seq"])
    async with AsyncClient(server.url) as client, asyncio.timeout(WITHIN_S):
        seen = [item async for item in client.watch(task_id, after=at)]
        with pytest.raises(RequestRefused, match="position_gone"):
            _ = [item async for item in client.events(task_id, after=at)]
    (resync,) = seen
    assert isinstance(resync, Resync)
    assert resync.position.seq == last["seq"]
    assert resync.snapshot["status"] == "completed"


def _followed(server: ServerProcess, task_id: str) -> list[dict[str, Any]]:
    """The log while it is there, each event with its position as text."""
    with Client(server.url) as client:
        events = logged(client.watch(task_id))
    return [event | {"position": f"{event['epoch']}:{event['seq']}"} for event in events]


async def test_artifacts_outlive_the_log(server: ServerProcess) -> None:
    task_id = await ran(server, "files")
    await trimmed(server, task_id)
    address = f"{server.url}/api/tasks/{task_id}/artifacts/layout.json"
    answer = await asyncio.to_thread(requests.get, address, timeout=10)
    assert answer.json() == {"version": 2}


async def test_trimming_beside_live_watchers_loses_and_doubles_nothing(
    server: ServerProcess,
) -> None:
    """Tasks end all the time, their logs go a second later; everybody watches from the start."""
    task_ids = [
        await asyncio.to_thread(server.create, "iterate", iterations=n * 12, pause_s=0.01)
        for n in range(1, 16)
    ]
    watchers = [Watcher(server.port, task_ids) for _ in range(3)]
    running = [asyncio.ensure_future(watcher.run()) for watcher in watchers]
    for watcher in watchers:
        await watcher.until(lambda w: all(map(w.is_over, task_ids)), WITHIN_S)
    for task_id in task_ids:
        await trimmed(server, task_id)
    # What trimming might have said on these connections comes before what is asked for now.
    late = await ran(server, "iterate", iterations=0)
    for watcher in watchers:
        await watcher.add(late)
        await watcher.until(lambda w: w.is_over(late), WITHIN_S)
    for task in running:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    logs = watchers[0].received
    for task_id in task_ids:
        log = [event for event in logs[task_id] if event["seq"] is not None]
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
        for watcher in watchers:
            assert faults(task_id, log, watcher.received[task_id]) == []
    assert [watcher.resyncs + watcher.errors for watcher in watchers] == [[], [], []]
    assert [watcher.reconnects for watcher in watchers] == [0, 0, 0]


async def test_old_tasks_are_deleted_and_their_watchers_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKPUSH_KEEP_TASKS_AGE", "1s")
    monkeypatch.setenv("TASKPUSH_RETENTION_INTERVAL_S", "0.2")
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        task_id = await asyncio.to_thread(server.create, "iterate", iterations=1)
        async with raw_socket(server.port) as socket, asyncio.timeout(WITHIN_S):
            await socket.emit("subscribe", {"task_id": task_id})
            names = []
            while "task_deleted" not in names:
                names.append((await socket.event())[0])
        assert names.count("task_update") >= 4
        assert "resync" not in names
        status, problem = await asyncio.to_thread(
            server.call, "GET", f"/api/tasks/{task_id}/result"
        )
        assert (status, problem["code"]) == (410, "result_gone")
        server.stop()
        assert "retention.pruned deleted=1" in server.log
        assert "Traceback" not in server.log
    finally:
        server.stop()
