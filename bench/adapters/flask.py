"""Flask-SocketIO on gevent."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.adapters.base import SocketIOServer, Unavailable
from bench.processes import Process


class FlaskSocketIO(SocketIOServer):
    """`bench.peers.flask_gevent`."""

    name = "flask-socketio"
    title = "Flask-SocketIO, gevent"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """The installed packages."""
        try:
            return {name: version(name) for name in ("flask-socketio", "gevent", "python-socketio")}
        except PackageNotFoundError as error:
            raise Unavailable(f"not installed, see make setup ({error})") from None

    def start(self, folder: Path) -> Process:
        """On gevent's own WSGI server."""
        command = [sys.executable, "-m", "bench.peers.flask_gevent", str(self.port)]
        process = Process(command, folder / "flask.log")
        process.wait_for(self.port, "/healthz")
        return process
