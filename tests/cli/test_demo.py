"""The demo of the examples: one command from nothing to a finished task."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT, free_port


def demo(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.demo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | {"TASKPUSH_DATA": str(data)},
    )


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = demo("--port", str(port), data=tmp_path)
    assert ran.returncode == 1
    assert f"port {port} cannot be used" in ran.stderr
    assert ran.stdout == ""


def test_a_server_that_dies_shows_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = demo("--port", "0", "--once", data=tmp_path / "file")
    assert ran.returncode == 1
    assert "the server ended with" in ran.stderr
    assert "Exists" in ran.stderr or "Not a directory" in ran.stderr


@pytest.mark.full
def test_once_runs_the_example_to_its_end_and_leaves_nothing_running(tmp_path: Path) -> None:
    port = free_port()
    ran = demo("--port", str(port), "--once", data=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "completed" in ran.stdout
    assert f"http://127.0.0.1:{port}/tasks/" in ran.stdout
    assert '"final_iteration": 20' in ran.stdout
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
