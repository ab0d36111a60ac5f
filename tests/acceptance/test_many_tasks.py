"""What a hundred thousand finished tasks cost those who list, create and subscribe."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

import aiohttp
import apsw
import pytest

from tests.support.server import ServerProcess
from tests.support.watcher import RawSocket, raw_socket

FEW: Final = 100
ROUNDS: Final = 60
LATER: Final = "2099-01-01T00:00:00Z"

# Real rows, multiplied: each copy has an id of its own in its columns, its record and its events.
_COPIES: Final = """
    CREATE TEMP TABLE copies AS
    WITH RECURSIVE n (value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM n WHERE value < ?)
    SELECT t.id, n.value * ? + t.id AS new_id, t.task_id,
        printf('%08x', n.value) || substr(t.task_id, 9) AS new_task_id
    FROM tasks AS t, n
"""
_TASKS: Final = """
    INSERT INTO tasks
    SELECT c.new_id, c.new_task_id, tenant, owner, kind, status, attempt, priority, created_at,
        run_at, started_at, finished_at, runner, folded_title, c.new_id, upload_bytes,
        CAST(replace(CAST(doc AS TEXT), c.task_id, c.new_task_id) AS BLOB)
    FROM copies AS c JOIN tasks AS t ON t.id = c.id ORDER BY c.new_id
"""
_EVENTS: Final = """
    INSERT INTO events
    SELECT c.new_id, seq, attempt, epoch, event_type, final, at,
        CAST(replace(CAST(body AS TEXT), c.task_id, c.new_task_id) AS BLOB)
    FROM copies AS c JOIN events AS e ON e.task = c.id ORDER BY c.new_id, seq
"""


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server that ran a hundred tasks."""
    server = ServerProcess(tmp_path_factory.mktemp("few") / "data")
    server.start()
    try:
        body = {"tasks": [{"kind": "iterate", "params": {"iterations": 3}}] * FEW}
        _, page = server.call("POST", "/api/tasks/batch", body)
        for snapshot in page["items"]:
            server.wait_over(snapshot["task_id"])
    finally:
        server.stop()
    return server.data


def multiplied(few: Path, folder: Path, count: int) -> Path:
    """A copy of that folder with so many tasks."""
    shutil.copytree(few, folder)
    connection = apsw.Connection(str(folder / "taskpush.db"))
    with connection:
        connection.execute(_COPIES, (count // FEW - 1, FEW))
        connection.execute(_TASKS)
        connection.execute(_EVENTS)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    return folder


class _Caller:
    """Measures one server."""

    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession, task_ids: list[str]):
        self._api = f"{server.url}/api/tasks"
        self._http = http
        self._port = server.port
        self._task_ids = task_ids
        self._random = Random(1)

    async def list_page(self) -> None:
        async with self._http.get(self._api, params={"limit": "50"}) as answer:
            assert len((await answer.json())["items"]) == 50

    async def list_kind(self) -> None:
        query = {"limit": "50", "kind": "iterate", "status": "completed"}
        async with self._http.get(self._api, params=query) as answer:
            assert len((await answer.json())["items"]) == 50

    async def create(self) -> None:
        body = {"kind": "iterate", "params": {"iterations": 3}, "run_at": LATER}
        async with self._http.post(self._api, json=body) as answer:
            assert answer.status == 201

    async def subscribe(self) -> None:
        """A finished task from its start to its end."""
        socket = self.socket
        await socket.emit("subscribe", {"task_id": self._random.choice(self._task_ids)})
        while True:
            name, payload = await socket.event()
            if name == "task_update" and payload["data"].get("final"):
                return

    socket: RawSocket


@asynccontextmanager
async def _serving(data: Path, http: aiohttp.ClientSession) -> AsyncIterator[_Caller]:
    server = ServerProcess(data)
    await asyncio.to_thread(server.start)
    try:
        connection = apsw.Connection(str(data / "taskpush.db"), apsw.SQLITE_OPEN_READONLY)
        # At most as many as a connection may watch.
        found = connection.execute("SELECT task_id FROM tasks ORDER BY task_id").fetchall()
        connection.close()
        chosen = [str(task_id) for (task_id,) in found[:: max(1, len(found) // FEW)]][:FEW]
        caller = _Caller(server, http, chosen)
        async with raw_socket(server.port) as caller.socket:
            yield caller
    finally:
        await asyncio.to_thread(server.stop)


async def _compared(few: Path, many: Path) -> Mapping[str, tuple[float, float]]:
    """Medians in milliseconds, with few tasks and with many, of calls that take turns."""
    took: dict[str, tuple[list[float], list[float]]] = {}
    async with (
        aiohttp.ClientSession() as http,
        _serving(few, http) as with_few,
        _serving(many, http) as with_many,
    ):
        for turn in range(ROUNDS + 5):
            for name in ("list_page", "list_kind", "create", "subscribe"):
                # Who is first changes, so that neither always finds the machine awake.
                for side in ((0, 1), (1, 0))[turn % 2]:
                    caller = (with_few, with_many)[side]
                    call: Callable[[], Awaitable[None]] = getattr(caller, name)
                    begin_s = time.perf_counter()
                    await call()
                    took_ms = (time.perf_counter() - begin_s) * 1000
                    # The first ones warm up.
                    if turn >= 5:
                        took.setdefault(name, ([], []))[side].append(took_ms)
    return {name: (median(few), median(many)) for name, (few, many) in took.items()}


@pytest.mark.parametrize(
    ("count", "factor"),
    [
        (5_000, 3.0),
        pytest.param(
            100_000, 1.5, marks=[pytest.mark.full, pytest.mark.timeout(900)], id="100000-1.5"
        ),
    ],
)
async def test_many_finished_tasks_cost_little(
    few: Path, tmp_path: Path, count: int, factor: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = await asyncio.to_thread(multiplied, few, tmp_path / "many", count)
    copy = await asyncio.to_thread(shutil.copytree, few, tmp_path / "few")
    medians = await _compared(copy, data)
    with capsys.disabled():
        print(f"\n  ms, with {FEW} finished tasks and with {count}:")
        for name, (before, after) in medians.items():
            print(f"    {name:10} {before:6.2f} {after:6.2f}  ({after / before:.2f} times)")
    for name, (before, after) in medians.items():
        assert after <= before * factor, name


@pytest.mark.full
@pytest.mark.timeout(900)
def test_retention_brings_the_file_of_many_tasks_down(
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = multiplied(few, tmp_path / "data", 20_000)
    before = (data / "taskpush.db").stat().st_size
    monkeypatch.setenv("TASKPUSH_KEEP_TASKS_COUNT", "1000")
    monkeypatch.setenv("TASKPUSH_KEEP_SPARE", "0s")
    monkeypatch.setenv("TASKPUSH_RETENTION_INTERVAL_S", "1")
    server = ServerProcess(data)
    server.start()
    begin_s = time.monotonic()
    slowest_ms = 0.0
    try:
        while "retention.pruned" not in server.log:
            call_s = time.monotonic()
            assert server.call("GET", "/api/tasks?limit=50")[0] == 200
            server.create("iterate", iterations=0)
            slowest_ms = max(slowest_ms, (time.monotonic() - call_s) * 1000)
            time.sleep(0.05)  # Others ask now and then, while it goes on.
        took_s = time.monotonic() - begin_s
    finally:
        server.stop()
    after = (data / "taskpush.db").stat().st_size
    with capsys.disabled():
        print(f"\n  {before / 1e6:.0f} MB before, {after / 1e6:.1f} MB after {took_s:.0f} s;")
        print(f"  the slowest list and create meanwhile took {slowest_ms:.0f} ms together")
    assert after < before / 10
    assert "Traceback" not in server.log
