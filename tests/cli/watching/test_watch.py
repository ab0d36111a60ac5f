"""`taskpush watch`: one task, several, a feed; how it ends, and how one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from taskpush.cli.exits import ExitCode
from tests.cli.conftest import Run
from tests.client.ctrl_c import ctrl_c_raises
from tests.client.fake_server import FakeServer
from tests.client.wire import TASK
from tests.support.server import ROOT, ServerProcess

OTHER = f"1{TASK[1:]}"
THIRD = f"2{TASK[1:]}"
WITHIN_S = 20


class Watching:
    """`taskpush watch` in a process, which is killed when a test waits for it too long."""

    def __init__(self, url: str, *arguments: str) -> None:
        # A test run in the background may have the signal ignored, which children inherit.
        with ctrl_c_raises():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "taskpush", "watch", *arguments],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | {"TASKPUSH_SERVER": url, "PYTHONUNBUFFERED": "1"},
            )
        self._limit = threading.Timer(WITHIN_S, self._process.kill)
        self._limit.start()

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode()

    def notice(self) -> str:
        """The next line on its standard error."""
        assert self._process.stderr is not None
        return self._process.stderr.readline().decode()

    def end(self) -> tuple[int, str, str]:
        """How it ended: code, and what else it said."""
        out, err = self._process.communicate()
        self._limit.cancel()
        self._limit.join()
        return self._process.returncode, out.decode(), err.decode()

    def press_ctrl_c(self) -> str:
        """What it says on standard error then."""
        self._process.send_signal(signal.SIGINT)
        code, _, err = self.end()
        assert code == ExitCode.STOPPED
        return err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("completed", "completed"), ExitCode.OK),
        (("completed", "cancelled"), ExitCode.CANCELLED),
        (("interrupted", "cancelled"), ExitCode.INTERRUPTED),
        (("failed", "interrupted"), ExitCode.FAILED),
    ],
)
def test_several_end_as_the_worst_of_them(
    run: Run, fake: FakeServer, words: tuple[str, str], code: int
) -> None:
    for task_id, word in zip((TASK, OTHER), words, strict=True):
        fake.create(task_id)
        fake.end(task_id, word)
    ran = run("watch", TASK, OTHER)
    assert ran.code == code
    assert sorted(line.split(" ", 1)[1] for line in ran.lines) == sorted(
        f"layout {TASK[-6:]}: {word}" for word in ("pending", "pending", *words)
    )


def test_each_task_is_watched_once(run: Run, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.end(TASK)
    assert len(run("watch", TASK, TASK.upper(), "--json-lines").lines) == 2


def test_a_task_that_is_deleted_meanwhile_is_told(fake: FakeServer) -> None:
    for task_id in (TASK, OTHER):
        fake.create(task_id)
    watch = Watching(fake.url, TASK, OTHER, "--json-lines")
    assert {json.loads(watch.line())["task_id"] for _ in range(2)} == {TASK, OTHER}
    fake.send("task_deleted", {"task_id": TASK})
    fake.end(OTHER)
    code, out, err = watch.end()
    assert code == ExitCode.REFUSED
    assert json.loads(out)["task_id"] == OTHER
    assert err.startswith(f"taskpush: {TASK}: ")


def test_ctrl_c_says_how_to_go_on_with_each_task_that_is_not_over(fake: FakeServer) -> None:
    for task_id in (TASK, OTHER, THIRD):
        fake.create(task_id)
    fake.iterate(TASK, 1, 2)
    fake.end(OTHER)
    watch = Watching(fake.url, TASK, OTHER, THIRD, "--json-lines")
    for _ in range(6):
        watch.line()
    assert watch.press_ctrl_c().splitlines() == [
        "",
        "No longer watching; the tasks go on. Again:",
        f"  taskpush watch {TASK} --after e1:3",
        f"  taskpush watch {THIRD} --after e1:1",
    ]


def test_ctrl_c_leaves_the_terminal_as_it_was(fake: FakeServer) -> None:
    fake.create(TASK)
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (24, 40))
    with ctrl_c_raises():
        process = subprocess.Popen(
            [sys.executable, "-m", "taskpush", "watch", TASK],
            cwd=ROOT,
            stdin=its,
            stdout=its,
            stderr=its,
            env=os.environ | {"TASKPUSH_SERVER": fake.url, "TERM": "xterm-256color"},
        )
    os.close(its)
    limit = threading.Timer(WITHIN_S, process.kill)
    limit.start()
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        while b"pending" not in shown:
            shown += terminal.read(4096)
        process.send_signal(signal.SIGINT)
        # A terminal that nobody writes to any more cannot be read.
        with suppress(OSError):
            while more := terminal.read(4096):
                shown += more
    assert process.wait() == ExitCode.STOPPED
    limit.cancel()
    limit.join()
    assert b"No longer watching; the task goes on." in shown
    # The cursor is there again.
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0


def test_a_feed_goes_on_until_ctrl_c_and_from_its_cursor(server: ServerProcess) -> None:
    # Nobody reports it, so it waits.
    task_id = server.create("render")
    watch = Watching(server.url, "--feed", "kind:render", "--json-lines")
    assert json.loads(watch.line())["task"]["status"] == "pending"
    server.call("POST", f"/api/tasks/{task_id}/cancel", {})
    change = json.loads(watch.line())
    assert change["feed"] == "kind:render"
    assert (change["task"]["task_id"], change["task"]["status"]) == (task_id, "cancelled")
    again = watch.press_ctrl_c().splitlines()[-1]
    assert again == f"  taskpush watch --feed kind:render --after {change['cursor']}"
    other = server.create("render")
    watch = Watching(server.url, *again.split()[2:])
    assert f"render {other[-6:]}: pending" in watch.line()
    watch.press_ctrl_c()


def test_what_is_no_feed_is_refused(server: ServerProcess, run: Run) -> None:
    ran = run("watch", "--feed", "nonsense", "--server", server.url)
    assert (ran.code, ran.out) == (ExitCode.REFUSED, "")
    assert "invalid_request" in ran.err


@pytest.mark.parametrize(
    "arguments", [(), (TASK, "--feed", "all"), (TASK, OTHER, "--after", "e1:3")]
)
def test_what_to_watch_is_said_in_one_way(
    run: Run, fake: FakeServer, arguments: tuple[str, ...]
) -> None:
    assert run("watch", *arguments).code == ExitCode.USAGE
    assert fake.subscribes == []


def test_a_lost_connection_is_said_and_costs_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        task_id = server.create("render")
        watch = Watching(server.url, task_id)
        assert "pending" in watch.line()
        server.kill()
        assert watch.notice() == "connection lost, trying again …\n"
        server.start()
        assert watch.notice() == "connected again\n"
        server.call("POST", f"/api/tasks/{task_id}/cancel", {})
        code, out, err = watch.end()
    assert (code, err) == (ExitCode.CANCELLED, "")
    assert [line.split()[1] for line in out.splitlines()] == ["cancelled:"]
