"""Worker processes from the server's side: they can be killed, and their death is an outcome."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from taskpush.models.events import Status
from taskpush.telemetry.events import TaskEnded
from tests.runner import kinds, process_kinds
from tests.runner.workbench import Workbench, wait_until_gone


async def test_a_crash_interrupts_the_task_and_names_the_signal(bench: Workbench) -> None:
    record = await bench.run(process_kinds.crash, process=True)
    assert record.status is Status.INTERRUPTED
    assert record.reason == "worker_lost"
    assert record.message == "The worker process was ended by signal SIGSEGV"


async def test_a_process_that_exits_without_a_word_interrupts_the_task(bench: Workbench) -> None:
    record = await bench.run(process_kinds.vanish, process=True)
    assert record.reason == "worker_lost"
    assert record.message == "The worker process ended with exit code 7"


async def test_a_dead_worker_is_noticed_although_its_child_holds_the_socket(
    bench: Workbench,
) -> None:
    record = await bench.run(process_kinds.hold_on_to_socket, process=True)
    assert record.message == "The worker process ended with exit code 9"


async def test_a_handler_that_ignores_its_cancel_is_killed_after_the_grace(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    await bench.open(grace_s=0.2)
    beat = tmp_path / "beat"
    task_id = await bench.submit(
        bench.kind(process_kinds.stubborn, process=True), {"file": str(beat)}
    )
    await bench.begun(task_id)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.CANCELLED
    await asyncio.to_thread(wait_until_gone, int(beat.read_text()))
    await bench.close()


async def test_what_a_handler_started_goes_with_it(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    await bench.open(grace_s=0.1)
    other = tmp_path / "other"
    kind = bench.kind(process_kinds.parent_of_another, process=True)
    task_id = await bench.submit(kind, {"file": str(other)})
    await bench.begun(task_id)
    await bench.cancel(task_id)
    await bench.over(task_id)
    await asyncio.to_thread(wait_until_gone, int(other.read_text()))
    await bench.close()


async def test_a_completed_handler_leaves_nothing_running(bench: Workbench) -> None:
    record = await bench.run(process_kinds.leave_something_running, process=True)
    assert isinstance(record.result, int)
    await asyncio.to_thread(wait_until_gone, record.result)


async def test_stopping_kills_a_stubborn_process_at_the_deadline(
    bench: Workbench, tmp_path: Path
) -> None:
    beat = tmp_path / "beat"
    task_id = await bench.submit(
        bench.kind(process_kinds.stubborn, process=True), {"file": str(beat)}
    )
    await bench.begun(task_id)
    assert await bench.runner.stop(0.1) == 1
    assert (await bench.record(task_id)).reason == "server_stopped"
    await asyncio.to_thread(wait_until_gone, int(beat.read_text()))


async def test_the_slot_is_free_only_when_the_process_is_gone(bench: Workbench) -> None:
    kind = bench.kind(process_kinds.surroundings, process=True, concurrency=1)
    first, second = await bench.submit(kind), await bench.submit(kind)
    await bench.until(lambda: bool(bench.noticed_of(TaskEnded)))
    pid = (await bench.over(first)).result
    assert isinstance(pid, dict)
    assert not psutil.pid_exists(int(str(pid["pid"])))
    await bench.over(second)


async def test_a_worker_sees_the_servers_path_folder_and_environment_but_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for name in ("TASKPUSH_JWT_SECRET", "TASKPUSH_JWT_SECRET_FILE", "TASKPUSH_TOKEN"):
        monkeypatch.setenv(name, "canary")
    bench = Workbench(tmp_path)
    await bench.open(process_env={"TASKPUSH_TEST_MARK": "here"})
    result = (await bench.run(process_kinds.surroundings, process=True)).result
    assert isinstance(result, dict)
    assert result["mark"] == "here"
    assert result["secrets"] == []
    assert result["cwd"] == os.getcwd()
    assert result["pythonpath"] is None
    assert result["pid"] != os.getpid()
    await bench.close()


async def test_a_worker_imports_no_server(bench: Workbench) -> None:
    result = (await bench.run(process_kinds.surroundings, process=True)).result
    assert isinstance(result, dict)
    modules = result["modules"]
    assert isinstance(modules, list)
    for heavy in ("fastapi", "starlette", "socketio", "engineio", "apsw", "uvicorn", "aiohttp"):
        assert heavy not in modules


async def test_an_interpreter_that_cannot_be_started_interrupts_the_task(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    record = await bench.run(process_kinds.surroundings, process=True)
    assert record.status is Status.INTERRUPTED
    assert record.message == "The worker process could not be run: No such file or directory"


async def test_nothing_spooled_is_left(bench: Workbench) -> None:
    await bench.run(kinds.everything, process=True)
    await bench.idle()
    assert not list(bench.folder.glob("spool/*"))


async def test_many_workers_leave_no_descriptor_open(bench: Workbench) -> None:
    kind = bench.kind(process_kinds.vanish, process=True, concurrency=3)
    await bench.over(await bench.submit(kind))
    await bench.idle()
    before = psutil.Process().num_fds()
    for task_id in [await bench.submit(kind) for _ in range(6)]:
        await bench.over(task_id)
    await bench.idle()
    assert psutil.Process().num_fds() <= before
