"""Bad input gets the contract's answer; nothing is stored, nobody else notices."""

from __future__ import annotations

import asyncio
import socket as sockets
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.server import ServerProcess
from tests.support.watcher import RawSocket, raw_socket

GHOST = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


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
    shared_server: ServerProcess, body: bytes, status: int, code: str
) -> None:
    before = _task_count(shared_server)
    answer, problem = shared_server.call("POST", "/api/tasks", raw=body)
    assert (answer, problem["code"], problem["status"]) == (status, code, status)
    assert "Traceback" not in str(problem)
    assert _task_count(shared_server) == before


def test_a_body_that_never_ends_is_cut_off_at_the_limit(shared_server: ServerProcess) -> None:
    with sockets.create_connection(("127.0.0.1", shared_server.port)) as raw:
        raw.sendall(
            b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        sent = 0
        try:
            while sent < 300 * 1024 * 1024:
                raw.sendall(chunk)
                sent += 65536
        except ConnectionError:
            pass
        assert sent < 32 * 1024 * 1024
        raw.settimeout(10)
        try:
            answer = raw.recv(65536)
        except ConnectionError:
            answer = b"HTTP/1.1 413"  # Reset before it could be read, since we went on sending.
        assert answer.startswith(b"HTTP/1.1 413")


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
        ("DELETE", "/api/kinds", 405, "method_not_allowed"),
    ],
)
def test_a_bad_address_gets_a_problem_document(
    shared_server: ServerProcess, method: str, path: str, status: int, code: str
) -> None:
    answer, problem = shared_server.call(method, path)
    assert (answer, problem["code"]) == (status, code)


@pytest.mark.parametrize("after", ["-1", "1.5", "true", "a:b", "abc:-1"])
def test_a_malformed_position_is_refused(shared_server: ServerProcess, after: str) -> None:
    task_id = shared_server.create("iterate", iterations=0)
    answer, problem = shared_server.call("GET", f"/api/tasks/{task_id}/events?after={after}")
    assert (answer, problem["code"]) == (422, "invalid_position")


def test_values_that_cannot_travel_are_left_out_and_said_once_each(
    shared_server: ServerProcess,
) -> None:
    task_id = shared_server.create("awkward")
    assert shared_server.wait_over(task_id)["status"] == "completed"
    log = shared_server.log_of(task_id)
    iterations = [e["data"] for e in log if e["event_type"] == "iteration_complete"]
    assert [i["metrics"] for i in iterations] == [{"good": 1.5}, {"good": 2.5}, {"good": 3.5}]
    complaints = [e["data"] for e in log if e["event_type"] == "log"]
    assert [c["level"] for c in complaints] == ["error", "error"]
    assert "nan" in complaints[0]["message"]
    assert "huge" in complaints[1]["message"]


@pytest.mark.parametrize(
    "packet",
    [
        '42/tasks,["connect",{"sid":"forged"}]',
        '42/tasks,["disconnect","forged"]',
        b"\x00\x01\x02",
        '451-/tasks,["subscribe",{"_placeholder":true,"num":0}]',
        "42{}",
        "42[null]",
        "47",
        "42" + "1" * 101 + '["subscribe",{}]',
        "40/tasks,",
        '42/other,["subscribe",{}]',
    ],
    ids=lambda packet: repr(packet)[:40],
)
async def test_a_packet_that_no_client_sends_closes_the_connection(
    shared_server: ServerProcess, packet: str | bytes
) -> None:
    before = len(shared_server.log)
    async with raw_socket(shared_server.port) as bystander:
        await bystander.event()
        async with raw_socket(shared_server.port) as socket:
            await socket.event()
            await socket.ws.send(packet)
            with pytest.raises(ConnectionClosed):
                await _until_closed(socket)
            said = shared_server.log[before:]
            assert len(said.splitlines()) == 1, said
            assert "packet.refused" in said
            await bystander.emit("subscribe", {"task_id": GHOST}, ack=1)
            assert (await bystander.event())[1]["mode"] == "pending"


async def _until_closed(socket: RawSocket) -> None:
    async with asyncio.timeout(5):
        while True:
            await socket.packet()


async def test_an_event_before_connect_closes_the_connection(
    shared_server: ServerProcess,
) -> None:
    async with raw_socket(shared_server.port, namespace=None) as socket:
        await socket.ws.send('42/tasks,["subscribe",{}]')
        with pytest.raises(ConnectionClosed):
            await _until_closed(socket)


async def test_an_unknown_namespace_is_refused_with_an_object(
    shared_server: ServerProcess,
) -> None:
    async with raw_socket(shared_server.port, namespace=None) as socket:
        await socket.ws.send("40/other,")
        assert await socket.packet() == '44/other,{"message":"Invalid namespace"}'


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "invalid_request"),
        (None, "invalid_request"),
        ("text", "invalid_request"),
        ({"task_id": 5}, "invalid_request"),
        ({"task_id": "../../etc/passwd"}, "invalid_request"),
        ({"task_id": GHOST, "after": {"epoch": "a", "seq": -1}}, "invalid_position"),
        ({"task_id": GHOST, "after": {"epoch": "a", "seq": 1.5}}, "invalid_position"),
        ({"task_id": GHOST, "after": {"epoch": "a", "seq": True}}, "invalid_position"),
        ({"task_id": GHOST, "after": "later"}, "invalid_position"),
    ],
    ids=repr,
)
async def test_a_bad_subscribe_is_answered_and_the_connection_lives(
    shared_server: ServerProcess, payload: Any, code: str
) -> None:
    async with raw_socket(shared_server.port) as socket:
        await socket.event()
        await socket.emit("subscribe", payload, ack=1)
        name, ack = await socket.event()
        assert (name, ack["ok"], ack["code"]) == ("ack", False, code)
        assert (await socket.event())[0] == "error"
        await socket.emit("dance", {}, ack=2)
        assert (await socket.event())[1]["code"] == "unknown_event"


async def test_the_129th_subscription_is_refused_and_the_others_live(
    shared_server: ServerProcess,
) -> None:
    async with raw_socket(shared_server.port) as socket:
        await socket.event()
        for index in range(129):
            await socket.emit("subscribe", {"task_id": GHOST[:-3] + f"{index:03d}"}, ack=index)
        acks: list[dict[str, Any]] = []
        while len(acks) < 129:
            name, payload = await socket.event()
            if name == "ack":
                acks.append(payload)
        assert [ack["ok"] for ack in acks] == [True] * 128 + [False]
        assert acks[-1]["code"] == "subscription_limit"


@pytest.mark.parametrize("j", [b"j=0", b"%6a=0", b"j"])
def test_jsonp_is_refused(shared_server: ServerProcess, j: bytes) -> None:
    with sockets.create_connection(("127.0.0.1", shared_server.port)) as raw:
        raw.sendall(
            b"GET /socket.io/?EIO=4&transport=polling&" + j + b" HTTP/1.1\r\n"
            b"Host: localhost\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
