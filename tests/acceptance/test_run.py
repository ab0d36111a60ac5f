"""`taskpush run`: real programs, seen by those who watch, and ending as they would end."""

from __future__ import annotations

import http.server
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from taskpush.client import Client, WatchEvent
from tests.support.server import ROOT, ServerProcess

TASKPUSH = (sys.executable, "-m", "taskpush", "run")


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Where the tests run in the background of a shell, their programs would ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(server_url: str, *words: str, **options: Any) -> subprocess.Popen[str]:
    """`taskpush run` with these words."""
    return subprocess.Popen(
        [*TASKPUSH, *words],
        cwd=ROOT,
        env=os.environ | {"TASKPUSH_SERVER": server_url, "PYTHONUNBUFFERED": "1"},
        text=True,
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
    )


def ran(server_url: str, *words: str, within_s: float = 60) -> tuple[int, str, str]:
    """Its exit code and what it wrote."""
    with start(server_url, *words, stdin=subprocess.DEVNULL) as process:
        out, err = process.communicate(timeout=within_s)
    return process.returncode, out, err


def task_of(err: str) -> str:
    """The task's id, from the address that was printed."""
    return err.partition("/tasks/")[2].split()[0]


def watched(server: ServerProcess, task_id: str) -> list[WatchEvent]:
    with Client(server.url) as client:
        return [each for each in client.watch(task_id) if isinstance(each, WatchEvent)]


def lines(server: ServerProcess, task_id: str) -> list[tuple[str, str]]:
    """The task's log: which stream, and what."""
    return [
        (event["data"].get("fields", {}).get("stream", "stdout"), event["data"]["message"])
        for event in server.log_of(task_id)
        if event["event_type"] == "log"
    ]


def progress_of(server: ServerProcess, task_id: str) -> dict[str, Any]:
    snapshot = server.call("GET", f"/api/tasks/{task_id}")[1]
    return snapshot["latest"]["progress"] or {}


def test_output_goes_where_it_would_go_and_the_exit_code_is_its_own(
    shared_server: ServerProcess,
) -> None:
    script = "echo out; echo problem >&2; exit 7"
    code, out, err = ran(shared_server.url, "--tag", "nightly", "--", "sh", "-c", script)
    assert (code, out) == (7, "out\n")
    assert "problem\n" in err
    task_id = task_of(err)
    snapshot = shared_server.wait_over(task_id)
    assert (snapshot["status"], snapshot["title"], snapshot["tags"]) == (
        "failed",
        "sh",
        ["nightly"],
    )
    assert snapshot["error"] == {
        "error": "The command ended with exit code 7",
        "error_type": "ExitCode",
        "code": "command_failed",
    }
    assert snapshot["params"]["command"] == ["sh", "-c", script]
    assert sorted(lines(shared_server, task_id)) == [("stderr", "problem"), ("stdout", "out")]


def test_a_tqdm_loop_shows_its_progress(shared_server: ServerProcess) -> None:
    script = """
import time
from tqdm import tqdm
for _ in tqdm(range(100), desc="training", mininterval=0.05):
    time.sleep(0.02)
"""
    with start(shared_server.url, "--", sys.executable, "-c", script) as process:
        assert process.stderr is not None
        task_id = task_of(process.stderr.readline())
        events = watched(shared_server, task_id)
        process.communicate(timeout=30)
    shown = [each.data["completed"] for each in events if each.event_type == "progress"]
    assert process.returncode == 0
    assert len(shown) > 5
    assert shown == sorted(shown)
    assert shown[-1] == 100
    assert progress_of(shared_server, task_id)["progress_percent"] == 100
    assert [stream for stream, _ in lines(shared_server, task_id)] == ["stderr"]


def test_dd_shows_how_much_it_has_copied(shared_server: ServerProcess) -> None:
    # It says how far it is once a second.
    slow = "(head -c 3000000 /dev/zero; sleep 1.5; head -c 3000000 /dev/zero; sleep 1.2)"
    code, _, err = ran(
        shared_server.url, "--", "sh", "-c", f"{slow} | dd of=/dev/null bs=1000 status=progress"
    )
    assert code == 0
    progress = progress_of(shared_server, task_of(err))
    assert (progress["unit"], progress["progress_percent"]) == ("byte", None)
    assert 3_000_000 <= progress["completed"] <= 6_000_000
    assert "copied" in progress["message"]


@contextmanager
def index_with(wheel_bytes: int, folder: Path) -> Iterator[str]:
    """A package index on this machine that has one wheel, and sends it a piece at a time."""
    project = folder / "ballast"
    project.mkdir(parents=True)
    with zipfile.ZipFile(project / "ballast-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("ballast/data.bin", os.urandom(wheel_bytes))
        info = "ballast-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: ballast\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")

    class Slow(http.server.SimpleHTTPRequestHandler):
        def copyfile(self, source: Any, outputfile: Any) -> None:
            while piece := source.read(wheel_bytes // 10):
                outputfile.write(piece)
                time.sleep(0.1)  # A network is not as fast as this machine.

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_pip_download_shows_its_progress_as_on_a_terminal(
    shared_server: ServerProcess, tmp_path: Path
) -> None:
    with index_with(4_000_000, tmp_path / "index") as index:
        words = (sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--no-cache")
        where = ("--dest", str(tmp_path), "--index-url", index, "ballast")
        code, out, err = ran(shared_server.url, "--pty", "--", *words, *where)
    assert code == 0, out + err
    task_id = task_of(err)
    progress = progress_of(shared_server, task_id)
    assert progress["unit"] == "byte"
    assert progress["total"] == pytest.approx(4_000_000, rel=0.05)
    assert progress["progress_percent"] == 100
    assert any("Saved" in text for _, text in lines(shared_server, task_id))


def test_on_a_terminal_the_program_has_one(shared_server: ServerProcess) -> None:
    ours, theirs = pty.openpty()
    script = "import os; print(os.isatty(1), os.isatty(2))"
    with start(
        shared_server.url, "--", sys.executable, "-c", script, stdin=theirs, stdout=theirs
    ) as process:
        assert process.stderr is not None
        task_id = task_of(process.stderr.read())
    os.close(theirs)
    assert os.read(ours, 1000) == b"True False\r\n"
    os.close(ours)
    assert lines(shared_server, task_id) == [("stdout", "True False")]


STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
print("ready", flush=True)
time.sleep(0.2)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("sh", "-c", "echo ready; sleep 100"), 143, ["ready"]),
        ((sys.executable, "-c", STUBBORN), 137, ["ready", "not yet"]),
    ],
    ids=["heeds", "does not heed"],
)
def test_a_cancel_stops_it_and_if_it_does_not_heed_kills_it(
    shared_server: ServerProcess, command: tuple[str, ...], code: int, said: list[str]
) -> None:
    with start(shared_server.url, "--grace", "0.5", "--", *command) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        task_id = task_of(process.stderr.readline())
        with Client(shared_server.url) as client:
            for event in client.watch(task_id):
                if isinstance(event, WatchEvent) and event.event_type == "log":
                    break
            client.cancel(task_id)
        process.communicate(timeout=30)
    assert process.returncode == code
    snapshot = shared_server.wait_over(task_id)
    assert (snapshot["status"], snapshot["message"]) == (
        "cancelled",
        f"Stopped by SIGTERM, exit code {code}",
    )
    assert [text for _, text in lines(shared_server, task_id)] == said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on_to_it(shared_server: ServerProcess, number: int) -> None:
    script = "trap 'echo bye; exit 3' INT TERM; echo ready; sleep 100 & wait"
    with start(shared_server.url, "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, "bye\n")
    snapshot = shared_server.wait_over(task_of(err))
    assert snapshot["status"] == "cancelled"


def test_signals_reach_it_while_the_server_keeps_silent(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"trap 'echo bye; exit 3' TERM; touch {started}; sleep 100 & wait"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with start(url, "--", "sh", "-c", script) as process:
            while not started.exists():
                time.sleep(0.01)  # Another process: there is nothing to await but what it does.
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, "bye\n")
    assert "nothing of it has arrived" in err


def test_without_a_server_the_command_runs_all_the_same(tmp_path: Path) -> None:
    nobody = ServerProcess(tmp_path / "data").url
    began = time.monotonic()
    code, out, err = ran(nobody, "--", "sh", "-c", "echo done; exit 5")
    assert (code, out) == (5, "done\n")
    early, late = err.splitlines()
    assert f"not reported yet: no answer from {nobody}" in early
    assert "the job goes on" in early
    assert "nothing of it has arrived" in late
    # There is no page to look at; and nobody waits as if there were a server that comes back.
    assert "/tasks/" not in err
    assert time.monotonic() - began < 4


def test_what_ran_outside_is_started_again_outside(shared_server: ServerProcess) -> None:
    _, _, err = ran(shared_server.url, "--", "false")
    task_id = task_of(err)
    assert shared_server.wait_over(task_id)["created_by_producer"]
    status, problem = shared_server.call("POST", f"/api/tasks/{task_id}/retry")
    assert (status, problem["code"]) == (409, "started_elsewhere")
    assert "start it again with `taskpush run`" in problem["detail"]
    body = {"kind": "command", "params": {"command": ["true"]}}
    status, problem = shared_server.call("POST", "/api/tasks", body)
    assert (status, problem["code"]) == (409, "started_elsewhere")
    # Nobody waits there.
    queues = shared_server.call("GET", "/api/queue")[1]["items"]
    assert "command" not in {queue["kind"] for queue in queues}


def test_a_program_that_there_is_not_makes_no_task(shared_server: ServerProcess) -> None:
    before = shared_server.call("GET", "/api/tasks?kind=command")[1]["items"]
    code, _, err = ran(shared_server.url, "--", "no-such-program")
    assert (code, err) == (127, "taskpush run: no-such-program: No such file or directory\n")
    assert ran(shared_server.url, "--", "/")[0] == 126
    assert shared_server.call("GET", "/api/tasks?kind=command")[1]["items"] == before


def test_a_server_may_do_without_commands(tmp_path: Path) -> None:
    settings = {"command_kind": "false"}
    with ServerProcess(tmp_path / "data", settings=settings) as server:
        code, out, err = ran(server.url, "--", "echo", "done")
        assert (code, out) == (0, "done\n")
        assert "no kind named command is registered" in err
