"""Promise 2: kill -9 of the server's process, again and again, loses nothing that was said."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.checker import faults, kept
from tests.support.server import ServerProcess
from tests.support.watcher import Watcher

RUNNING = 50
SUBSCRIBERS = 100
ORPHANS_GONE_S = 2.0


async def _kill_again_and_again(server: ServerProcess, tmp_path: Path, *, kills: int) -> None:
    heartbeat = tmp_path / "heartbeat"
    watchers = [Watcher(server.port) for _ in range(SUBSCRIBERS)]
    running = [asyncio.create_task(watcher.run()) for watcher in watchers]
    answered: dict[str, dict[str, Any]] = {}
    for _ in range(kills):
        fresh = await asyncio.to_thread(_create_some, server, heartbeat, answered)
        for index, watcher in enumerate(watchers):
            await watcher.add(fresh[index % len(fresh)])
        await watchers[0].until(lambda w: len(w.received[w.task_ids[-1]]) > 5)
        await asyncio.to_thread(server.kill)
        killed_at = time.time()
        await asyncio.to_thread(server.start)
        await _no_orphan_works(heartbeat, killed_at)
    for watcher in watchers:
        await watcher.until(lambda w: all(w.is_over(task_id) for task_id in w.task_ids), 120)
    for task in running:
        task.cancel()
    await _nothing_is_missing(server, watchers, answered)


def _create_some(
    server: ServerProcess, heartbeat: Path, answered: dict[str, dict[str, Any]]
) -> list[str]:
    """New tasks before a kill: async ones that iterate, and one that computes in a process."""
    fresh = []
    for index in range(RUNNING):
        body: dict[str, Any] = {
            "kind": "iterate",
            "params": {"iterations": 400, "pause_s": 0.005},
        }
        if index == 0:
            body = {
                "kind": "compute_process",
                "params": {"seconds": 60, "heartbeat": str(heartbeat)},
            }
        status, snapshot = server.call("POST", "/api/tasks", body)
        assert status == 201
        answered[snapshot["task_id"]] = snapshot
        if index:
            fresh.append(snapshot["task_id"])
    return fresh


async def _no_orphan_works(heartbeat: Path, killed_at: float) -> None:
    """Two seconds after the kill, no worker process of the dead server computes on."""
    await asyncio.sleep(max(0.0, killed_at + ORPHANS_GONE_S - time.time()))
    assert _last_touched(heartbeat) < killed_at + ORPHANS_GONE_S


def _last_touched(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


async def _nothing_is_missing(
    server: ServerProcess, watchers: list[Watcher], answered: dict[str, dict[str, Any]]
) -> None:
    logs = {}
    for task_id, snapshot in answered.items():
        status, now = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}")
        assert status == 200, f"the 201 of {task_id} is lost"
        assert now["params"] == snapshot["params"]
        assert now["final"] or now["status"] in {"interrupted", "running", "pending"}
        logs[task_id] = await asyncio.to_thread(server.log_of, task_id)
        assert [event["seq"] for event in logs[task_id]] == list(range(1, len(logs[task_id]) + 1))
    for watcher in watchers:
        assert watcher.resyncs == []
        assert watcher.errors == []
        for task_id in watcher.task_ids:
            assert faults(task_id, logs[task_id], kept(watcher.received[task_id])) == []


@pytest.mark.timeout(240)
async def test_what_was_pushed_or_answered_survives_kills(
    server: ServerProcess, tmp_path: Path
) -> None:
    await _kill_again_and_again(server, tmp_path, kills=3)


@pytest.mark.full
@pytest.mark.timeout(1200)
async def test_twenty_kills(server: ServerProcess, tmp_path: Path) -> None:
    await _kill_again_and_again(server, tmp_path, kills=20)
