"""`taskpush doctor`: what it finds at servers that are well, that are not, and that are none."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from taskpush.access.keys import FILE, create_key
from taskpush.access.principal import Role
from taskpush.cli.doctor.checking import Answer, _clock
from taskpush.cli.exits import ExitCode
from tests.cli.conftest import Ran
from tests.support.server import ServerProcess, free_port

DOORS = ["socketio_websocket", "socketio_polling", "sse", "long_poll"]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that asks who is there."""
    data = tmp_path_factory.mktemp("locked") / "data"
    key(data, "somebody")
    with ServerProcess(data) as server:
        yield server


def key(data: Path, name: str, *roles: Role) -> str:
    data.mkdir(parents=True, exist_ok=True)
    return create_key(
        data / FILE,
        name,
        roles=roles or (Role.READ,),
        owner=name,
        tenant="local",
        now=time.time(),
        expires_at=None,
    )


def examined(url: str, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and what was found by each check."""
    ran = Ran(("doctor", "--json-lines", *arguments), url)
    assert ran.err == ""
    findings = [json.loads(line) for line in ran.lines]
    # Whatever is not well comes with what to do about it.
    assert all((it["state"] == "ok") == (it["advice"] is None) for it in findings)
    return ran.code, {it["check"]: it for it in findings}


def states(found: dict[str, dict[str, Any]], *checks: str) -> list[str]:
    return [found[check]["state"] for check in checks]


def test_a_good_server_is_well(server: ServerProcess) -> None:
    code, found = examined(server.url)
    assert {it["state"] for it in found.values()} == {"ok"}
    assert list(found) == [
        *("address", "rest", "store", "token", "limits", "clock", *DOORS, "versions")
    ]
    assert code == ExitCode.OK


def test_what_is_found_is_told_to_people_as_well() -> None:
    ran = Ran(("doctor",), f"http://127.0.0.1:{free_port()}")
    assert ran.code == ExitCode.FAILED
    assert ran.lines[0].split("\t")[:2] == ["failed", "address"]


def test_nobody_listening_is_told_with_how_to_start() -> None:
    port = free_port()
    code, found = examined(f"http://127.0.0.1:{port}")
    assert code == ExitCode.FAILED
    assert list(found) == ["address"]
    assert str(port) in found["address"]["said"]
    assert "taskpush serve" in found["address"]["advice"]


def test_a_name_that_nobody_knows_is_told() -> None:
    code, found = examined("http://no-such-host.invalid")
    assert (code, list(found)) == (ExitCode.FAILED, ["address"])
    assert "no-such-host.invalid" in found["address"]["said"]


@pytest.mark.parametrize("server_url", ["nowhere", "ftp://127.0.0.1", "http://127.0.0.1:port"])
def test_what_is_no_address_is_wrong_usage(server_url: str) -> None:
    assert Ran(("doctor", "--server", server_url), "").code == ExitCode.USAGE


class Foreign(BaseHTTPRequestHandler):
    """A web server that knows nothing of tasks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>\x1b[2JIt works!</h1>")

    @override
    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def test_a_server_that_is_no_taskpush_is_told_apart() -> None:
    with served(Foreign) as url:
        code, found = examined(url)
    assert code == ExitCode.FAILED
    assert list(found) == ["address", "rest"]
    assert "no taskpush server (HTTP 200, text/html)" in found["rest"]["said"]


def test_what_does_not_speak_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(3):
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(b"SSH-2.0-x\x1b[2J\r\n")

        greeting = threading.Thread(target=greet, daemon=True)
        greeting.start()
        code, found = examined(f"http://127.0.0.1:{listener.getsockname()[1]}")
        greeting.join()
    assert (code, found["rest"]["state"]) == (ExitCode.FAILED, "failed")
    assert found["rest"]["said"] == "no answer over HTTP: what answers does not speak HTTP"


def test_without_a_token_a_server_that_asks_for_one_is_not_usable(locked: ServerProcess) -> None:
    code, found = examined(locked.url)
    assert code == ExitCode.FAILED
    assert states(found, "address", "rest", "store", "clock") == ["ok"] * 4
    assert found["token"]["state"] == "failed"
    assert "TASKPUSH_TOKEN" in found["token"]["advice"]


def test_a_wrong_token_is_told_and_the_doors_are_there_all_the_same(locked: ServerProcess) -> None:
    code, found = examined(locked.url, "--token", "tp_wrong_wrong")
    assert code == ExitCode.FAILED
    assert found["token"]["state"] == "failed"
    assert "keys list" in found["token"]["advice"]
    assert states(found, *DOORS) == ["warning"] * 4


def test_a_good_token_is_told_with_what_it_may(locked: ServerProcess) -> None:
    code, found = examined(locked.url, "--token", key(locked.data, "reader"))
    assert code == ExitCode.OK
    assert found["token"]["said"] == "good; tasks may be read"
    _, found = examined(locked.url, "--token", key(locked.data, "chief", Role.ADMIN))
    assert found["token"]["said"].endswith("as an admin")
    code, found = examined(locked.url, "--token", key(locked.data, "creator", Role.CREATE))
    assert code == ExitCode.OK
    assert states(found, "token", *DOORS) == ["warning", "ok", "ok", "warning", "warning"]


class Proxy:
    """Passes requests on to a server; refuses WebSockets, and keeps answers until they are whole.

    It answers one request per connection, even where it does not say so.

    With `host` it asks for another one than it was asked for.
    """

    def __init__(self, upstream_port: int, host: str | None) -> None:
        self._upstream_port = upstream_port
        self._host = host
        # A loop holds on to its tasks by what they wait for, and so to none that waits for itself.
        self._serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        async with _closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                # Whoever asks once more on this connection is too late.
                await reader.read(1)
                return
            line, *fields = head.decode().removesuffix("\r\n\r\n").split("\r\n")
            named = {name.lower(): text for name, text in (it.split(": ", 1) for it in fields)}
            body = await reader.readexactly(int(named.get("content-length", 0)))
            named |= {"connection": "close"} | ({} if self._host is None else {"host": self._host})
            passed = [line, *(f"{name}: {text}" for name, text in named.items()), "", ""]
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            async with _closing(up_writer):
                up_writer.write("\r\n".join(passed).encode() + body)
                writer.write(await up_reader.read())


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            yield
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@contextmanager
def proxy(upstream_port: int, *, host: str | None = None) -> Iterator[str]:
    """Its address."""
    loop = asyncio.new_event_loop()
    passing = Proxy(upstream_port, host)
    listening = loop.run_until_complete(asyncio.start_server(passing.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    # Whoever was accepted just now has a task a round later.
    await asyncio.sleep(0)
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def test_a_proxy_that_refuses_websockets_and_buffers_is_told_by_its_doings(
    server: ServerProcess,
) -> None:
    with proxy(server.port) as url:
        code, found = examined(url)
    assert code == ExitCode.FAILED
    assert states(found, *DOORS) == ["failed", "ok", "failed", "ok"]
    assert "HTTP 403" in found["socketio_websocket"]["said"]
    assert "proxy.md" in found["socketio_websocket"]["advice"]
    assert "held back" in found["sse"]["said"]
    assert "proxy_buffering off" in found["sse"]["advice"]


def test_a_server_asked_for_by_a_name_that_it_does_not_know_says_what_to_do(
    server: ServerProcess,
) -> None:
    with proxy(server.port, host="jobs.example") as url:
        code, found = examined(url)
    assert (code, list(found)) == (ExitCode.FAILED, ["address", "rest"])
    assert "--allow-host" in found["rest"]["advice"]


@pytest.mark.parametrize(
    ("skew_s", "state", "said"),
    [(0, "ok", "agree"), (90, "warning", "1:30 ahead"), (-3600, "warning", "behind")],
)
def test_clocks_that_differ_are_told(skew_s: int, state: str, said: str) -> None:
    ours = datetime.now(UTC)
    theirs = ours.replace(microsecond=0) + timedelta(seconds=skew_s)
    finding = _clock(Answer(200, date=(theirs, ours)))
    assert (finding.state, said in finding.said) == (state, True)


def test_the_proxy_of_the_environment_is_gone_by_and_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy.invalid:3128")
    ran = Ran(("doctor", "--server", "http://tasks.example"), "")
    assert ran.lines[0].startswith("ok\tenvironment\tnames the proxy proxy.invalid:3128")
    assert ran.lines[1].startswith("failed\taddress\tnobody knows the name proxy.invalid")
    assert "secret" not in ran.out


class Late(BaseHTTPRequestHandler):
    """Says that it is well, an hour ahead, and knows neither a store nor a door."""

    def do_GET(self) -> None:
        found = self.path in {"/healthz", "/api/limits"}
        self.send_response_only(200 if found else 404)
        ahead = datetime.now(UTC) + timedelta(hours=1)
        self.send_header("Date", format_datetime(ahead, usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    @override
    def log_message(self, format: str, *args: object) -> None:
        return


def test_a_server_without_store_and_doors_fails_by_each_of_them() -> None:
    with served(Late) as url:
        code, found = examined(url)
    assert code == ExitCode.FAILED
    assert states(found, "store", "token", *DOORS) == ["failed"] * 6
    assert found["clock"]["said"] == "the server's clock is 1:00:00 ahead of this one"
    assert found["versions"]["state"] == "warning"
