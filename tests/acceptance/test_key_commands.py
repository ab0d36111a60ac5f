"""API keys at the command line, beside a server that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.support.keys import Keys, secret_part
from tests.support.server import ROOT, ServerProcess


@pytest.fixture(scope="module")
def server(keyed_server: ServerProcess) -> ServerProcess:
    return keyed_server


def _cli(*words: str, data: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskpush", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TASKPUSH_DATA": str(data), **env},
    )


def test_keys_are_made_listed_used_and_revoked_on_the_command_line(
    server: ServerProcess, data: Path
) -> None:
    made = _cli(
        *("keys", "create", "shell", "--role", "create", "--role", "read"),
        *("--owner", "sue", "--tenant", "acme", "--expires", "1h"),
        data=data,
    )
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert re.fullmatch(r"tpk_[0-9a-f]{16}_[\w-]{43}", key)
    listed = _cli("keys", "list", "--json-lines", data=data)
    shell = [
        line for line in map(orjson.loads, listed.stdout.splitlines()) if line["owner"] == "sue"
    ]
    assert [(each["name"], each["state"], each["roles"]) for each in shell] == [
        ("shell", "in use", ["create", "read"])
    ]
    assert secret_part(key) not in listed.stdout
    asked = ("list", "--server", server.url)
    assert _cli(*asked, data=data, TASKPUSH_TOKEN=key).returncode == 0
    assert _cli("kinds", "--server", server.url, "--token", key, data=data).returncode == 0
    assert _cli("keys", "revoke", "shell", data=data).returncode == 0
    ended = _cli(*asked, data=data, TASKPUSH_TOKEN=key)
    assert (ended.returncode, "access_ended" in ended.stderr) == (6, True)
    assert _cli("keys", "revoke", "shell", data=data).returncode == 6
    assert _cli("keys", "create", "x", "--role", "king", data=data).returncode == 2


def test_a_server_that_runs_asks_who_it_is_from_the_first_key_on(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        assert server.call("GET", "/api/tasks")[0] == 200
        assert "this machine only, without login" in server.log
        key = Keys(server.data).make("first", tenant="local", owner="local")
        assert server.call("GET", "/api/tasks")[1]["code"] == "unauthenticated"
        assert server.call("GET", "/api/tasks", token=key)[0] == 200


def test_beyond_loopback_a_server_with_keys_starts_and_one_without_does_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    refused = _cli(
        "serve", "tests.support.kinds:push", "--host", "0.0.0.0", "--port", "0", data=data
    )
    assert refused.returncode == 2
    assert "taskpush keys create" in refused.stderr
    Keys(data).make("first")
    with ServerProcess(data, args=("--host", "0.0.0.0")) as server:
        assert "API keys" in server.log
        assert server.call("GET", "/api/tasks")[0] == 401
