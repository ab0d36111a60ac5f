"""What the page says that a server says, it says."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from taskpush.errors import CODES
from tests.docs.page import Page, Shell

PAGE = Page("docs/how-to/troubleshooting.md")
README = Page("README.md")


def _rows(heading: str) -> list[str]:
    """What stands in the first column of the table below the heading."""
    section = PAGE.text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.*?) \|", section, re.MULTILINE)[1:]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    (tmp_path / "jobs.py").write_text(README.block("python", "# jobs.py").text)
    return shell


def _as_typed(row: str, *, port: int = 8000, process: int = 4711) -> str:
    return row.strip("`").replace(":8000", f":{port}").replace("4711", str(process))


def test_a_server_that_does_not_start_says_what_the_page_says(shell: Shell) -> None:
    taken, folder, public, module, _ = _rows("The server does not start")
    serve = f"taskpush serve jobs:push --port {shell.port}"
    with socket.create_server(("127.0.0.1", shell.port)):
        assert _as_typed(taken, port=shell.port) in _said(shell, serve)
    assert _as_typed(public) in _said(shell, f"{serve} --host 0.0.0.0")
    (shell.folder / "jobs.py").rename(shell.folder / "job.py")
    assert _as_typed(module) in _said(shell, serve)
    with shell.serving("taskpush serve job:push") as server:
        said = _said(shell, "taskpush serve job:push --port 0", expects=1)
        assert _as_typed(folder, process=server.pid) in said


def test_the_doctor_answers_to_what_the_page_types(shell: Shell) -> None:
    (command,) = PAGE.block("", "taskpush doctor").commands
    with shell.serving("taskpush serve jobs:push"):
        assert "socketio_websocket" in shell.type(command.replace(command.split()[-1], shell.url))


def test_the_codes_that_clients_see_exist() -> None:
    named = re.findall(r"`(\d{3}) (\w+)`", "\n".join(_rows("Clients do not reach it")))
    assert named
    assert [(CODES[code].status, code) for _, code in named] == [
        (int(status), code) for status, code in named
    ]


def _said(shell: Shell, command: str, *, expects: int = 2) -> str:
    """On one line, as a narrow terminal would not show it."""
    return " ".join(shell.type(command, expects=expects).split())
