"""Worker processes from their own side: they end with their server, whatever they do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runner.workbench import wait_until_gone

ORPHANS_GONE_S = 2.0

# A server of its own: runs one process task, says the worker's pid, and waits to be killed.
SERVER = """
import asyncio, sys
from pathlib import Path
from tests.runner import process_kinds
from tests.runner.workbench import Workbench

async def main(folder):
    bench = Workbench(folder)
    await bench.open()
    await bench.submit(bench.kind(getattr(process_kinds, sys.argv[2]), process=True),
                       {"file": str(folder / "beat")})
    await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1])))
"""

# A script whose handlers stand in `__main__`.
SCRIPT = """
import asyncio, sys
from pathlib import Path
from pydantic import BaseModel
from tests.runner.workbench import Workbench

class Params(BaseModel):
    x: int

def double(ctx, params: Params) -> int:
    return 2 * params.x

async def main(folder):
    bench = Workbench(folder)
    await bench.open()
    record = await bench.run(double, {"x": 21}, process=True)
    print(record.status, record.result, record.error)
    await bench.close()

if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
"""


def run_python(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, text=True, stdout=subprocess.PIPE
    )


def wait_until_written(file: Path) -> int:
    """The number in `file`, as soon as there is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if file.exists() and (text := file.read_text()):
            return int(text)
        time.sleep(0.01)
    raise TimeoutError(file.name)


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = run_python("-c", SERVER, str(tmp_path), request.param)
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("server", ["stubborn", "burn", "hold_the_lock"], indirect=True)
def test_kill_9_of_the_server_leaves_no_worker_at_work(
    server: subprocess.Popen[str], tmp_path: Path
) -> None:
    pid = wait_until_written(tmp_path / "beat")
    server.send_signal(signal.SIGKILL)
    wait_until_gone(pid, ORPHANS_GONE_S)


def test_a_worker_whose_server_is_gone_before_it_starts_ends() -> None:
    ours, theirs = socket.socketpair()
    worker = subprocess.Popen(
        [sys.executable, "-m", "taskpush.runner.worker", str(theirs.fileno()), "1"],
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    theirs.close()
    assert worker.wait(20) == 1
    ours.close()


def test_a_worker_whose_socket_closes_ends_its_group() -> None:
    ours, theirs = socket.socketpair()
    worker = subprocess.Popen(
        [sys.executable, "-m", "taskpush.runner.worker", str(theirs.fileno()), str(os.getpid())],
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    theirs.close()
    ours.close()
    assert worker.wait(20) == -signal.SIGKILL


def test_a_handler_in_a_script_is_found_by_the_scripts_path(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    process = run_python(str(script), str(tmp_path / "data"))
    said, _ = process.communicate(timeout=30)
    assert said.strip() == "completed 42 None"


def test_a_handler_in_a_module_run_by_name_is_found_by_that_name(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "jobs.py").write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    said = subprocess.run(
        [sys.executable, "-m", "package.jobs", str(tmp_path / "data")],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        timeout=30,
    ).stdout
    assert said.strip() == "completed 42 None"
