"""Bad requests: each gets its answer, nothing is stored, nobody else notices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import pytest
import requests

from tests.attacks import raw
from tests.support.server import ServerProcess

GHOST = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
ENDLESS_BYTES = 300 * 1024 * 1024
HEADERS_BYTES = 16 * 1024 * 1024


def _task_count(server: ServerProcess) -> int:
    status, page = server.call("GET", "/api/tasks?limit=200")
    assert status == 200
    return len(page["items"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"kind": "iterate", "params": {"iterations": NaN}}', 400, "invalid_json"),
        (
            b'{"kind": "iterate", "params": {"iterations": 9223372036854775808}}',
            400,
            "invalid_json",
        ),
        (b'{"kind": "iterate", "title": "\\ud800"}', 400, "invalid_json"),
        (b'{"kind": "iterate", "kind": "fail"}', 400, "invalid_json"),
        (b'{"params": ' + b"[" * 100_000, 400, "invalid_json"),
        (b'{"params": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b"", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'{"kind": "nobody", "params": {}}', 422, "unknown_kind"),
        (b'{"kind": "../../etc", "params": {}}', 422, "invalid_request"),
        (b'{"kind": "iterate", "params": {"iterations": -1}}', 422, "invalid_params"),
        (b'{"kind": "iterate", "params": {"iterations": "many"}}', 422, "invalid_params"),
        (b'{"kind": "iterate", "params": []}', 422, "invalid_request"),
        (b'{"kind": "iterate", "surprise": 1}', 422, "invalid_request"),
        (b'{"kind": "iterate", "task_id": "not-a-uuid"}', 422, "invalid_request"),
        (b'{"kind": "awkward", "params": {"unexpected": 1}}', 422, "invalid_params"),
        (b'{"iterations": "many"}', 422, "invalid_params"),
        (b'{"params": {"x": "' + b"a" * 2 * 1024 * 1024 + b'"}}', 413, "payload_too_large"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_bad_create_is_refused_and_nothing_is_stored(
    server: ServerProcess, body: bytes, status: int, code: str
) -> None:
    before = _task_count(server)
    answer, problem = server.call("POST", "/api/tasks", raw=body)
    assert (answer, problem["code"], problem["status"]) == (status, code, status)
    assert "Traceback" not in str(problem)
    assert _task_count(server) == before


@pytest.mark.parametrize(("path", "at_most"), [("/api/tasks", 32), ("", 32)])
def test_a_body_that_never_ends_is_cut_off_at_the_limit(
    server: ServerProcess, path: str, at_most: int
) -> None:
    """At the door for creates, and at a session's."""
    address = path or raw.polling_session(server.port)
    with closing(raw.plug(server.port)) as sender:
        sender.sendall(
            f"POST {address} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        sent = 0
        try:
            while sent < ENDLESS_BYTES:
                sender.sendall(chunk)
                sent += 65536
        except ConnectionError:
            pass
        assert sent < at_most * 1024 * 1024
        # It may be reset before it could be read, since we went on sending.
        assert raw.status(raw.answered(sender)) in {413, 0}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/api/tasks/{GHOST}", 404, "not_found"),
        ("GET", f"/api/tasks/{GHOST}/result", 404, "not_found"),
        ("GET", f"/api/tasks/{GHOST}/events", 404, "not_found"),
        ("GET", f"/api/tasks/{GHOST}/artifacts/layout.json", 404, "not_found"),
        ("POST", f"/api/tasks/{GHOST}/cancel", 404, "not_found"),
        ("GET", "/api/tasks/nonsense", 404, "not_found"),
        ("GET", "/api/tasks/%00", 404, "not_found"),
        ("GET", "/api/tasks?limit=0", 422, "invalid_request"),
        ("GET", "/api/tasks?status=sleeping", 422, "invalid_request"),
        ("GET", "/api/tasks?after=garbage", 422, "invalid_request"),
        ("GET", "/api/nothing", 404, "no_such_page"),
        ("GET", "/static/../../app.py", 404, "no_such_page"),
        ("GET", "/static/%2e%2e/%2e%2e/app.py", 404, "no_such_page"),
        ("GET", "/static/..%2f..%2fapp.py", 404, "no_such_page"),
        ("GET", "/static//etc/passwd", 404, "no_such_page"),
        ("GET", "/static/dashboard/index.html%00.png", 404, "no_such_page"),
        ("GET", "/static/dashboard/" + "a" * 5000, 404, "no_such_page"),
        ("GET", f"/api/tasks/{GHOST}/artifacts/..%2f..%2ftaskpush.db", 404, "no_such_page"),
        ("GET", f"/api/tasks/{GHOST}/artifacts/%00", 404, "not_found"),
        ("DELETE", "/api/kinds", 405, "method_not_allowed"),
    ],
)
def test_a_bad_address_gets_a_problem_document(
    server: ServerProcess, method: str, path: str, status: int, code: str
) -> None:
    answer, problem = server.call(method, path)
    assert (answer, problem["code"]) == (status, code)


def test_unknown_tasks_are_all_alike(server: ServerProcess) -> None:
    answers = {
        raw.get(server.port, f"/api/tasks/{task_id}").partition(b"\r\n\r\n")[2]
        for task_id in (GHOST, str(uuid4()), "nonsense", "%00", "..", "a" * 500)
    }
    assert len(answers) == 1


@pytest.mark.parametrize("after", ["-1", "1.5", "true", "a:b", "abc:-1"])
def test_a_malformed_position_is_refused(server: ServerProcess, after: str) -> None:
    task_id = server.create("iterate", iterations=0)
    answer, problem = server.call("GET", f"/api/tasks/{task_id}/events?after={after}")
    assert (answer, problem["code"]) == (422, "invalid_position")


def test_fifty_creates_at_once_with_one_key_make_one_task(server: ServerProcess) -> None:
    key = str(uuid4())

    def create(_: int) -> tuple[int, str]:
        answer = requests.post(
            f"{server.url}/api/tasks",
            json={"kind": "iterate", "params": {"iterations": 1}},
            headers={"Idempotency-Key": key},
            timeout=10,
        )
        return answer.status_code, answer.json()["task_id"]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(create, range(50)))
    assert sorted(status for status, _ in answers) == [200] * 49 + [201]
    assert len({task_id for _, task_id in answers}) == 1


@pytest.mark.parametrize("path", ["/", "/api/tasks", raw.POLLING, raw.WEBSOCKET])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Host: evil.example:8000\r\n", 400),
        (b"Host: evil.example\r\nOrigin: http://evil.example\r\n", 400),
        (b"Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        (b"Host: localhost\r\nOrigin: null\r\n", 403),
    ],
)
def test_a_rebound_name_and_a_foreign_page_are_refused_at_every_door(
    server: ServerProcess, path: str, headers: bytes, status: int
) -> None:
    upgrade = raw.UPGRADE if path == raw.WEBSOCKET else b""
    request = f"GET {path} HTTP/1.1\r\n".encode() + headers + upgrade + b"\r\n"
    assert raw.status(raw.ask(server.port, request)) == status


@pytest.mark.parametrize("upgrade", [b"", raw.UPGRADE], ids=["http", "websocket"])
def test_headers_without_an_end_are_refused(server: ServerProcess, upgrade: bytes) -> None:
    head = f"GET {raw.WEBSOCKET} HTTP/1.1\r\nHost: localhost\r\n".encode() + upgrade
    with closing(raw.plug(server.port)) as sender:
        sent = 0
        try:
            sender.sendall(head)
            while sent < HEADERS_BYTES:
                sender.sendall(b"x-filler: " + b"y" * 8000 + b"\r\n")
                sent += 8000
        except ConnectionError:
            pass
        assert sent < HEADERS_BYTES
        assert raw.status(raw.answered(sender)) in {431, 400, 0}


@pytest.mark.parametrize(
    "header",
    [b"x: y\r\n" * 1000, b"x: " + b"y" * 20_000 + b"\r\n", b"x\x00y: z\r\n", b": z\r\n"],
    ids=["many", "long", "nul", "nameless"],
)
@pytest.mark.parametrize("upgrade", [b"", raw.UPGRADE], ids=["http", "websocket"])
def test_odd_headers_are_answered_or_cut_off(
    server: ServerProcess, upgrade: bytes, header: bytes
) -> None:
    answer = raw.get(server.port, raw.WEBSOCKET, upgrade + header)
    assert raw.status(answer) in {400, 431, 0}


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50, b"\x00" * 5000]
)
def test_noise_is_no_request(server: ServerProcess, noise: bytes) -> None:
    assert raw.status(raw.ask(server.port, noise + b"\r\n\r\n")) in {400, 0}


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length : 5\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"X: a\nContent-Length: 5\r\n",
    ],
    ids=repr,
)
def test_a_body_whose_end_is_in_doubt_hides_no_second_request(
    server: ServerProcess, fields: bytes
) -> None:
    head = b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n"
    answer = raw.ask(server.port, head + b"0\r\n\r\n" + SMUGGLED)
    assert raw.status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1


def test_the_body_of_a_streams_request_is_no_other_request(server: ServerProcess) -> None:
    task_id = server.create("iterate", iterations=3)
    server.wait_over(task_id)
    head = f"GET /api/tasks/{task_id}/stream HTTP/1.1\r\nHost: localhost\r\n"
    with closing(raw.plug(server.port)) as sending:
        sending.sendall(f"{head}Content-Length: {len(SMUGGLED)}\r\n\r\n".encode() + SMUGGLED[:9])
        said = b""
        while b"\r\n0\r\n\r\n" not in said:
            said += sending.recv(65536)
        # The rest of it, and another request, whose answer is the second and the last.
        sending.sendall(SMUGGLED[9:] + SMUGGLED.replace(b"healthz", b"readyz"))
        while part := sending.recv(65536):
            said += part
    assert said.count(b"HTTP/1.1 ") == 2
    assert said.endswith(b'{"status":"ok","checks":{"store":"ok","push":"ok"}}')
