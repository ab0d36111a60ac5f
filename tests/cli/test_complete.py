"""What shells offer: kinds, params, tasks; quickly, and silently when the server does not tell."""

from __future__ import annotations

import socket
import time

import pytest
from typer.testing import CliRunner

from taskpush.cli.commands import app
from tests.client.fake_server import FakeServer
from tests.client.wire import TASK
from tests.support.server import ServerProcess, free_port

HOSTILE = "\\$(touch owned) `touch owned` \"'; [/red] \x1b[2J $HOME"
GUARD_S = 5.0


def offered(url: str, line: str, *, shell: str = "bash") -> list[str]:
    """What the shell is told when somebody asks at the end of the line."""
    words = line.split(" ")
    asked = {
        "_TASKPUSH_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "TASKPUSH_SERVER": url,
    }
    result = CliRunner().invoke(app, [], env=asked, prog_name="taskpush")
    assert result.stderr == ""
    return [offer for offer in result.stdout.splitlines() if offer]


def test_commands_are_offered_without_a_server() -> None:
    assert offered("http://127.0.0.1:9", "taskpush wat") == ["watch"]


def test_kinds_and_their_params_are_offered_for_submit(server: ServerProcess) -> None:
    assert {"iterate", "render"} <= set(offered(server.url, "taskpush submit "))
    assert offered(server.url, "taskpush submit iter") == ["iterate"]
    # Whoever runs a command creates its task.
    assert offered(server.url, "taskpush submit comm") == []
    assert offered(server.url, "taskpush submit iterate ") == [
        *("iterations=", "pause_s=", "log_every=")
    ]
    assert offered(server.url, "taskpush submit iterate seed=1 pa") == ["pause_s="]
    assert offered(server.url, "taskpush list --kind iter") == ["iterate"]
    assert offered(server.url, "taskpush watch --feed kind:iter") == ["kind:iterate"]
    assert offered(server.url, "taskpush watch --feed o") == ["owner:me"]


def test_tasks_are_offered_to_the_commands_that_fit_them(server: ServerProcess) -> None:
    waiting, done = server.create("render"), server.create("iterate", iterations=0)
    server.wait_over(done)
    assert offered(server.url, "taskpush watch ") == [done, waiting]
    assert offered(server.url, f"taskpush watch {done} ") == [waiting]
    assert offered(server.url, "taskpush cancel ") == [waiting]
    assert offered(server.url, "taskpush result ") == [done]
    assert offered(server.url, "taskpush delete ") == [done]
    assert offered(server.url, "taskpush retry ") == []
    for command in ("show", "logs", "artifacts"):
        assert offered(server.url, f"taskpush {command} {done[:20]}") == [done]
    # The option is heeded, and wins over the variable.
    asked = f"taskpush cancel --server {server.url} "
    assert offered("http://127.0.0.1:9", asked) == [waiting]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_tasks_are_called_is_no_command_of_the_shell(
    server: ServerProcess, shell: str
) -> None:
    body = {"kind": "render", "params": {}, "title": f"{HOSTILE} end"}
    task_id = server.call("POST", "/api/tasks", body)[1]["task_id"]
    (line,) = (it for it in offered(server.url, "taskpush watch ", shell=shell) if task_id in it)
    # zsh evaluates it, in double quotes.
    assert "pending, (touch owned) touch owned ’ /red 2J HOME end" in line


@pytest.mark.parametrize("line", ["taskpush submit ", "taskpush watch ", "taskpush watch --feed k"])
def test_a_server_that_does_not_tell_costs_little_time_and_no_word(line: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addresses = [
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            f"http://127.0.0.1:{free_port()}",
            "http://no-such-host.invalid",
            "nonsense",
        ]
        began = time.monotonic()
        assert [offered(url, line) for url in addresses] == [[]] * 4
        assert time.monotonic() - began < GUARD_S


def test_an_answer_that_is_none_is_no_word_either(fake: FakeServer) -> None:
    fake.create(TASK)
    assert offered(fake.url, "taskpush watch ") == [TASK]
    fake.records[TASK]["task_id"] = "$(touch owned)"
    assert offered(fake.url, "taskpush watch ") == []
    assert offered(f"{fake.url}/nowhere", "taskpush watch ") == []
