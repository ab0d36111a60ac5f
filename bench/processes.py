"""Processes of a measurement: started, waited for, weighed from `/proc`, stopped by their id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
HOST: Final = "127.0.0.1"
READY_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 10.0
BOUND: Final = ("setpriv", "--pdeathsig", "TERM")
"""In front of a command: it is ended when its parent dies, however that dies."""


class NotStarted(Exception):
    """A server did not come up; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process and its children hold, in bytes."""

    rss: int
    # Pages shared by several processes count for each in proportion.
    pss: int


class Process:
    """A child process with its log; ends with this process at the latest."""

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*BOUND, *command],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env or {}),
            )

    @property
    def said(self) -> str:
        """The end of what it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def wait_for(self, port: int, path: str | None = None) -> None:
        """Until it listens on `port`, and answers `path` with 200; raises `NotStarted`."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not (listens(port) if path is None else answers(port, path)):
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                raise NotStarted(f"not ready (exit code {code}): {self.said}")
            time.sleep(0.02)

    def cpu_s(self) -> float:
        """CPU seconds, user and system, of the process and its living descendants."""
        return sum(cpu_s_of(pid) for pid in self._tree())

    def memory(self) -> Memory:
        """What it holds now, descendants included."""
        rss = pss = 0
        for pid in self._tree():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                sizes = _rollup(pid)
                rss += sizes["Rss"]
                pss += sizes["Pss"]
        return Memory(rss, pss)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left of it and its descendants, or takes long."""
        _, *descendants = self._tree()
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in descendants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _tree(self) -> Iterator[int]:
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    waiting += map(int, children.read_text().split())


def wait_until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    """Until it holds; raises `RuntimeError`."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout_s:g} s")
        time.sleep(0.05)  # Another process: there is nothing to await but its answer.


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections on `port`."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def answers(port: int, path: str) -> bool:
    """Whether `path` is answered with 200."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def cpu_s_of(pid: int) -> float:
    """CPU seconds, user and system, of all threads that a process has or had; 0 once it is gone.

    Source: clock_getcpuclockid(3). As the times in `/proc/PID/stat`, without their ticks of 10 ms.
    """
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def _rollup(pid: int) -> dict[str, int]:
    """Sizes by name, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    parts = (line.split() for line in lines)
    return {name.rstrip(":"): int(number) * 1024 for name, number, *_ in parts}
