"""A deletion that was answered is one for ever, whatever happens to the server then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from taskpush.store.blobs import Blobs
from tests.support.server import ServerProcess

TASKS = 12


def _files_of(data: Path, task_id: str) -> list[Path]:
    return [path for path in data.rglob("*") if task_id in path.parts]


def _finished(server: ServerProcess, kind: str, **params: Any) -> str:
    task_id = server.create(kind, **params)
    assert server.wait_over(task_id)["status"] == "completed"
    return task_id


@pytest.mark.timeout(180)
def test_what_was_deleted_stays_deleted_after_kills(server: ServerProcess) -> None:
    kept = _finished(server, "files")
    deleted: list[str] = []
    for kind in ("files", "stepwise", "iterate"):
        params = {"steps": 2, "pause_s": 0} if kind == "stepwise" else {}
        tasks = [_finished(server, kind, **params) for _ in range(TASKS // 3)]
        for task_id in tasks:
            assert server.call("DELETE", f"/api/tasks/{task_id}") == (204, None)
        server.kill()
        server.start()
        deleted += tasks
    for task_id in deleted:
        assert server.call("GET", f"/api/tasks/{task_id}")[0] == 404
        assert server.call("GET", f"/api/tasks/{task_id}/events")[0] == 404
        again = {"kind": "iterate", "params": {}, "task_id": task_id}
        status, problem = server.call("POST", "/api/tasks", again)
        assert (status, problem["code"]) == (409, "task_id_taken")
        assert _files_of(server.data, task_id) == []
    _, page = server.call("GET", "/api/tasks?limit=100")
    assert [each["task_id"] for each in page["items"]] == [kept]
    assert _files_of(server.data, kept)
    assert server.call("GET", f"/api/tasks/{kept}/artifacts/layout.json") == (200, {"version": 2})


@pytest.mark.timeout(120)
def test_files_that_a_killed_deletion_left_go_at_the_next_start(server: ServerProcess) -> None:
    """Killed between the commit and the removal: the moment is made by hand, it is too short."""
    task_id, other = _finished(server, "files"), _finished(server, "files")
    assert server.call("DELETE", f"/api/tasks/{task_id}")[0] == 204
    server.kill()
    blobs = Blobs(server.data)
    asyncio.run(blobs.put(task_id, b"left behind"))
    asyncio.run(blobs.put_checkpoint(task_id, orjson.dumps({"step": 1})))
    assert len(_files_of(server.data, task_id)) == 4
    before = _files_of(server.data, other)
    server.start()
    assert _files_of(server.data, task_id) == []
    assert _files_of(server.data, other) == before
