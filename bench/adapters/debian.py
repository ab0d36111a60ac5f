"""Servers in C and Go from Debian: nginx with nchan, and nats-server. Publishing is our part."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bench.adapters.base import Flow, Server, Unavailable
from bench.event import now_us, packet
from bench.frames import client_frame, upgrade
from bench.load import Step
from bench.processes import HOST, Process, free_port

NCHAN_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

NGINX_CONFIG: Final = """\
load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    client_body_buffer_size 64k;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    nchan_shared_memory_size 256M;
    server {{
        listen {host}:{port} backlog=4096;
        location = /health {{ return 200; }}
        location ~ ^/sub/([-\\w]+)$ {{
            nchan_subscriber websocket;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
        }}
        location ~ ^/pub/([-\\w]+)$ {{
            nchan_publisher http;
            nchan_channel_id $1;
            nchan_message_buffer_length 100;
        }}
    }}
}}
"""

NATS_CONFIG: Final = """\
listen: "{host}:{port}"
websocket {{ listen: "{host}:{websocket}", no_tls: true }}
"""


class Nchan(Server):
    """nginx with its module nchan, one worker; events are posted one after the other."""

    name = "nchan"
    title = "nginx + nchan"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """Of nginx, and of the module's package."""
        nginx = _version("nginx", "-v")
        if not NCHAN_MODULE.exists():
            raise Unavailable("libnginx-mod-nchan is not installed, see make setup-bench")
        return {"nginx": nginx, "nchan": _package_version("libnginx-mod-nchan")}

    def start(self, folder: Path) -> Process:
        """With a configuration of its own."""
        user = "user root;" if os.geteuid() == 0 else ""
        config = folder / "nginx.conf"
        config.write_text(
            NGINX_CONFIG.format(
                module=NCHAN_MODULE, user=user, folder=folder, host=HOST, port=self.port
            )
        )
        process = Process([_program("nginx"), "-c", str(config)], folder / "nginx.log")
        process.wait_for(self.port, "/health")
        return process

    def script(self, subjects: int) -> list[Step]:
        """A WebSocket is a subscription."""
        assert subjects == 1
        return [("", upgrade("/sub/$0", self.port), "raw"), (" 101 ", "", "raw")]

    def are_subscribed(self, channel: str, clients: int) -> bool:
        """As the channel's own page says."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", f"/pub/{channel}", headers={"Accept": "text/json"})
            content = connection.getresponse().read()
        finally:
            connection.close()
        found = re.search(rb'"subscribers":\s*(\d+)', content)
        return found is not None and int(found[1]) == clients

    def publish(self, flow: Flow) -> None:
        """Returns when all are sent."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            for channel, number in paced(flow):
                body = packet(channel, number, flow.size_bytes)
                connection.request("POST", f"/pub/{channel}", body)
                answer = connection.getresponse()
                answer.read()
                if answer.status not in {201, 202}:
                    raise RuntimeError(f"nchan answered {answer.status}")
        finally:
            connection.close()


class Nats(Server):
    """nats-server over WebSocket; each event is confirmed before the next is published."""

    name = "nats"
    title = "nats-server over WebSocket"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """Of the program."""
        return {"nats-server": _version("nats-server", "-v")}

    def start(self, folder: Path) -> Process:
        """With its defaults, without TLS."""
        self._publishers_port = free_port()
        config = folder / "nats.conf"
        config.write_text(
            NATS_CONFIG.format(host=HOST, port=self._publishers_port, websocket=self.port)
        )
        process = Process([_program("nats-server"), "-c", str(config)], folder / "nats.log")
        process.wait_for(self._publishers_port)
        process.wait_for(self.port)
        return process

    @property
    def replies(self) -> Mapping[str, bytes]:
        """Its own ping and pong."""
        return {"PING\r\n": client_frame(b"PONG\r\n", 2)}

    def script(self, subjects: int) -> list[Step]:
        """Its text protocol in binary frames; a ping confirms the subscriptions."""
        commands = "".join(f"SUB ${i} {i + 1}\r\n" for i in range(subjects))
        return [
            ("", upgrade("/", self.port), "raw"),
            ("INFO", f'CONNECT {{"verbose":false}}\r\n{commands}PING\r\n', "binary"),
            ("PONG", "", "raw"),
        ]

    def publish(self, flow: Flow) -> None:
        """Returns when all are sent."""
        with socket.create_connection((HOST, self._publishers_port)) as connection:
            answers = connection.makefile("rb")
            answers.readline()  # INFO
            connection.sendall(b'CONNECT {"verbose":false}\r\n')
            for channel, number in paced(flow):
                body = packet(channel, number, flow.size_bytes)
                connection.sendall(
                    b"PUB %s %d\r\n%s\r\nPING\r\n" % (channel.encode(), len(body), body)
                )
                while (line := answers.readline()) != b"PONG\r\n":
                    if line == b"PING\r\n":
                        connection.sendall(b"PONG\r\n")
                    elif not line:
                        raise RuntimeError("nats-server closed the publisher's connection")


def paced(flow: Flow) -> Iterator[tuple[str, int]]:
    """The channel and number of each event, when it is due; on one channel."""
    (channel,) = flow.channels
    for i in range(flow.events):
        due_us = flow.start_us + (i * 1e6 / flow.rate_hz if flow.rate_hz else 0)
        if (wait_us := due_us - now_us()) > 0:
            time.sleep(wait_us / 1e6)
        yield channel, i + 1


def _program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        raise Unavailable(f"{name} is not installed, see make setup-bench")
    return found


def _version(name: str, option: str) -> str:
    done = subprocess.run([_program(name), option], capture_output=True, text=True, check=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def _package_version(name: str) -> str:
    command = ["dpkg-query", "-W", "-f", "${Version}", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout or "unknown"
