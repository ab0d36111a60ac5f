"""`taskpush serve`: what it refuses, and that its options say what the settings do."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.cli.conftest import Run
from tests.support.server import ROOT, ServerProcess

APP = "tests.support.kinds:push"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "jobs.example"])
def test_it_does_not_listen_beyond_this_machine_unless_somebody_says_so(
    run: Run, host: str
) -> None:
    ran = run("serve", APP, "--host", host)
    assert ran.code == 2
    assert "--insecure-public" in ran.err


def test_host_and_port_may_be_variables(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("TASKPUSH_PORT", str(port))
        ran = run("serve", APP)
        assert (ran.code, f"cannot listen on 127.0.0.1:{port}" in ran.err) == (2, True)
    monkeypatch.setenv("TASKPUSH_HOST", "192.0.2.1")
    assert "192.0.2.1 is reachable from other machines" in run("serve", APP).err


def test_a_folder_that_another_server_has_open_is_told_in_a_line(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        words = ("-m", "taskpush", "serve", APP, "--port", "0", "--data", str(server.data))
        ran = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        (line,) = [line for line in ran.stderr.splitlines() if "has this data folder" in line]
        assert f"another server (process {server.pid}) has this data folder open" in line
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--allow-host", "jobs.example:8000", "without a port"),
        ("--allow-origin", "jobs.example", "is not an origin"),
        ("--trusted-proxy", "nginx", "does not appear to be"),
    ],
)
def test_what_is_no_name_is_wrong_usage(run: Run, option: str, value: str, said: str) -> None:
    ran = run("serve", APP, option, value)
    assert ran.code == 2
    assert said in ran.err


def test_options_say_who_may_come(tmp_path: Path) -> None:
    options = ("--allow-host", "jobs.example", "--allow-origin", "https://app.example")
    trusted = ("--trusted-proxy", "127.0.0.1", "--host", "localhost")
    with ServerProcess(tmp_path / "data", args=(*options, *trusted)) as server:

        def status(**headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return requests.get(f"{server.url}/healthz", headers=named, timeout=10).status_code

        assert status(Host="jobs.example") == 200
        assert status(Host="other.example") == 400
        assert status(Host="other.example", X_Forwarded_Host="jobs.example") == 200
        assert status(Origin="https://app.example") == 200
        assert status(Origin="https://other.example") == 403
