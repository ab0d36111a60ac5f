"""Both clients against `taskpush serve`: the contract that the fake server only imitates."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from taskpush.client import AsyncClient, Client, RequestRefused, TaskCancelled, TaskFailed
from tests.support.checker import faults
from tests.support.proxy import severable_link
from tests.support.server import ServerProcess

WITHIN_S = 60


async def test_a_whole_run_is_seen_live_across_cut_links(real_server: ServerProcess) -> None:
    async with severable_link(real_server.port) as link, AsyncClient(link.url) as client:
        params = {"iterations": 60, "pause_s": 0.005, "log_every": 7}
        task = await client.create_task("iterate", params)
        seen, cuts = [], 0
        async with asyncio.timeout(WITHIN_S):
            async for item in client.watch(task.task_id):
                seen.append(item.raw)
                if item.event_type == "log" and cuts < 4:
                    cuts += 1
                    link.cut()
        log = [event.raw async for event in client.events(task.task_id)]
        result = await client.get_task_result(task.task_id)
    assert cuts == 4
    assert faults(task.task_id, log, seen) == []
    assert result["final_iteration"] == 60


async def test_a_watch_goes_on_when_the_server_was_killed_and_came_back(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        async with AsyncClient(server.url) as client, asyncio.timeout(WITHIN_S):
            task = await client.create_task("sleep")
            seen = []
            async for item in client.watch(task.task_id):
                seen.append(item.raw)
                if item.event_type == "log":
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
            log = [event.raw async for event in client.events(task.task_id)]
        assert faults(task.task_id, log, seen) == []
        assert seen[-1]["data"]["status"] == "interrupted"
    finally:
        server.stop()


def test_a_task_is_cancelled(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:
        task = client.create_task("sleep", {"seconds": 60}, title="long")
        for item in client.watch(task.task_id):
            if item.event_type == "log":
                client.cancel(task.task_id)
        with pytest.raises(TaskCancelled):
            client.get_task_result(task.task_id)
        with pytest.raises(RequestRefused, match="illegal_transition"):
            client.cancel(task.task_id)
        assert next(client.list_tasks(status="cancelled", kind="sleep"))["title"] == "long"


def test_a_failed_task_says_why(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:
        task = client.create_task("fail", {"message": "no room"})
        assert [item.event_type for item in client.watch(task.task_id)][-2:] == [
            "error",
            "status_change",
        ]
        with pytest.raises(TaskFailed) as raised:
            client.get_task_result(task.task_id)
    assert (raised.value.error, raised.value.error_type) == ("no room", "ValueError")


def test_refusals_carry_their_codes(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:
        with pytest.raises(RequestRefused, match="unknown_kind"):
            client.create_task("dance")
        with pytest.raises(RequestRefused) as refused:
            client.create_task("iterate", {"iterations": "many"})
        assert (refused.value.code, refused.value.status) == ("invalid_params", 422)
        assert [problem.loc for problem in refused.value.errors] == ["params.iterations"]
        with pytest.raises(RequestRefused, match="not_found"):
            client.get_task("nothing")
        with pytest.raises(RequestRefused, match="invalid_request"):
            next(client.watch("nothing"))


def test_004s_example_runs_as_it_stands(real_server: ServerProcess) -> None:
    client = Client(real_server.url)
    iterations: list[int] = []
    client.on_iteration_complete = lambda task_id, data: iterations.append(data["iteration"])
    client.connect()
    task = client.create_task(iterations=5)
    client.subscribe(task["task_id"])
    assert client.wait_for_completion(timeout=WITHIN_S) == "completed"
    client.disconnect()
    assert iterations == [1, 2, 3, 4, 5]
    assert client.get_task_result(task["task_id"])["final_iteration"] == 5
    client.close()
