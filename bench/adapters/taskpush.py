"""taskpush itself: `taskpush serve`, and kinds that report through the public API."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.adapters.base import Flow, SocketIOServer
from bench.event import NAMESPACE
from bench.frames import get
from bench.load import Step
from bench.processes import Process, wait_until

BATCH: Final = 1000
"""As many tasks as one create takes."""
STREAM: Final = "text/event-stream"
"""In the head of the answer, which comes when the subscription is made."""
OPENING_EVENTS: Final = 2
"""Of each task: pending and running."""


class Taskpush(SocketIOServer):
    """`bench.apps`, on a data folder of its own."""

    name = "taskpush"
    title = "taskpush"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The installed packages."""
        packages = ("taskpush", "uvicorn", "uvloop", "apsw", "orjson")
        return {name: version(name) for name in packages} | {"python": platform.python_version()}

    def start(self, folder: Path) -> Process:
        """As its users start it."""
        command = [
            *(sys.executable, "-m", "taskpush", "serve", "bench.apps:push"),
            *("--port", str(self.port), "--data", str(folder / "data")),
            *("--log-level", "warning"),
        ]
        process = Process(command, folder / "taskpush.log")
        process.wait_for(self.port, "/readyz")
        return process

    def announce(self, channels: Sequence[str]) -> None:
        """A task for each, running and silent."""
        tasks = [{"kind": "channel", "task_id": channel} for channel in channels]
        for first in range(0, len(tasks), BATCH):
            batch = {"tasks": tasks[first : first + BATCH]}
            self.call("POST", "/api/tasks/batch", batch, expected=201)
        wait_until(lambda: not self.call("GET", "/api/tasks?status=pending&limit=1")["items"])

    def publish(self, flow: Flow) -> None:
        """Returns when the task that starts it is stored."""
        self.call("POST", "/api/tasks", {"kind": "flow", "params": asdict(flow)}, expected=201)

    def script_from_position(self) -> list[Step]:
        """As `script`, for a client that comes back: `$0` the task, `$1` epoch, `$2` seq."""
        command = '["subscribe",{"task_id":"$0","after":{"epoch":"$1","seq":$2}}]'
        steps = self.script(1)
        awaited, _, how = steps[-2]
        return [*steps[:-2], (awaited, f"42{NAMESPACE},0{command}", how), steps[-1]]

    def start_of(self, task_id: str, events: int) -> tuple[str, str]:
        """Epoch and seq of what comes before the first of so many iterations, once they exist."""
        found: list[dict[str, Any]] = []

        def are_there() -> bool:
            found[:] = self.call("GET", f"/api/tasks/{task_id}/events?limit=1000")["items"]
            return len(found) >= events + OPENING_EVENTS

        wait_until(are_there)
        before = found[OPENING_EVENTS - 1]
        return before["epoch"], str(before["seq"])


class TaskpushStreams(Taskpush):
    """The same server, watched over Server-Sent Events."""

    name = "taskpush-sse"
    title = "taskpush, Server-Sent Events"

    def script(self, subjects: int) -> list[Step]:
        """A stream is for one task: a client has one subject."""
        assert subjects == 1
        return [("", get("/api/tasks/$0/stream?after=now", self.port), "raw"), (STREAM, "", "raw")]
