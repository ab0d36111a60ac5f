"""taskpush itself: `taskpush serve`, and kinds that report through the public API."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

from bench.adapters.base import Flow, SocketIOServer
from bench.processes import Process

BATCH = 1000
"""As many tasks as one create takes."""


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
