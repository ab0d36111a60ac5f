"""python-socketio with FastAPI on uvicorn."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from bench.adapters.base import SocketIOServer
from bench.processes import Process


class PlainSocketIO(SocketIOServer):
    """`bench.peers.plain_socketio`."""

    name = "python-socketio"
    title = "python-socketio, FastAPI, uvicorn"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The installed packages."""
        packages = ("python-socketio", "python-engineio", "fastapi", "uvicorn", "uvloop")
        return {name: version(name) for name in packages}

    def start(self, folder: Path) -> Process:
        """With uvicorn's defaults."""
        command = [sys.executable, "-m", "bench.peers.plain_socketio", str(self.port)]
        process = Process(command, folder / "plain.log")
        process.wait_for(self.port, "/healthz")
        return process
