"""A proxy that holds WebSockets back, as a busy machine does, and lets the rest through at once."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SILENT_S = 60.0


class HeldHandshakes(socketserver.ThreadingTCPServer):
    """Forwards connections to a server; those of WebSockets once they are released."""

    daemon_threads = True

    def __init__(self, upstream_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarded)
        self.upstream = ("127.0.0.1", upstream_port)
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Forwarded(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        proxy = self.server
        assert isinstance(proxy, HeldHandshakes)
        head = self.request.recv(65536)
        if b"upgrade: websocket" in head.lower() and not proxy.released.wait(SILENT_S):
            return
        with socket.create_connection(proxy.upstream, SILENT_S) as up:
            up.sendall(head)
            back = threading.Thread(target=_copy, args=(up, self.request), daemon=True)
            back.start()
            _copy(self.request, up)
            back.join(SILENT_S)


def _copy(source: socket.socket, target: socket.socket) -> None:
    source.settimeout(SILENT_S)
    with contextlib.suppress(OSError):
        while taken := source.recv(65536):
            target.sendall(taken)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def held_handshakes(upstream_port: int) -> Iterator[HeldHandshakes]:
    """Such a proxy, from its start to its end."""
    with HeldHandshakes(upstream_port) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, daemon=True)
        serving.start()
        try:
            yield proxy
        finally:
            proxy.released.set()
            proxy.shutdown()
