"""The commands that look at a real server's tasks: show, logs, queue, kinds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from taskpush.cli.exits import ExitCode
from tests.cli.conftest import Ran
from tests.support.server import ROOT, ServerProcess


@pytest.fixture(scope="module")
def logged(server: ServerProcess) -> str:
    """A task with 300 iterations and 100 lines of log."""
    task_id = server.create("iterate", iterations=300, log_every=3)
    server.wait_over(task_id)
    return task_id


def said(ran: Ran) -> list[str]:
    """The messages, without their times."""
    assert (ran.code, ran.err) == (ExitCode.OK, "")
    return [line.split(" ", 2)[2] for line in ran.lines]


def test_a_log_is_printed_whole(server: ServerProcess, logged: str) -> None:
    lines = [f"info    line {n} iteration={n}" for n in range(3, 301, 3)]
    assert said(Ran(("logs", logged), server.url)) == lines
    assert said(Ran(("logs", logged, "--follow"), server.url)) == lines


def test_the_end_of_a_log_is_printed_alone(server: ServerProcess, logged: str) -> None:
    assert said(Ran(("logs", logged, "-n", "2"), server.url)) == [
        "info    line 297 iteration=297",
        "info    line 300 iteration=300",
    ]
    # Further back than the first look.
    assert len(said(Ran(("logs", logged, "--tail", "99"), server.url))) == 99
    assert len(said(Ran(("logs", logged, "--tail", "1000"), server.url))) == 100
    assert said(Ran(("logs", logged, "--tail", "0", "-f"), server.url)) == []


def test_a_log_is_printed_from_a_level_and_a_time_on(server: ServerProcess, logged: str) -> None:
    assert said(Ran(("logs", logged, "--level", "warning"), server.url)) == []
    assert said(Ran(("logs", logged, "--since", "0s"), server.url)) == []
    assert len(said(Ran(("logs", logged, "--since", "1h"), server.url))) == 100
    assert Ran(("logs", logged, "--since", "soon"), server.url).code == ExitCode.USAGE


def test_a_log_has_the_errors_of_its_attempts(server: ServerProcess) -> None:
    task_id = server.create("fail")
    server.wait_over(task_id)
    (line,) = said(Ran(("logs", task_id, "--level", "error"), server.url))
    assert line.startswith("error   ")
    (event,) = Ran(("logs", task_id, "--level", "error", "--json-lines"), server.url).lines
    assert json.loads(event)["event_type"] == "error"


def test_a_log_is_followed_until_the_task_is_over(server: ServerProcess) -> None:
    task_id = server.create("iterate", iterations=40, log_every=10, pause_s=0.05)
    ran = Ran(("logs", task_id, "-f"), server.url)
    assert [line.split()[2] for line in said(ran)] == ["10", "20", "30", "40"]


def test_the_log_of_no_task_is_refused(server: ServerProcess) -> None:
    for more in ((), ("-f",), ("-n", "3")):
        ran = Ran(("logs", "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f", *more), server.url)
        assert (ran.code, ran.out) == (ExitCode.REFUSED, "")
        assert "not_found" in ran.err


def test_a_task_is_shown_with_what_is_known_of_it(server: ServerProcess, logged: str) -> None:
    facts = dict(line.split("\t") for line in Ran(("show", logged), server.url).lines)
    assert facts["task"] == logged
    assert facts["kind"] == "iterate"
    assert facts["status"] == "completed: Task completed"
    assert facts["progress"].startswith("100 % iteration 300/300")
    assert "left" not in facts["progress"]
    assert json.loads(facts["params"]) == {"iterations": 300, "pause_s": 0, "log_every": 3}
    (line,) = Ran(("show", logged, "--json-lines"), server.url).lines
    assert json.loads(line) == server.call("GET", f"/api/tasks/{logged}")[1]


def test_an_attempt_that_was_asked_for_by_hand_is_of_no_number(server: ServerProcess) -> None:
    task_id = server.create("fail")
    server.wait_over(task_id)
    assert "\tattempt 1 of 1" in Ran(("show", task_id), server.url).lines
    assert server.call("POST", f"/api/tasks/{task_id}/retry")[0] == 202
    server.wait_over(task_id)
    assert "\tattempt 2" in Ran(("show", task_id), server.url).lines


def test_what_a_task_is_called_cannot_drive_the_terminal(server: ServerProcess) -> None:
    title = "\x1b]0;owned\x07[red]first[/]\nsecond\tthird"
    body = {"kind": "render", "params": {}, "title": title}
    task_id = server.call("POST", "/api/tasks", body)[1]["task_id"]
    shown = "\ufffd]0;owned\ufffd[red]first[/] second third"
    assert f"title\t{shown}" in Ran(("show", task_id), server.url).lines
    assert f"{shown}\n" in Ran(("list", "--kind", "render"), server.url).out
    server.call("POST", f"/api/tasks/{task_id}/cancel", {})


def test_the_queue_tells_who_waits_and_how_much_room_there_is(server: ServerProcess) -> None:
    first, second = (server.create("narrow", seconds=30) for _ in range(2))
    ran = Ran(("queue", "--kind", "narrow"), server.url)
    assert ran.lines[0].split("\t")[:3] == ["narrow", "1/1", "1/10"]
    assert ran.lines[1] == ""
    assert ran.lines[2].split("\t")[:3] == ["1", "narrow", second]
    (line,) = Ran(("queue", "--kind", "narrow", "--json-lines"), server.url).lines
    assert json.loads(line)["entries"][0]["task_id"] == second
    for task_id in (second, first):
        server.call("POST", f"/api/tasks/{task_id}/cancel", {})


def test_a_kind_is_told_with_its_params(server: ServerProcess) -> None:
    ran = Ran(("kinds", "iterate"), server.url)
    assert "kind\titerate (default)" in ran.lines
    assert "runs\t500 at once" in ran.lines
    assert "iterations\tinteger ≥ 0 ≤ 100000\t20\t" in ran.lines
    assert "runs\tby producers outside" in Ran(("kinds", "render"), server.url).lines
    (line,) = Ran(("kinds", "iterate", "--json-lines"), server.url).lines
    assert json.loads(line)["name"] == "iterate"
    ran = Ran(("kinds", "nonsense"), server.url)
    assert (ran.code, ran.out) == (ExitCode.REFUSED, "")


def test_help_and_completion_load_no_client() -> None:
    code = "import sys, taskpush.cli.commands; print({'aiohttp', 'fastapi'} & sys.modules.keys())"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"
