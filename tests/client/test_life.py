"""Retrying, keeping and deleting through the client and the command line, on a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from taskpush.client import Client, RequestRefused, TaskFailed, WatchEvent
from tests.support.server import ROOT, ServerProcess


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url) as connected:
        yield connected


def _taskpush(server: ServerProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskpush", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env=os.environ | {"TASKPUSH_SERVER": server.url},
    )


def test_a_failed_task_is_retried_and_watched_again(client: Client) -> None:
    task = client.create_task("fail")
    assert list(client.watch(task.task_id))[-1].data["status"] == "failed"
    assert client.retry(task.task_id)["attempt"] == 2
    events = [e for e in client.watch(task.task_id) if isinstance(e, WatchEvent)]
    seqs = [event.seq for event in events if event.seq is not None]
    assert seqs == list(range(1, len(seqs) + 1))
    with pytest.raises(TaskFailed):
        client.get_task_result(task.task_id)


def test_a_kept_task_goes_on_and_a_deleted_one_is_gone(client: Client) -> None:
    task_id = client.create_task("sleep", {"seconds": 600}).task_id
    client.cancel(task_id, keep=True)
    assert list(client.watch(task_id))[-1].data["status"] == "interrupted"
    with pytest.raises(RequestRefused) as refused:
        client.cancel(task_id)
    assert refused.value.code == "illegal_transition"
    client.retry(task_id)
    client.cancel(task_id)
    assert list(client.watch(task_id))[-1].data["status"] == "cancelled"
    client.delete(task_id)
    with pytest.raises(RequestRefused) as gone:
        client.get_task(task_id)
    assert gone.value.code == "not_found"


def test_create_options_travel(client: Client) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    task = client.create_task("iterate", {}, priority=5, run_at=later, timeout_s=30, max_attempts=3)
    assert datetime.fromisoformat(task["run_at"]) == later
    assert (task["priority"], task["timeout_s"], task["max_attempts"]) == (5, 30, 3)
    client.cancel(task.task_id)


def test_the_commands_do_the_same(server: ServerProcess) -> None:
    task_id = server.create("fail")
    server.wait_over(task_id)
    again = _taskpush(server, "retry", task_id, "--watch")
    assert again.returncode == 1
    assert "failed" in again.stdout
    assert _taskpush(server, "delete", task_id).stdout == "deleted\n"
    missing = _taskpush(server, "delete", task_id)
    assert missing.returncode == 6
    kept = server.create("sleep")
    said = _taskpush(server, "cancel", kept, "--keep")
    assert said.returncode == 0
    assert server.wait_over(kept)["status"] == "interrupted"


def test_the_files_of_a_task_are_listed(server: ServerProcess, client: Client) -> None:
    task_id = client.create_task("drafts").task_id
    list(client.watch(task_id))
    [draft] = client.artifacts(task_id)
    assert (draft["name"], draft["size_bytes"], draft["partial"]) == ("draft.txt", 7, True)
    ran = _taskpush(server, "artifacts", task_id)
    assert ran.returncode == 0
    address = f"{server.url}{draft['url']}"
    assert ran.stdout == f"draft.txt\t7\t1\tpartial\t{address}\n"
    listed = _taskpush(server, "artifacts", task_id, "--json-lines")
    assert json.loads(listed.stdout) == draft
