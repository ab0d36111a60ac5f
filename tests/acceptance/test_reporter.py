"""A program with a `Reporter`: nothing it logs is lost or doubled, and nothing holds it up."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from taskpush import Reporter, TaskCancelled
from taskpush.access.principal import Role
from taskpush.ids import new_task_id
from taskpush.reporter import Undelivered
from tests.support.keys import Keys
from tests.support.server import ROOT, ServerProcess

NOTICED_WITHIN_S = 20.0


def of_type(log: list[dict[str, Any]], event_type: str) -> list[dict[str, Any]]:
    return [event["data"] for event in log if event["event_type"] == event_type]


def messages(server: ServerProcess, task_id: str) -> list[str]:
    return [data["message"] for data in of_type(server.log_of(task_id), "log")]


def has_lines(server: ServerProcess, task_id: str, count: int) -> bool:
    """Whether so many have arrived; the task itself may be on its way."""
    exists = server.call("GET", f"/api/tasks/{task_id}")[0] == 200
    return exists and len(messages(server, task_id)) >= count


def statuses(server: ServerProcess, task_id: str) -> list[str]:
    return [data["status"] for data in of_type(server.log_of(task_id), "status_change")]


def until(true: Callable[[], object], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # Another process: there is nothing to await but what it shows.


@contextmanager
def reporting(url: str, seconds: float, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that reports, ended when the test is."""
    words = [sys.executable, "-m", "tests.support.reporting", url, str(seconds), *more]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_what_a_job_says_is_seen_as_a_handlers_is(
    shared_server: ServerProcess, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG" + bytes(300_000))
    with Reporter.start(
        shared_server.url, "render", {"scene": "quay"}, title="The quay", tags=["night"]
    ) as report:
        report.stage("load", "Loading textures")
        report.log("textures loaded", level="warning", count=3)
        report.logger.info("by a %s", "logger")
        for n in report.track(range(1, 5), unit="frame"):
            report.iteration(n, {"noise": 1 / n})
        report.queue(["next.blend", "later.blend"])
        report.artifact("times.txt", "frame 1: 0.3 s\n")
        report.artifact("picture.png", picture)
        # It is open already.
        picture.unlink()
        report.log("bad", value=float("nan"))
        report.complete({"frames": 4})
    snapshot = shared_server.wait_over(report.task_id)
    assert (snapshot["status"], snapshot["title"], snapshot["tags"]) == (
        "completed",
        "The quay",
        ["night"],
    )
    progress = snapshot["latest"]["progress"]
    assert (progress["progress_percent"], progress["stage"]) == (100, "load")
    assert snapshot["latest"]["stats"]["queue_titles"] == ["next.blend", "later.blend"]
    log = shared_server.log_of(report.task_id)
    assert [data["iteration"] for data in of_type(log, "iteration_complete")] == [1, 2, 3, 4]
    assert [(data["name"], data["size_bytes"]) for data in of_type(log, "artifact")] == [
        ("times.txt", 15),
        ("picture.png", 300_004),
    ]
    assert messages(shared_server, report.task_id) == [
        "textures loaded",
        "by a logger",
        "log: fields.value: nan cannot travel as a JSON number; left out",
        "bad",
    ]
    assert log[-1]["data"]["result"] == {"frames": 4}
    report.check_delivered()


@pytest.mark.parametrize(
    "down_s", [3, pytest.param(30, marks=[pytest.mark.full, pytest.mark.timeout(180)])]
)
def test_a_server_that_is_down_in_mid_job_costs_neither_events_nor_time(
    server: ServerProcess, down_s: float
) -> None:
    with reporting(server.url, down_s + 3) as process:
        task_id = line_of(process)
        until(lambda: has_lines(server, task_id, 20))
        server.kill()
        time.sleep(down_s)  # It is the outage that is tested.
        server.start()
        found = json.loads(line_of(process))
    print(found)
    assert (found["lost"], found["left_out"]) == (None, 0)
    assert found["in_calls_s"] < 0.01 * found["took_s"]
    assert found["longest_s"] < 1
    snapshot = server.wait_over(task_id)
    assert (snapshot["status"], snapshot["attempt"]) == ("completed", 1)
    turns = found["turns"]
    log = server.log_of(task_id)
    assert [data["iteration"] for data in of_type(log, "iteration_complete")] == list(range(turns))
    assert messages(server, task_id) == [f"line {n}" for n in range(turns)]
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))


@pytest.mark.parametrize("lease_s", [1.0, pytest.param(15.0, marks=pytest.mark.full)])
def test_a_program_that_is_killed_is_noticed(tmp_path: Path, lease_s: float) -> None:
    lease = {"producer_lease_s": str(lease_s)}
    with (
        ServerProcess(tmp_path / "data", settings=lease) as server,
        reporting(server.url, 100) as process,
    ):
        task_id = line_of(process)
        until(lambda: has_lines(server, task_id, 3))
        process.kill()
        killed = time.monotonic()
        snapshot = server.wait_over(task_id)
        assert time.monotonic() - killed < NOTICED_WITHIN_S
        assert (snapshot["status"], snapshot["reason"]) == ("interrupted", "producer_lost")


def test_a_program_that_was_taken_for_dead_goes_on_in_another_attempt(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "data", settings={"producer_lease_s": "1"}) as server,
        reporting(server.url, 6) as process,
    ):
        task_id = line_of(process)
        until(lambda: has_lines(server, task_id, 3))
        process.send_signal(signal.SIGSTOP)
        try:
            assert server.wait_over(task_id)["status"] == "interrupted"
        finally:
            process.send_signal(signal.SIGCONT)
        found = json.loads(line_of(process))
        snapshot = server.wait_over(task_id)
        assert (snapshot["status"], snapshot["attempt"]) == ("completed", 2)
        assert messages(server, task_id) == [f"line {n}" for n in range(found["turns"])]
        assert snapshot["latest"]["progress"]["completed"] == found["turns"] - 1


def test_the_server_may_come_after_the_job_has_begun(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    troubles: list[str] = []
    report = Reporter.start(server.url, "render", on_trouble=troubles.append)
    report.log("early")
    until(lambda: troubles)
    assert not report.flush(0)
    with server:
        report.complete({"frames": 0})
        assert report.close(20)
        assert messages(server, report.task_id) == ["early"]
    assert "not reported yet" in troubles[0]
    assert "reported now" in troubles[-1]


def test_a_cancel_is_told_and_what_stops_for_it_is_cancelled(shared_server: ServerProcess) -> None:
    called: list[bool] = []
    report = Reporter.start(shared_server.url, "render", on_cancel=lambda: called.append(True))
    assert report.flush()
    report.check_cancelled()
    assert shared_server.call("POST", f"/api/tasks/{report.task_id}/cancel")[0] == 202
    until(lambda: report.cancelled, within_s=10)
    with pytest.raises(TaskCancelled), report:
        report.check_cancelled()
    assert called == [True]
    assert shared_server.wait_over(report.task_id)["status"] == "cancelled"


def test_a_task_cancelled_before_it_is_taken_up_tells_the_job_to_stop(
    shared_server: ServerProcess,
) -> None:
    task_id = shared_server.create("render")
    assert shared_server.call("POST", f"/api/tasks/{task_id}/cancel")[0] == 202
    report = Reporter.attach(shared_server.url, task_id, attempt=1, on_trouble=lambda _: None)
    until(lambda: report.lost)
    assert report.cancelled
    assert not report.close()


def test_what_is_raised_in_the_block_is_why_it_failed(shared_server: ServerProcess) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        Reporter.start(shared_server.url, "render") as report,
    ):
        print(1 / 0)
    (error,) = of_type(shared_server.log_of(report.task_id), "error")
    assert (error["error"], error["error_type"]) == ("division by zero", "ZeroDivisionError")


def test_what_a_reporter_began_is_tried_once_and_again_by_a_producer_alone(
    shared_server: ServerProcess,
) -> None:
    """Though the kind says two attempts: nobody would take the second one up."""
    with suppress(ZeroDivisionError), Reporter.start(shared_server.url, "render") as report:
        _ = 1 / 0
    snapshot = shared_server.wait_over(report.task_id)
    assert (snapshot["status"], snapshot["max_attempts"]) == ("failed", 1)
    path = f"/api/tasks/{report.task_id}/retry"
    status, problem = shared_server.call("POST", path)
    assert (status, problem["code"]) == (409, "started_elsewhere")
    status, snapshot = shared_server.call("POST", path, {"producer_id": "host.1"})
    assert (status, snapshot["status"], snapshot["attempt"]) == (202, "pending", 2)


def test_a_producer_begins_its_task_once_and_none_that_a_handler_runs(
    shared_server: ServerProcess,
) -> None:
    mine = {"kind": "render", "params": {"scene": "quay"}, "producer_id": "host.1"}
    status, problem = shared_server.call("POST", "/api/tasks", mine | {"max_attempts": 3})
    assert (status, problem["errors"][0]["loc"]) == (422, "max_attempts")
    over = shared_server.wait_over(shared_server.create("fail"))
    path = f"/api/tasks/{over['task_id']}/retry"
    status, problem = shared_server.call("POST", path, {"producer_id": "host.1"})
    assert (status, problem["code"]) == (409, "not_external")
    assert shared_server.call("GET", path.removesuffix("/retry"))[1]["attempt"] == over["attempt"]


def test_a_kind_that_nobody_takes_is_told_and_the_job_goes_on(shared_server: ServerProcess) -> None:
    troubles: list[str] = []
    with Reporter.start(shared_server.url, "nothing", on_trouble=troubles.append) as report:
        until(lambda: troubles)
    (said,) = troubles
    assert f"nothing of task {report.task_id} is reported: the server does not take it" in said
    assert "no kind named nothing is registered (unknown_kind); the job goes on" in said
    with pytest.raises(Undelivered, match="unknown_kind"):
        report.check_delivered()


def test_no_server_is_told_at_once_and_not_waited_for_at_the_end(tmp_path: Path) -> None:
    nobody = ServerProcess(tmp_path / "data").url
    troubles: list[str] = []
    began = time.monotonic()
    with Reporter.start(nobody, "render", on_trouble=troubles.append) as report:
        until(lambda: troubles)
        report.log("into the dark")
    assert time.monotonic() - began < 4
    early, late = troubles
    assert f"not reported yet: no answer from {nobody}" in early
    assert "nothing of it has arrived" in late
    with pytest.raises(Undelivered, match="nothing of it has arrived"):
        report.check_delivered()


def test_a_result_that_the_kind_does_not_take_is_said_to_be_why(
    shared_server: ServerProcess,
) -> None:
    for result in ({"frames": "many"}, {"frames": object()}):
        with Reporter.start(shared_server.url, "render") as report:
            report.log("nearly")
            report.complete(result)
        (error,) = of_type(shared_server.log_of(report.task_id), "error")
        assert error["code"] == "invalid_result"
        assert messages(shared_server, report.task_id) == ["nearly"]


def test_a_waiting_task_is_taken_up_and_only_by_one(shared_server: ServerProcess) -> None:
    task_id = new_task_id()
    shared_server.call(
        "POST", "/api/tasks", {"kind": "render", "params": {"scene": "sea"}, "task_id": task_id}
    )
    troubles: list[str] = []
    with Reporter.start(shared_server.url, "render", {"scene": "sea"}, task_id=task_id) as report:
        assert report.flush()
        assert report.attempt == 1
        other = Reporter.attach(shared_server.url, task_id, on_trouble=troubles.append)
        other.log("me too")
        assert not other.close()
        assert other.lost == "the task is running already"
        with pytest.raises(Undelivered):
            other.check_delivered()
        report.complete({"frames": 1})
    assert messages(shared_server, task_id) == []
    assert troubles


def test_a_forked_child_says_nothing_and_harms_nobody(shared_server: ServerProcess) -> None:
    script = """
import os, sys
from taskpush import Reporter
with Reporter.start(sys.argv[1], "render") as report:
    report.log("before")
    child = os.fork()
    report.log(f"after {child == 0}")
    report.progress(1, 2)
    if child == 0:
        report.complete({"frames": 7})
        sys.exit(0)
    print(os.waitpid(child, 0)[1], report.task_id)
    report.complete({"frames": 1})
"""
    ran = run_script(script, shared_server.url)
    status, task_id = ran.stdout.split()
    assert status == "0"
    assert messages(shared_server, task_id) == ["before", "after False"]
    assert shared_server.call("GET", f"/api/tasks/{task_id}/result")[1]["result"] == {"frames": 1}


def run_script(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_a_program_that_closes_nothing_delivers_at_its_end(shared_server: ServerProcess) -> None:
    script = """
import sys
from taskpush import Reporter
report = Reporter.start(sys.argv[1].replace("127.0.0.1", "localhost"), "render")
for n in range(100):
    report.log(str(n))
report.complete({"frames": 1})
print(report.task_id)
"""
    task_id = run_script(script, shared_server.url).stdout.strip()
    assert messages(shared_server, task_id) == [str(n) for n in range(100)]
    assert shared_server.wait_over(task_id)["status"] == "completed"


def test_sigterm_ends_a_reporting_program_at_once(tmp_path: Path) -> None:
    nobody = ServerProcess(tmp_path / "data").url
    with reporting(nobody, 100) as process:
        assert line_of(process)
        before = time.monotonic()
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
        assert time.monotonic() - before < 5


async def test_in_a_coroutine_it_is_awaited_and_the_loop_goes_on(
    shared_server: ServerProcess,
) -> None:
    longest_s = 0.0

    async def beat() -> None:
        nonlocal longest_s
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest_s = max(longest_s, time.monotonic() - before)

    beating = asyncio.create_task(beat())
    async with Reporter.start(shared_server.url, "render") as report:
        for n in range(20):
            await report.iteration(n, {"noise": 0.5})
            await report.progress(n, 20)
            await asyncio.sleep(0)
        report.complete({"frames": 20})
    beating.cancel()
    with suppress(asyncio.CancelledError):
        await beating
    assert longest_s < 1
    snapshot = await asyncio.to_thread(shared_server.wait_over, report.task_id)
    assert snapshot["status"] == "completed"


def test_records_of_the_programs_own_loggers_are_lines(shared_server: ServerProcess) -> None:
    own = logging.getLogger("studio.render")
    with Reporter.start(shared_server.url, "render") as report:
        handler = report.logging_handler()
        own.addHandler(handler)
        try:
            own.warning("%d rays", 12)
            own.debug("not this")
        finally:
            own.removeHandler(handler)
        report.complete({"frames": 1})
    assert messages(shared_server, report.task_id) == ["12 rays"]


def test_a_small_limit_of_bodies_only_makes_smaller_batches(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", settings={"max_body_bytes": "2KiB"}) as server:
        with Reporter.start(server.url, "render") as report:
            for n in range(50):
                report.log(f"{n} " + "x" * 400)
            report.log("y" * 4000)
            report.log("after")
            report.complete({"frames": 1})
        said = messages(server, report.task_id)
    assert [text.split()[0] for text in said[:50]] == [str(n) for n in range(50)]
    assert said[50:] == ["log: too large for the server; left out", "after"]


def test_a_server_restored_from_an_older_copy_gets_again_what_it_lost(
    server: ServerProcess, tmp_path: Path
) -> None:
    with Reporter.start(server.url, "render", on_trouble=lambda _: None) as report:
        report.log("kept")
        assert report.flush()
        server.stop()
        shutil.copytree(server.data, tmp_path / "copy")
        server.start()
        for text in ("lost 1", "lost 2"):
            report.log(text)
            assert report.flush(10)
        server.kill()
        shutil.rmtree(server.data)
        shutil.move(tmp_path / "copy", server.data)
        server.start()
        report.log("after")
        report.complete({"frames": 1})
        assert report.close(20)
    assert messages(server, report.task_id) == ["kept", "lost 1", "lost 2", "after"]
    assert statuses(server, report.task_id) == ["pending", "running", "completed"]


def test_it_needs_the_roles_create_and_report_and_says_what_is_wrong(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "data")
    token = keys.make("worker", Role.CREATE, Role.REPORT)
    weak = keys.make("weak", Role.CREATE, Role.READ)
    with ServerProcess(tmp_path / "data") as server:
        with Reporter.start(server.url, "render", token=token) as report:
            report.complete({"frames": 1})
        report.check_delivered()
        assert "needs the role report" in refused(server, weak)
        assert "no API key" in refused(server, token + "x")


def refused(server: ServerProcess, token: str) -> str:
    """What is told of the trouble with a token that is not good for it."""
    troubles: list[str] = []
    report = Reporter.start(server.url, "render", token=token, on_trouble=troubles.append)
    until(lambda: troubles)
    assert not report.close()
    return troubles[0]
