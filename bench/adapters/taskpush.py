"""taskpush itself: `taskpush serve`, and kinds that report through the public API."""

from __future__ import annotations

import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.adapters.base import Flow, SocketIOServer
from bench.event import NAMESPACE
from bench.load import Step
from bench.processes import Process

BATCH: Final = 1000
"""As many tasks as one create takes."""
ITERATED_WITHIN_S: Final = 30.0


class Taskpush(SocketIOServer):
    """`bench.apps`, on a data folder of its own."""

    name = "taskpush"
    title = "taskpush"
    reusable_channels = False

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

    def publish(self, flow: Flow) -> None:
        """A task for each channel; returns when all are stored."""
        tasks = [
            {
                "kind": "flow",
                "task_id": channel,
                "params": {
                    "events": flow.events,
                    "rate_hz": flow.rate_hz,
                    "start_us": round(flow.start_us + i * flow.stagger_us),
                    "size_bytes": flow.size_bytes,
                },
            }
            for i, channel in enumerate(flow.channels)
        ]
        for first in range(0, len(tasks), BATCH):
            batch = {"tasks": tasks[first : first + BATCH]}
            self.call("POST", "/api/tasks/batch", batch, expected=201)

    def script_from_position(self) -> list[Step]:
        """As `script`, for a client that comes back: `$0` the task, `$1` epoch, `$2` seq."""
        command = '["subscribe",{"task_id":"$0","after":{"epoch":"$1","seq":$2}}]'
        steps = self.script(1)
        awaited, _, how = steps[-2]
        return [*steps[:-2], (awaited, f"42{NAMESPACE},0{command}", how), steps[-1]]

    def start_of(self, task_id: str, events: int) -> tuple[str, str]:
        """Epoch and seq of what comes before the first of so many iterations, once they exist."""
        deadline = time.monotonic() + ITERATED_WITHIN_S
        while time.monotonic() < deadline:
            items = self.call("GET", f"/api/tasks/{task_id}/events?limit=1000")["items"]
            kinds = [each["event_type"] for each in items]
            if kinds.count("iteration_complete") >= events:
                before = items[kinds.index("iteration_complete") - 1]
                return before["epoch"], str(before["seq"])
            time.sleep(0.1)  # Another process: there is nothing to await but its answer.
        raise RuntimeError(f"not {events} events within {ITERATED_WITHIN_S:g} s")
