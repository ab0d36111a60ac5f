"""A server that is asked to stop: soon gone, nothing lost, and everybody comes back."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psutil
import pytest

from taskpush.client import AsyncClient
from tests.support.checker import faults, kept
from tests.support.server import ServerProcess
from tests.support.watcher import Watcher

WITHIN_S = 10.0
RAW_WATCHERS = 24
CLIENTS = 8
WAITING = 12


class _Creating:
    """Somebody who creates tasks until there is no server, and remembers each answer."""

    def __init__(self, server: ServerProcess) -> None:
        self.answered: list[str] = []
        self._server = server

    def run(self) -> None:
        body = {"kind": "iterate", "params": {"iterations": 3}}
        while True:
            try:
                status, answer = self._server.call("POST", "/api/tasks", body)
            except (OSError, URLError):
                return
            if status == 201:
                self.answered.append(answer["task_id"])


async def _client_watches(url: str, task_id: str) -> list[dict[str, Any]]:
    async with AsyncClient(url) as client:
        return [item.raw async for item in client.watch(task_id)]


@contextmanager
def _long_polls(server: ServerProcess, task_id: str) -> Iterator[None]:
    """Requests whose answers are a minute away: one by REST, one by engine.io's long polling."""
    with closing(socket.create_connection(("127.0.0.1", server.port))) as opening:
        opening.sendall(_get("/socket.io/?EIO=4&transport=polling", close=True))
        opened = b"".join(iter(lambda: opening.recv(4096), b""))
    sid = opened.split(b'"sid":"')[1].split(b'"')[0].decode()
    with ExitStack() as stack:
        for path in (
            f"/api/tasks/{task_id}/events?wait_s=60&after=1",
            f"/socket.io/?EIO=4&transport=polling&sid={sid}",
        ):
            poll = socket.create_connection(("127.0.0.1", server.port))
            stack.enter_context(closing(poll)).sendall(_get(path))
        yield


def _get(path: str, *, close: bool = False) -> bytes:
    end = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{end}\r\n".encode()


@pytest.mark.timeout(180)
async def test_a_stop_under_load_is_quick_and_loses_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"

    async def create(kind: str, **params: Any) -> str:
        return await asyncio.to_thread(server.create, kind, **params)

    deaf = [
        await create("deaf_loop"),
        await create("deaf_thread"),
        await create("stubborn", pid_file=str(pid_file)),
    ]
    held = [await create("sleep", seconds=600) for _ in range(2)]
    waiting = [await create("sleep", seconds=0.05) for _ in range(WAITING)]
    iterating = [await create("iterate", iterations=2000, pause_s=0.01) for _ in range(10)]
    resumed = await create("stepwise", steps=100, pause_s=0.05)
    known = [*deaf, *held, *waiting, *iterating, resumed]
    watchers = [Watcher(server.port, known) for _ in range(RAW_WATCHERS)]
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(watcher.run()) for watcher in watchers]
        clients = [
            group.create_task(_client_watches(server.url, waiting[index]))
            for index in range(CLIENTS)
        ]
        for watcher in watchers:
            await watcher.until(
                lambda w: (
                    all(len(w.received[task_id]) > 2 for task_id in (*deaf, *held, *iterating))
                    and sum(each["seq"] is not None for each in w.received[resumed]) > 10
                )
            )
        worker = psutil.Process(int(pid_file.read_text(encoding="utf-8")))
        creating = [_Creating(server) for _ in range(2)]
        creators = [asyncio.create_task(asyncio.to_thread(each.run)) for each in creating]

        with _long_polls(server, waiting[-1]):
            asked_at = time.monotonic()
            code = await asyncio.to_thread(server.stop)
            took_s = time.monotonic() - asked_at
        assert took_s < WITHIN_S
        assert code == 0
        assert not worker.is_running()
        await asyncio.wait(creators, timeout=20)
        for watcher in watchers:
            # Told, and not only cut off.
            assert all(watcher.is_over(task_id) for task_id in (*deaf, *held, *iterating))

        await asyncio.to_thread(server.start)
        ends = [*waiting, resumed]
        for watcher in watchers:
            await watcher.until(lambda w: all(w.is_over(task_id) for task_id in ends))
            await watcher.until(lambda w: w.received[resumed][-1]["data"].get("final") is True)
        seen = await asyncio.gather(*clients)
        for task in running:
            task.cancel()
    await asyncio.to_thread(_check, server, known, watchers, list(zip(waiting, seen, strict=False)))
    for task_id in (answer for each in creating for answer in each.answered):
        assert (await asyncio.to_thread(server.wait_over, task_id))["status"] in {
            "completed",
            "interrupted",
        }
    _, result = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{resumed}/result")
    assert result["result"]["attempt"] == 2
    assert result["result"]["began_at"] >= 4
    print(f"\nstopped in {took_s:.1f} s; {sum(len(each.answered) for each in creating)} creates")


async def test_those_who_wait_for_an_answer_get_one_and_hold_up_no_stop(
    server: ServerProcess,
) -> None:
    waiting = await asyncio.to_thread(server.create, "sleep", seconds=600)
    delayed = {"kind": "sleep", "params": {}, "run_at": "2100-01-01T00:00:00Z"}
    _, pending = await asyncio.to_thread(server.call, "POST", "/api/tasks", delayed)
    path = f"/api/tasks/{pending['task_id']}/events?after=1&wait_s=60"
    feed = await asyncio.to_thread(server.call, "GET", "/api/feed?feed=tag:nothing")
    polls = [
        asyncio.create_task(asyncio.to_thread(server.call, "GET", path, timeout_s=60))
        for path in (path, f"/api/feed?feed=tag:nothing&after={feed[1]['cursor']}&wait_s=60")
    ]
    with _long_polls(server, waiting):
        # A request that came later was answered: those are waiting.
        await asyncio.to_thread(server.call, "GET", f"/api/tasks/{waiting}/events?wait_s=0.5")
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(server.stop) == 0
    (events_status, events), (feed_status, changes) = await asyncio.gather(*polls)
    assert (events_status, events["items"]) == (200, [])
    assert (feed_status, changes["tasks"]) == (200, [])
    # What uvicorn says of answers that it had to cancel.
    assert "timeout graceful shutdown exceeded" not in server.log


async def test_a_server_that_stops_is_not_ready_and_says_why(server: ServerProcess) -> None:
    task_id = await asyncio.to_thread(server.create, "deaf_loop")
    assert (await asyncio.to_thread(server.call, "GET", "/readyz"))[0] == 200
    async with asyncio.TaskGroup() as group:
        watcher = Watcher(server.port, [task_id])
        running = group.create_task(watcher.run())
        await watcher.until(lambda w: len(w.received[task_id]) > 2)
        psutil.Process(server.pid).terminate()

        async def ready() -> tuple[int, Any]:
            return await asyncio.to_thread(server.call, "GET", "/readyz")

        async with asyncio.timeout(60):
            while (answer := await ready())[0] == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # Another process: there is nothing to await.
        assert answer[0] == 503
        assert answer[1]["code"] == "shutting_down"
        assert answer[1]["checks"] == {"store": "ok", "push": "ok", "server": "it is stopping"}
        assert await asyncio.to_thread(server.wait) == 0
        running.cancel()


def _check(
    server: ServerProcess,
    known: list[str],
    watchers: list[Watcher],
    seen: list[tuple[str, list[dict[str, Any]]]],
) -> None:
    logs = {task_id: server.log_of(task_id) for task_id in known}
    for log in logs.values():
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    for watcher in watchers:
        assert (watcher.resyncs, watcher.errors) == ([], [])
        for task_id in known:
            assert faults(task_id, logs[task_id], kept(watcher.received[task_id])) == []
    for task_id, received in seen:
        assert faults(task_id, logs[task_id], received) == []


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_waits_for_nobody(server: ServerProcess, by: signal.Signals) -> None:
    deaf = [await asyncio.to_thread(server.create, kind) for kind in ("deaf_loop", "deaf_thread")]
    async with asyncio.TaskGroup() as group:
        watcher = Watcher(server.port, deaf)
        running = group.create_task(watcher.run())
        await watcher.until(lambda w: all(len(w.received[task_id]) > 2 for task_id in deaf))
        process = psutil.Process(server.pid)
        asked_at = time.monotonic()
        process.send_signal(by)
        await asyncio.sleep(0.5)
        process.send_signal(by)
        assert await asyncio.to_thread(server.wait) == (0 if by is signal.SIGTERM else 130)
        assert time.monotonic() - asked_at < 4
        running.cancel()
    await asyncio.to_thread(server.start)
    for task_id in deaf:
        _, found = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}")
        # In good order still: it is not what a task could have done to its server.
        assert (found["status"], found["message"]) == ("interrupted", "The server stopped")
