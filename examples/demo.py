"""The demo: starts a server with the example kinds, runs a task on it and shows it live.

`python -m examples.demo --port 8000` serves until Ctrl-C; with `--once` it ends with the task.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Final

from taskpush.cli.watching.following import Followed, follow_tasks
from taskpush.cli.watching.render import renderer_for
from taskpush.client import AsyncClient, Client, ClientError, Task

ROOT: Final = Path(__file__).resolve().parents[1]
HOST: Final = "127.0.0.1"
PARAMS: Final = {"bom_file": "config/bom_example.json", "max_iterations": 20}
READY_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 15.0
INTERRUPTED: Final = 130


class DemoFailed(Exception):
    """The demo cannot go on; the message is for people."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server process, and what it has written so far."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def check_alive(self) -> None:
        """Raises `DemoFailed` with the server's output when it has ended."""
        if self.process.poll() is not None:
            self.output.seek(0)
            said = self.output.read().decode(errors="replace").rstrip()
            raise DemoFailed(f"the server ended with {self.process.returncode}:\n{said}")


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port of the server; 0: a free one")
    parser.add_argument("--once", action="store_true", help="end when the task is over")
    options = parser.parse_args()
    # So that the server is ended too when something else ends the demo.
    signal.signal(signal.SIGTERM, _leave)
    try:
        with running_server(free_port(options.port)) as server:
            wait_until_ready(server)
            completed = run_task(server)
            if not options.once:
                serve_on(server)
            return 0 if completed else 1
    except (DemoFailed, ClientError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED if options.once else 0


def free_port(port: int) -> int:
    """The port itself, or a free one for 0; raises `DemoFailed` when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoFailed(
                f"port {port} cannot be used ({error.strerror}): end what runs there, or choose"
                " another, as in `make demo PORT=8001`"
            ) from None
        return int(probe.getsockname()[1])


@contextmanager
def running_server(port: int) -> Iterator[Server]:
    """The server as a child process, which ends with the block."""
    command = [sys.executable, "-m", "taskpush", "serve", "examples.gallery:push"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "--host", HOST, "--port", str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Server(process, output, port)
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process, gently first, and wait until it is gone."""
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_ready(server: Server) -> None:
    """Until the server says that it can work; raises `DemoFailed` when it ends or takes long."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not _is_ready(server):
        server.check_alive()
        if time.monotonic() > deadline:
            raise DemoFailed(f"{server.url} was not ready within {READY_WITHIN_S:g} s")
        time.sleep(0.1)  # Another process: there is nothing to wait for but its answer.


def run_task(server: Server) -> bool:
    """Run the example, show it live and say where to look; returns whether it completed."""
    with Client(server.url) as client:
        task = client.create_task("layout", PARAMS, title="Demo layout")
        print(f"Live in a browser: {server.url}/tasks/{task.task_id}")
        print(f"The API:           {server.url}/docs\n")
        completed = asyncio.run(show(server, task)) == "completed"
        if completed:
            result = client.get_task_result(task.task_id)
            print("\nResult:", json.dumps(result, ensure_ascii=False, indent=2))
    return completed


async def show(server: Server, task: Task) -> str:
    """Show the task until it is over; returns its status then."""
    screen = renderer_for(sys.stdout)
    followed = Followed({task.task_id: None})
    async with AsyncClient(server.url, on_connection_change=screen.connection) as client:
        await follow_tasks(client, [task], screen, followed)
    end = followed.ends[task.task_id]
    if isinstance(end, ClientError):
        raise end
    return end


def serve_on(server: Server) -> None:
    """Leave the server running until Ctrl-C, or until it ends by itself."""
    print(f"\nThe server goes on at {server.url}; Ctrl-C ends it.", flush=True)
    server.process.wait()
    server.check_alive()


def _is_ready(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _leave(signal_number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main())
