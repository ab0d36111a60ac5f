"""A real server process, to be talked to, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Literal, Self

import orjson
import psutil

ROOT = Path(__file__).parents[2]
PlainServer = Literal["uvicorn", "hypercorn"]
PLAIN_SERVERS: Final[tuple[PlainServer, ...]] = ("uvicorn", "hypercorn")
START_WITHIN_S = 100.0
"""So long it has taken on machines that others kept busy: a guard, below pytest's own."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """`taskpush serve` in a process of its own, always on the same port and data folder.

    With `plain_asgi` the same application under that server as it comes, without our `--ws`.
    """

    def __init__(
        self,
        data: Path,
        *,
        app: str = "tests.support.kinds:push",
        args: tuple[str, ...] = (),
        plain_asgi: PlainServer | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.port = free_port()
        self.log_path = data.parent / f"{data.name}.log"
        self._app = app
        self._args = args
        self.plain_asgi = plain_asgi
        self._settings = {
            f"TASKPUSH_{name.upper()}": value
            for name, value in {"data": str(data), **(settings or {})}.items()
        }
        # None while it does not run.
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start it, and return when it is ready."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command(), *self._args],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._settings | {"PYTHONUNBUFFERED": "1"},
            )
        deadline = time.monotonic() + START_WITHIN_S
        while (problem := self._not_ready()) is not None:
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"not started ({problem}, exit code {code}):\n{self.log}")
            time.sleep(0.02)  # Another process: there is nothing to await but its answer.

    def _command(self) -> tuple[str, ...]:
        port = ("--port", str(self.port))
        if not self.plain_asgi:
            return ("taskpush", "serve", self._app, *port, "--data", str(self.data))
        if self.plain_asgi == "hypercorn":
            at = ("--bind", f"127.0.0.1:{self.port}")
            # No workers: the process that is started serves by itself, and can be killed.
            return ("hypercorn", self._app, *at, "--workers", "0", "--graceful-timeout", "3")
        quiet = ("--log-level", "warning", "--timeout-graceful-shutdown", "3")
        return ("uvicorn", self._app, *port, "--ws", "websockets-sansio", *quiet)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self) -> None:
        """kill -9, of the server's process alone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> int:
        """SIGTERM; returns the exit code. Does nothing when it does not run."""
        if self._process is None:
            return 0
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Until it has stopped, which somebody asked it to; returns the exit code."""
        assert self._process is not None
        try:
            code = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop:\n{self.log[-5000:]}") from None
        self._process = None
        return code

    @property
    def rss_bytes(self) -> int:
        """The memory of its process."""
        rss: int = psutil.Process(self.pid).memory_info().rss
        return rss

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        number: int = psutil.Process(self.pid).num_fds()
        return number

    @property
    def peer_ports(self) -> set[int]:
        """The ports that it has connections from."""
        connections = psutil.Process(self.pid).net_connections("tcp")
        return {it.raddr.port for it in connections if it.status == psutil.CONN_ESTABLISHED}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        timeout_s: float = 30,
        token: str | None = None,
    ) -> tuple[int, Any]:
        """One REST call: status and JSON body."""
        data = raw if raw is not None else orjson.dumps(body) if body is not None else None
        status, _, content = self.raw(method, path, data, timeout_s=timeout_s, token=token)
        return status, orjson.loads(content) if content else None

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        timeout_s: float = 30,
        token: str | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One REST call: status, headers but for the date, and body."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            said = {name.lower(): value for name, value in answer.headers.items()}
            said.pop("date", None)
            return answer.status, said, answer.read()

    def create(self, kind: str, **params: Any) -> str:
        """Create a task; returns its id."""
        return self.create_as(None, kind, **params)

    def create_as(self, token: str | None, kind: str, /, **params: Any) -> str:
        """Create a task, and show a credential; returns its id."""
        body = {"kind": kind, "params": params}
        status, snapshot = self.call("POST", "/api/tasks", body, token=token)
        assert status == 201, snapshot
        task_id: str = snapshot["task_id"]
        return task_id

    def log_of(self, task_id: str) -> list[dict[str, Any]]:
        """All logged events of a task, by following the pages."""
        events: list[dict[str, Any]] = []
        path = f"/api/tasks/{task_id}/events?limit=1000"
        while path:
            status, page = self.call("GET", path)
            assert status == 200, page
            events += page["items"]
            path = page["next"]
        return events

    def wait_seq(self, task_id: str, seq: int, *, token: str | None = None) -> str:
        """Until the log has come so far; returns the position there."""
        position: dict[str, Any] = {"seq": 0}
        deadline = time.monotonic() + 60
        # Volatile events end the wait of a poll as well.
        while position["seq"] < seq:
            assert time.monotonic() < deadline, f"not at {seq} after 60 s: {position}"
            path = f"/api/tasks/{task_id}/events?after={position['seq']}&wait_s=5"
            position = self.call("GET", path, token=token)[1]["position"]
        return f"{position['epoch']}:{position['seq']}"

    def wait_over(self, task_id: str, timeout_s: float = 60) -> dict[str, Any]:
        """Until nothing executes the task; returns its snapshot."""
        deadline = time.monotonic() + timeout_s
        path = f"/api/tasks/{task_id}/events?limit=1000"
        while True:
            snapshot: dict[str, Any] = self.call("GET", f"/api/tasks/{task_id}")[1]
            if snapshot["final"] or snapshot["status"] == "interrupted":
                return snapshot
            position = snapshot["position"]
            at = f"&after={position['epoch']}:{position['seq']}" if position["seq"] else ""
            assert time.monotonic() < deadline, f"not over after {timeout_s} s: {snapshot}"
            self.call("GET", f"{path}{at}&wait_s=5")

    def _not_ready(self) -> str | None:
        """What `/readyz` has against it; None when it is ready."""
        try:
            status, answer = self.call("GET", "/readyz", timeout_s=2)
        except (OSError, HTTPException) as error:
            return repr(error)
        return None if status == 200 else str(answer)
