"""The life of a task over real servers: stopped, timed out, tried again, killed and resumed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.runner.workbench import wait_until_gone
from tests.support.server import ServerProcess
from tests.support.watcher import Watcher

GRACE_S = 1.0

Envelope = dict[str, Any]


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(
        tmp_path_factory.mktemp("life") / "data", settings={"process_grace_s": str(GRACE_S)}
    ) as process:
        yield process


@asynccontextmanager
async def watching(server: ServerProcess, *task_ids: str) -> AsyncIterator[Watcher]:
    watcher = Watcher(server.port, task_ids)
    running = asyncio.ensure_future(watcher.run())
    yield watcher
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def statuses(watcher: Watcher, task_id: str) -> list[str]:
    events = watcher.received[task_id]
    return [each["data"]["status"] for each in events if each["event_type"] == "status_change"]


def seen(task_id: str, status: str) -> Callable[[Watcher], bool]:
    return lambda watcher: status in statuses(watcher, task_id)


def said(task_id: str, event_type: str, count: int = 1) -> Callable[[Watcher], bool]:
    def check(watcher: Watcher) -> bool:
        return [each["event_type"] for each in watcher.received[task_id]].count(event_type) >= count

    return check


async def create(server: ServerProcess, kind: str, **params: Any) -> str:
    return await asyncio.to_thread(server.create, kind, **params)


async def snapshot(server: ServerProcess, task_id: str) -> dict[str, Any]:
    _, found = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}")
    assert isinstance(found, dict)
    return found


async def result_of(server: ServerProcess, task_id: str) -> Any:
    _, found = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}/result")
    return found["result"]


async def restart(server: ServerProcess) -> None:
    """After kill -9."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


# -- stopping -------------------------------------------------------------------


async def test_a_process_that_ignores_everything_is_gone_2_s_after_its_grace(
    shared_server: ServerProcess, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    task_id = await create(shared_server, "stubborn", pid_file=str(pid_file))
    async with watching(shared_server, task_id) as watcher:
        await watcher.until(said(task_id, "log"))
        worker = psutil.Process(int(pid_file.read_text(encoding="utf-8")))
        asked_at = time.monotonic()
        await asyncio.to_thread(shared_server.call, "POST", f"/api/tasks/{task_id}/cancel", {})
        await asyncio.to_thread(psutil.wait_procs, [worker], GRACE_S + 2)
        assert not worker.is_running()
        await watcher.until(seen(task_id, "cancelled"))
        assert time.monotonic() - asked_at < GRACE_S + 2
        assert statuses(watcher, task_id) == ["pending", "running", "cancelled"]


async def test_a_cancelled_thread_ends_at_its_next_call(shared_server: ServerProcess) -> None:
    task_id = await create(shared_server, "until_stopped")
    async with watching(shared_server, task_id) as watcher:
        await watcher.until(said(task_id, "log"))
        asked_at = time.monotonic()
        await asyncio.to_thread(shared_server.call, "POST", f"/api/tasks/{task_id}/cancel", {})
        await watcher.until(seen(task_id, "cancelled"))
        assert time.monotonic() - asked_at < 10
        assert statuses(watcher, task_id) == ["pending", "running", "cancelled"]


@pytest.mark.parametrize("kind", ["slow_loop", "slow_thread", "slow_process"])
async def test_an_attempt_that_takes_too_long_is_failed(
    shared_server: ServerProcess, kind: str
) -> None:
    task_id = await create(shared_server, kind)
    async with watching(shared_server, task_id) as watcher:
        await watcher.until(seen(task_id, "failed"))
        *_, error, final = [each for each in watcher.received[task_id] if each["seq"]]
        assert (error["data"]["code"], error["data"]["error"]) == (
            "timeout",
            "Timed out after 0.5 s",
        )
        assert (final["data"]["reason"], final["data"]["final"]) == ("timeout", True)


# -- repeating ------------------------------------------------------------------


async def test_a_failing_task_is_tried_as_often_as_its_kind_says(
    shared_server: ServerProcess,
) -> None:
    task_id = await create(shared_server, "unlucky")
    async with watching(shared_server, task_id) as watcher:
        await watcher.until(seen(task_id, "failed"))
        errors = [each for each in watcher.received[task_id] if each["event_type"] == "error"]
        assert [each["data"]["will_retry"] for each in errors] == [True, True, False]
        assert [each["data"]["error"] for each in errors] == [
            f"attempt {attempt} failed" for attempt in (1, 2, 3)
        ]
        assert statuses(watcher, task_id) == [*["pending", "running"] * 3, "failed"]


# -- going on -------------------------------------------------------------------


@pytest.mark.timeout(180)
async def test_a_killed_server_goes_on_from_the_checkpoint(server: ServerProcess) -> None:
    task_id = await create(server, "stepwise")
    async with watching(server, task_id) as watcher:
        await watcher.until(said(task_id, "checkpoint", 10))
        await restart(server)
        await watcher.until(seen(task_id, "completed"))
        assert watcher.resyncs == []
        assert statuses(watcher, task_id) == [
            *("pending", "running", "interrupted"),
            *("pending", "running", "completed"),
        ]
    outcome = await result_of(server, task_id)
    assert outcome["attempt"] == 2
    assert outcome["began_at"] >= 10
    events = await asyncio.to_thread(server.log_of, task_id)
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    steps = [each["data"]["iteration"] for each in events if each["event_type"].startswith("iter")]
    assert sorted(set(steps)) == list(range(1, 61))
    # At most the step without its checkpoint is taken twice.
    assert len(steps) <= 61


@pytest.mark.timeout(180)
async def test_a_stopped_server_goes_on_from_the_checkpoint(server: ServerProcess) -> None:
    task_id = await create(server, "stepwise")
    async with watching(server, task_id) as watcher:
        await watcher.until(said(task_id, "checkpoint", 10))
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await watcher.until(seen(task_id, "completed"))
    outcome = await result_of(server, task_id)
    assert outcome["attempt"] == 2
    assert outcome["began_at"] >= 10


@pytest.mark.timeout(180)
async def test_what_kills_its_server_is_failed_after_three_times_and_the_others_go_on(
    server: ServerProcess, tmp_path: Path
) -> None:
    trigger = tmp_path / "trigger"
    other = await create(server, "stepwise", steps=100, pause_s=0.02)
    killer = await create(server, "server_killer", trigger=str(trigger))
    async with watching(server, other, killer) as watcher:
        for death in range(1, 4):
            # What gets nowhere between two interruptions would be suspected too.
            await watcher.until(said(other, "checkpoint", 15 * death))
            trigger.touch()
            await asyncio.to_thread(wait_until_gone, server.pid)
            trigger.unlink()
            await restart(server)
        await watcher.until(seen(killer, "failed"))
        await watcher.until(seen(other, "completed"))
        assert statuses(watcher, killer) == [
            *["pending", "running", "interrupted"] * 2,
            *("pending", "running", "failed"),
        ]
    found = await snapshot(server, killer)
    assert found["error"]["code"] == "interrupted_too_often"
    assert found["attempt"] == 3
    assert (await result_of(server, other))["attempt"] == 4


@pytest.mark.timeout(300)
async def test_an_interrupted_layout_reaches_the_result_of_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    server = ServerProcess(tmp_path / "data", app="examples.gallery:push")
    await asyncio.to_thread(server.start)
    params = {"max_iterations": 5, "seed": 5}
    whole = await create(server, "layout", **params)
    async with watching(server, whole) as watcher:
        await watcher.until(seen(whole, "completed"), timeout_s=120)
        torn = await create(server, "layout", **params)
        await watcher.add(torn)
        await watcher.until(said(torn, "iteration_complete", 3), timeout_s=120)
        await restart(server)
        await watcher.until(seen(torn, "completed"), timeout_s=120)
        assert "interrupted" in statuses(watcher, torn)
    results = [await result_of(server, each) for each in (whole, torn)]
    assert results[0].pop("experiment_dir") != results[1].pop("experiment_dir")
    assert results[0] == results[1]
    await asyncio.to_thread(server.stop)
