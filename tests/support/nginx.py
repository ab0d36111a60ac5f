"""A real nginx before a server, that does to traffic what proxies do. Debian's package."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.server import START_WITHIN_S, free_port

# Where Debian puts it is not in everybody's PATH.
NGINX: Final = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

PASSES: Final = """
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
proxy_buffering off;
"""
REFUSES_UPGRADE: Final = """
proxy_http_version 1.1;
if ($http_upgrade) { return 403; }
"""
"""No WebSockets; streams pass, since the server asks that they are not buffered."""
DROPS_UPGRADE: Final = """
proxy_http_version 1.1;
proxy_buffering off;
"""
"""Forwards the handshake as a plain request, as nginx does when nobody has told it better."""
SPEAKS_1_0: Final = """
proxy_http_version 1.0;
"""
"""What Debian's nginx speaks to servers when nobody has told it better."""
BUFFERS: Final = """
if ($http_upgrade) { return 403; }
proxy_http_version 1.1;
proxy_buffering on;
proxy_ignore_headers X-Accel-Buffering;
gzip on;
gzip_proxied any;
gzip_types text/event-stream;
gzip_min_length 1;
"""
"""No WebSockets, and of streams what fills a buffer.

`proxy_buffering on` alone passes each chunk of a chunked answer on (nginx 1.22): it is the
compression that waits for more.
"""
BUFFERS_AND_CUTS: Final = BUFFERS + "proxy_read_timeout 1s;"
"""And no answer may take longer than a second."""

_CONF: Final = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_set_header Host $host:$server_port;
            {rules}
        }}
    }}
}}
"""


class Nginx:
    """One that runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[str]:
        """The lines of its access log, one for each answer that has ended."""
        return (self._folder / "access.log").read_text(encoding="utf-8").splitlines()


@contextmanager
def nginx(folder: Path, upstream_port: int, rules: str) -> Iterator[Nginx]:
    """An nginx with these rules, from its start to its end."""
    assert NGINX is not None, "nginx is needed: scripts/install-test-tools"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(
        _CONF.format(folder=folder, port=port, upstream=upstream_port, rules=rules),
        encoding="utf-8",
    )
    command = [NGINX, "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_port(process, port, folder)
        yield Nginx(folder, port)
    finally:
        process.terminate()
        process.wait(10)


def _await_port(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            log = folder / "error.log"
            said = log.read_text(encoding="utf-8") if log.exists() else ""
            assert process.poll() is None, f"nginx did not start: {said}"
            assert time.monotonic() < deadline, f"nginx does not answer: {said}"
            time.sleep(0.02)  # Another process: there is nothing to await but its answer.
        else:
            return
