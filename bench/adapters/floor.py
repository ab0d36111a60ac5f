"""The floor: uvloop and bare sockets."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from bench.adapters.base import Flow, Server
from bench.load import Step
from bench.processes import HOST, Process


class Floor(Server):
    """`bench.peers.floor`."""

    name = "floor"
    title = "floor: uvloop, bare sockets"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The installed package."""
        return {"uvloop": version("uvloop")}

    def start(self, folder: Path) -> Process:
        """One process."""
        command = [sys.executable, "-m", "bench.peers.floor", str(self.port)]
        process = Process(command, folder / "floor.log")
        process.wait_for(self.port)
        return process

    def script(self, subjects: int) -> list[Step]:
        """One line for each subscription, which is confirmed."""
        steps = [("ok" if i else "", f"sub ${i}\n", "raw") for i in range(subjects)]
        return [*steps, ("ok", "", "raw")]

    def publish(self, flow: Flow) -> None:
        """Returns at once."""
        with socket.create_connection((HOST, self.port)) as control:
            control.sendall(f"flow {json.dumps(asdict(flow))}\n".encode())
            control.recv(16)
