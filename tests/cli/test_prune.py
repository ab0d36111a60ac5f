"""`taskpush prune` on the data folder of a real server."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from taskpush.cli.commands import app
from taskpush.cli.exits import ExitCode
from taskpush.store.sqlite.store import SqliteStore
from tests.support.server import ROOT, ServerProcess


def prune(data: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["prune", "--data", str(data), *arguments])


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """A server that ran four tasks of two kinds, and was stopped."""
    server = ServerProcess(tmp_path_factory.mktemp("prune") / "data")
    server.start()
    try:
        for _ in range(3):
            server.wait_over(server.create("iterate", iterations=300))
        server.wait_over(server.create("files"))
    finally:
        server.stop()
    return server


@pytest.fixture
def server(ended: ServerProcess, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server, not running, on a copy of that folder."""
    subprocess.run(["cp", "-r", str(ended.data), str(tmp_path / "data")], check=True)
    process = ServerProcess(tmp_path / "data")
    yield process
    process.stop()


def states(server: ServerProcess) -> dict[str, list[int]]:
    """How many events the tasks of each kind have, newest first."""
    connection = sqlite3.connect(f"file:{server.data / 'taskpush.db'}?mode=ro", uri=True)
    found = connection.execute(
        "SELECT kind, (SELECT count(*) FROM events WHERE task = t.id) FROM tasks AS t"
        " ORDER BY id DESC"
    ).fetchall()
    connection.close()
    return {kind: [count for each, count in found if each == kind] for kind, _ in found}


def digest(server: ServerProcess) -> dict[str, str]:
    """What is in the folder, byte for byte; not what SQLite makes while somebody reads."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(server.data.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_dry_run_says_what_would_go_and_touches_nothing(server: ServerProcess) -> None:
    before = digest(server)
    ran = prune(server.data, "--older-than", "0s", "--dry-run", "--json-lines")
    assert ran.exit_code == ExitCode.OK
    (line,) = ran.stdout.splitlines()
    told = json.loads(line)
    assert told["dry_run"] is True
    counts = [(each["kind"], each["deleted"], each["trimmed"]) for each in told["kinds"]]
    assert counts == [("files", 1, 0), ("iterate", 3, 0)]
    assert all(each["freed_bytes"] > 1000 for each in told["kinds"])
    assert digest(server) == before


def test_what_was_said_goes(server: ServerProcess) -> None:
    said = json.loads(prune(server.data, "--keep", "2", "--dry-run", "--json-lines").stdout)
    done = json.loads(prune(server.data, "--keep", "2", "--json-lines").stdout)
    assert said["kinds"] == done["kinds"]
    assert [(each["kind"], each["deleted"]) for each in done["kinds"]] == [("iterate", 2)]
    assert {kind: len(counts) for kind, counts in states(server).items()} == {
        "files": 1,
        "iterate": 1,
    }
    server.start()
    status, page = server.call("GET", "/api/tasks")
    assert (status, len(page["items"])) == (200, 2)


def test_logs_alone_can_be_trimmed(server: ServerProcess) -> None:
    ran = prune(server.data, "--logs", "--keep", "1", "--kind", "iterate")
    assert ran.exit_code == ExitCode.OK
    assert ran.stdout.split("\t")[:3] == ["iterate", "0", "2"]
    assert "The database takes" in ran.stderr
    assert states(server)["iterate"] == [303, 1, 1]
    assert states(server)["files"][0] > 1


def test_files_go_with_their_tasks(server: ServerProcess) -> None:
    assert any((server.data / "artifacts").iterdir())
    assert prune(server.data, "--max-size", "0", "--kind", "files").exit_code == ExitCode.OK
    assert not any((server.data / "artifacts").iterdir())
    assert list(states(server)) == ["iterate"]


def test_the_file_becomes_smaller(server: ServerProcess) -> None:
    told = json.loads(prune(server.data, "--older-than", "0s", "--json-lines").stdout)
    assert told["database_bytes"] < told["database_bytes_before"] / 2
    assert told["database_bytes"] == (server.data / "taskpush.db").stat().st_size


def test_a_folder_that_a_server_has_open_is_refused_but_can_be_looked_at(
    server: ServerProcess,
) -> None:
    server.start()
    task_id = server.create("iterate", iterations=3)
    server.wait_over(task_id)
    ran = prune(server.data, "--older-than", "0s")
    assert ran.exit_code == ExitCode.REFUSED
    assert f"another server (process {server.pid}) has this data folder open" in ran.stderr
    assert ran.stdout == ""
    looked = json.loads(
        prune(server.data, "--older-than", "0s", "--dry-run", "--json-lines").stdout
    )
    assert [each["deleted"] for each in looked["kinds"]] == [1, 4]
    assert server.call("GET", f"/api/tasks/{task_id}")[0] == 200


def test_nothing_beyond_the_limits_is_nothing_done(server: ServerProcess) -> None:
    ran = prune(server.data, "--older-than", "30d")
    assert (ran.exit_code, ran.stdout) == (ExitCode.OK, "")
    assert "Nothing is beyond the limits." in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what goes"),
        (("--older-than", "soon"), "no length of time"),
        (("--max-size", "much"), "no size"),
        (("--keep", "-1"), "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = prune(tmp_path, *arguments)
    assert ran.exit_code == ExitCode.USAGE
    assert said in ran.stderr


def test_a_folder_without_tasks_is_refused_and_stays_empty(tmp_path: Path) -> None:
    ran = prune(tmp_path, "--keep", "1")
    assert ran.exit_code == ExitCode.REFUSED
    assert "holds no tasks" in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_another_programs_database_is_left_alone(tmp_path: Path, dry_run: list[str]) -> None:
    other = sqlite3.connect(tmp_path / "taskpush.db")
    other.execute("CREATE TABLE tasks (mine TEXT)")
    other.close()
    before = (tmp_path / "taskpush.db").read_bytes()
    ran = prune(tmp_path, "--keep", "0", *dry_run)
    assert ran.exit_code == ExitCode.REFUSED
    assert "the database of another program" in ran.stderr
    assert (tmp_path / "taskpush.db").read_bytes() == before


def test_a_prune_that_is_stopped_says_what_it_has_done(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def stop(*_: Any) -> None:
        nonlocal asked
        asked += 1
        raise KeyboardInterrupt

    monkeypatch.setattr(SqliteStore, "shrink", stop)
    ran = prune(server.data, "--keep", "1")
    assert asked == 1
    assert ran.exit_code == ExitCode.STOPPED
    assert ran.stdout.startswith("iterate\t3\t0\t")
    assert "stopped" in ran.stderr
    monkeypatch.undo()
    assert json.loads(prune(server.data, "--keep", "1", "--json-lines").stdout)["kinds"] == []


def test_it_works_as_a_command_of_its_own(server: ServerProcess) -> None:
    ran = subprocess.run(
        [*(sys.executable, "-m", "taskpush", "prune"), "--data", server.data, "--keep", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout.count("\n")) == (0, 3)
    assert ran.stdout.splitlines()[-1].startswith("all\t4\t0\t")
