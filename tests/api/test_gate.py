"""Who is let in: at every door of a real server, mounted or alone, and behind a proxy."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import orjson
import psutil
import pytest

from taskpush.api.gate import gated
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import RequestRefused, TelemetryEvent
from tests.support.server import ServerProcess

APP = "https://app.example"
DOORS = [
    "/",
    "/docs",
    "/static/dashboard/icon.svg",
    "/healthz",
    "/api/tasks",
    "/api/stream?feed=all",
    "/api/nothing",
    "/socket.io/?EIO=4&transport=polling",
]
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


class Answer:
    """Status, headers and the start of the body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read1(65536) if response.status != 101 else b""

    @property
    def code(self) -> str:
        """The code of a problem document; empty for anything else."""
        if self.headers["Content-Type"] != "application/problem+json":
            return ""
        code: str = orjson.loads(self.body)["code"]
        return code


def ask(
    port: int,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    method: str = "GET",
    to: str = "127.0.0.1",
) -> Answer:
    with closing(http.client.HTTPConnection(to, port, timeout=10)) as connection:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"localhost:{port}")
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        return Answer(connection.getresponse())


@pytest.fixture(scope="module", params=[None, "uvicorn"], ids=["serve", "uvicorn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    settings = {
        "allow_origins": APP,
        "allow_hosts": "jobs.example",
        # Each refusal has its line, however many there were.
        "log_refusals_per_min": "0",
    }
    data = tmp_path_factory.mktemp("gate") / "data"
    with ServerProcess(data, plain_asgi=request.param, settings=settings) as process:
        yield process


@pytest.mark.parametrize("path", DOORS)
def test_a_name_that_was_rebound_opens_no_door(server: ServerProcess, path: str) -> None:
    answer = ask(server.port, path, host=f"evil.example:{server.port}")
    assert (answer.status, answer.code) == (400, "host_refused")


def test_a_name_that_was_rebound_opens_no_websocket(server: ServerProcess) -> None:
    answer = ask(server.port, WEBSOCKET, HANDSHAKE, host=f"evil.example:{server.port}")
    assert (answer.status, answer.code) == (400, "host_refused")
    # Its page would be of the same origin.
    there = HANDSHAKE | {"Origin": f"http://evil.example:{server.port}"}
    answer = ask(server.port, WEBSOCKET, there, host=f"evil.example:{server.port}")
    assert (answer.status, answer.code) == (400, "host_refused")


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_foreign_page_opens_no_door(server: ServerProcess, path: str, origin: str) -> None:
    answer = ask(server.port, path, {"Origin": origin})
    assert (answer.status, answer.code) == (403, "origin_refused")


def test_a_foreign_page_opens_no_websocket(server: ServerProcess) -> None:
    answer = ask(server.port, WEBSOCKET, HANDSHAKE | {"Origin": "http://evil.example"})
    assert (answer.status, answer.code) == (403, "origin_refused")


def test_a_foreign_page_creates_nothing_without_asking_first(server: ServerProcess) -> None:
    """A text/plain POST needs no preflight."""
    headers = {"Origin": "http://evil.example", "Content-Type": "text/plain", "Content-Length": "0"}
    answer = ask(server.port, "/api/tasks", headers, method="POST")
    assert (answer.status, answer.code) == (403, "origin_refused")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:99", "[::1]:8000", "jobs.example:443"])
@pytest.mark.parametrize("path", DOORS[:-1])
def test_own_names_open_every_door(server: ServerProcess, path: str, host: str) -> None:
    assert ask(server.port, path, host=host).status in {200, 404}


@pytest.mark.parametrize("origin", [APP, "http://localhost"])
def test_own_pages_and_listed_ones_open_a_websocket(server: ServerProcess, origin: str) -> None:
    answer = ask(server.port, WEBSOCKET, HANDSHAKE | {"Origin": origin}, host="localhost")
    assert answer.status == 101


@pytest.mark.parametrize("request_head", [b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_a_request_names_one_host(server: ServerProcess, request_head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\n" + request_head + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_a_preflight_says_what_a_listed_page_may_do(server: ServerProcess) -> None:
    wanted = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key",
    }
    for path in ("/api/tasks", "/socket.io/?EIO=4&transport=polling"):
        answer = ask(server.port, path, wanted, method="OPTIONS")
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/api/tasks", "/api/nothing", DOORS[-1]])
def test_a_listed_page_may_read_answers_with_its_cookies(server: ServerProcess, path: str) -> None:
    answer = ask(server.port, path, {"Origin": APP})
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [APP]
    assert answer.headers.get_all("Access-Control-Allow-Credentials") == ["true"]
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", DOORS)
def test_every_answer_says_what_browsers_may_not_do_with_it(
    server: ServerProcess, path: str
) -> None:
    answer = ask(server.port, path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    page = path in {"/", "/docs", "/static/dashboard/icon.svg"}
    kept = "no-cache" if page else "no-cache, no-transform" if "stream" in path else "no-store"
    assert answer.headers["Cache-Control"] == kept


def test_a_refusal_is_said_in_one_line(server: ServerProcess) -> None:
    before = len(server.log)
    ask(server.port, "/api/tasks", host="evil.example\ttwo")
    (line,) = server.log[before:].splitlines()
    assert "request.refused" in line
    assert "host_refused" in line


# A server that everybody is let into, and proxies.


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Behind a proxy on this machine."""
    settings = {"allow_hosts": "jobs.example", "trusted_proxies": "127.0.0.0/8"}
    data = tmp_path_factory.mktemp("behind") / "data"
    with ServerProcess(data, settings=settings) as process:
        yield process


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("jobs.example", 200),
        ("jobs.example:443", 200),
        ("evil.example", 400),
        ("jobs.example, evil.example", 400),
        ("evil.example, jobs.example", 200),
        ("", 400),
    ],
)
def test_the_host_that_a_trusted_proxy_was_asked_for_counts(
    behind: ServerProcess, forwarded: str, status: int
) -> None:
    answer = ask(behind.port, "/api/tasks", {"X-Forwarded-Host": forwarded}, host="upstream")
    assert answer.status == status


def test_a_page_behind_a_proxy_is_of_the_origin_that_the_proxy_has(behind: ServerProcess) -> None:
    headers = {"Origin": "https://jobs.example", "X-Forwarded-Host": "jobs.example"}
    assert ask(behind.port, "/api/tasks", headers, host="127.0.0.1:1").status == 200
    del headers["X-Forwarded-Host"]
    assert ask(behind.port, "/api/tasks", headers, host="127.0.0.1:1").status == 403


def test_the_peer_is_who_the_trusted_proxy_says_it_is(behind: ServerProcess) -> None:
    before = len(behind.log)
    headers = {"X-Forwarded-For": "203.0.113.7"}
    ask(behind.port, "/api/tasks", headers, host="evil.example")
    assert "peer=203.0.113.7" in behind.log[before:]


def test_nobody_else_is_believed(server: ServerProcess) -> None:
    forged = {
        "X-Forwarded-Host": "localhost",
        "X-Forwarded-For": "203.0.113.7",
        "Forwarded": "for=203.0.113.7;host=localhost",
    }
    before = len(server.log)
    assert ask(server.port, "/api/tasks", forged, host="evil.example").status == 400
    if not server.plain_asgi:
        # uvicorn by itself believes everybody on its own machine.
        assert "203.0.113.7" not in server.log[before:]
    forged["X-Forwarded-Host"] = "evil.example"
    assert ask(server.port, "/api/tasks", forged, host="localhost").status == 200


def _reachable_address() -> str | None:
    """An address of this machine that others may reach; None when it has none."""
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family == socket.AF_INET and not each.address.startswith("127."):
                address: str = each.address
                return address
    return None


@pytest.mark.parametrize("insecure", [False, True])
def test_other_machines_are_let_in_only_when_somebody_said_so(
    tmp_path: Path, insecure: bool
) -> None:
    """uvicorn listens where it is told, whatever the application thinks of it."""
    address = _reachable_address()
    if address is None:
        pytest.skip("this machine has no address but loopback's")
    settings = {"insecure_public": str(insecure).lower()}
    everywhere = ("--host", "0.0.0.0")
    with ServerProcess(
        tmp_path / "data", plain_asgi="uvicorn", args=everywhere, settings=settings
    ) as server:
        there = f"{address}:{server.port}"
        answer = ask(server.port, "/api/tasks", host=there, to=address)
        if insecure:
            assert answer.status == 200
            assert ask(server.port, "/api/tasks", host="evil.example", to=address).status == 400
        else:
            assert (answer.status, answer.code) == (403, "local_only")
            forged = ask(server.port, "/api/tasks", host="localhost", to=address)
            assert (forged.status, forged.code) == (403, "local_only")
        assert ask(server.port, "/api/tasks").status == 200


async def test_where_a_server_cannot_answer_a_handshake_it_is_closed() -> None:
    said: list[TelemetryEvent] = []
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message["type"])

    async def nobody(*_: object) -> None:
        raise AssertionError("it was let in")

    gate = gated(
        nobody,
        Telemetry(said.append),
        allow_hosts=[],
        allow_origins=[],
        trusted_proxies=[],
        public=False,
    )
    scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"evil.example")]}
    await gate(scope, receive, send)
    assert sent == ["websocket.close"]
    assert [type(event) for event in said] == [RequestRefused]
