"""The commands: what they print, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from taskpush.cli.exits import ExitCode
from tests.cli.conftest import Ran, Run
from tests.client.ctrl_c import ctrl_c_raises
from tests.client.fake_server import FakeServer
from tests.client.wire import TASK
from tests.support.server import ROOT, free_port

WITHIN_S = 60


def test_submit_prints_the_id_of_the_task(run: Run, fake: FakeServer) -> None:
    ran = run("submit", "layout", "seed=7", "bom_file=config/bom.json", "--title", "First")
    assert ran.code == ExitCode.OK
    (created,) = fake.creates
    assert ran.lines == [created["task_id"]]
    assert created["params"] == {"seed": 7, "bom_file": "config/bom.json"}
    assert created["title"] == "First"


def test_submit_reads_params_from_a_file(run: Run, fake: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"seed": 1, "deep": true}', encoding="utf-8")
    assert run("submit", "layout", "seed=2", "--json", str(file)).code == ExitCode.OK
    assert fake.creates[0]["params"] == {"seed": 2, "deep": True}


def test_submit_can_print_the_snapshot_as_json(run: Run) -> None:
    ran = run("submit", "layout", "--json-lines")
    (line,) = ran.lines
    assert json.loads(line)["status"] == "pending"


def test_refused_params_name_their_fields(run: Run) -> None:
    ran = run("submit", "layout", "seed=many")
    assert ran.code == ExitCode.REFUSED
    assert "invalid_params" in ran.err
    assert "params.seed: Input should be a valid integer" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("completed", ExitCode.OK),
        ("failed", ExitCode.FAILED),
        ("cancelled", ExitCode.CANCELLED),
        ("interrupted", ExitCode.INTERRUPTED),
    ],
)
def test_watch_ends_as_the_task_did(run: Run, fake: FakeServer, word: str, code: int) -> None:
    fake.create(TASK)
    fake.run(TASK)
    fake.end(TASK, word, message="over")
    ran = run("watch", TASK)
    assert ran.code == code
    assert [line.split(" ", 1)[1] for line in ran.lines] == ["pending", "running", f"{word}: over"]
    # Nothing is left to show, and the code is the same.
    again = run("watch", TASK, "--after", "e1:3")
    assert (again.code, again.out) == (code, "")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_watch_says_how_to_go_on_with_what_was_interrupted_here(
    run: Run, fake: FakeServer, elsewhere: bool
) -> None:
    fake.create(TASK)
    fake.records[TASK]["created_by_producer"] = elsewhere
    fake.run(TASK)
    fake.end(TASK, "interrupted")
    hint = f"\nInterrupted, to be gone on with:\n  taskpush retry {TASK} --watch"
    assert run("watch", TASK).err.startswith(hint) is not elsewhere
    assert run("watch", TASK, "--json-lines").err == ""


def test_watch_prints_envelopes_and_nothing_else(run: Run, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, 3)
    fake.end(TASK)
    ran = run("watch", TASK, "--json-lines", "--after", "2")
    assert [json.loads(line) for line in ran.lines] == fake.logs[TASK][2:]
    assert ran.err == ""


def test_watching_an_unknown_task_does_not_wait_for_it(run: Run, fake: FakeServer) -> None:
    ran = run("watch", TASK)
    assert ran.code == ExitCode.REFUSED
    assert "not_found" in ran.err
    assert fake.subscribes == []


def test_list_is_for_people_and_for_cut(run: Run, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.create(f"1{TASK[1:]}")
    fake.end(TASK)
    ran = run("list", "--limit", "5")
    assert [line.split("\t")[:3] for line in ran.lines] == [
        [TASK, "layout", "completed"],
        [f"1{TASK[1:]}", "layout", "pending"],
    ]
    (only,) = run("list", "--status", "pending", "--json-lines").lines
    assert json.loads(only)["task_id"] == f"1{TASK[1:]}"


def test_cancel_says_what_became_of_it(run: Run, fake: FakeServer) -> None:
    fake.create(TASK)
    assert run("cancel", TASK).lines == ["pending, asked to stop"]
    fake.end(TASK)
    ran = run("cancel", TASK)
    assert (ran.code, ran.out) == (ExitCode.REFUSED, "")
    assert "illegal_transition" in ran.err


def test_result_prints_json(run: Run, fake: FakeServer) -> None:
    fake.create(TASK)
    assert run("result", TASK).code == ExitCode.REFUSED
    fake.end(TASK, result={"plan": "größer"})
    assert json.loads(run("result", TASK).out) == {"plan": "größer"}
    assert run("result", TASK, "--json-lines").lines == ['{"plan": "größer"}']


def test_result_of_a_failed_task_ends_as_the_task_did(run: Run, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.end(TASK, "failed")
    ran = run("result", TASK)
    assert ran.code == ExitCode.FAILED
    assert "NoPlan: no plan fits" in ran.err


def test_kinds_lists_what_can_run(run: Run) -> None:
    assert run("kinds").lines == ["layout\t\t"]


def test_a_server_that_is_not_there_is_told_apart() -> None:
    ran = Ran(("kinds",), f"http://127.0.0.1:{free_port()}")
    assert ran.code == ExitCode.UNREACHABLE
    assert "127.0.0.1" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "layout", "seed"),
        ("submit", "layout", "--json", "/missing.json"),
        ("list", "--limit", "0"),
        ("kinds", "--server", "nowhere"),
        ("dance",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_apart(run: Run, fake: FakeServer, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == ExitCode.USAGE
    assert fake.creates == []


@pytest.mark.parametrize("command", ["submit", "watch", "list", "cancel", "result", "kinds"])
def test_every_help_has_the_exit_codes(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == ExitCode.OK
    assert "Exit codes" in ran.out
    assert "130 stopped by Ctrl-C" in " ".join(ran.out.split())


def test_the_version_is_told(run: Run) -> None:
    ran = run("--version")
    assert (ran.code, ran.lines) == (ExitCode.OK, [f"taskpush {version('taskpush')}"])


def test_keys_are_told_as_json_lines(run: Run, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path), "--json-lines")
    (made,) = run("keys", "create", "alice", *data).lines
    (listed,) = run("keys", "list", *data).lines
    (revoked,) = run("keys", "revoke", "alice", *data).lines
    key = json.loads(made)
    assert key["name"] == json.loads(listed)["name"] == "alice"
    assert key["key"] not in listed
    assert json.loads(revoked) == json.loads(listed) | {
        "state": "revoked",
        "revoked_at": json.loads(revoked)["revoked_at"],
    }


def test_the_help_of_serve_is_its_own(run: Run) -> None:
    ran = run("serve", "--help")
    assert ran.code == ExitCode.OK
    assert "--data" in ran.out


def test_ctrl_c_stops_the_watching_and_says_that_the_task_goes_on(fake: FakeServer) -> None:
    fake.create(TASK)
    # A test run in the background may have the signal ignored, which children inherit.
    with ctrl_c_raises():
        process = subprocess.Popen(
            [sys.executable, "-m", "taskpush", "watch", TASK, "--json-lines"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"TASKPUSH_SERVER": fake.url},
        )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["seq"] == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == ExitCode.STOPPED
    assert out == b""
    assert b"the task goes on" in err


def test_a_watch_goes_on_in_a_pipe_that_was_closed(fake: FakeServer) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, 50)
    fake.end(TASK)
    command = f"{sys.executable} -m taskpush watch {TASK} | head -n 1"
    ran = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=WITHIN_S,
        env=os.environ | {"TASKPUSH_SERVER": fake.url},
    )
    assert b"pending" in ran.stdout
    assert b"Traceback" not in ran.stderr


def test_the_asyncapi_document_is_printed_without_a_server(run: Run, fake: FakeServer) -> None:
    ran = run("asyncapi")
    assert ran.code == ExitCode.OK
    assert json.loads(ran.out)["asyncapi"] == "3.1.0"
