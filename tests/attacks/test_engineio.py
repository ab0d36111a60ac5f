"""What no Engine.IO client does, over long polling and before a session is there."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.attacks import raw
from tests.attacks.raw import POLLING, WEBSOCKET
from tests.support.server import ServerProcess

PONGS = 50_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"\x1e".join([b"3"] * 256), 200),
        (b"\x1e".join([b"3"] * 257), 400),
        (b"\x1e" * 60_000, 400),
        (b"garbage", 400),
        (b"", 400),
        (b"9", 400),
        (b"4\xff\xfe", 400),
        (b"bAAEC", 400),
        (b"b!", 400),
        (b"d=4", 400),
        (b"2", 400),
        (b"0", 400),
        (b"4" + b"x" * 65_536, 413),
        (b"x" * 900_000, 413),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_post_of_what_is_no_packets_ends_the_session(
    server: ServerProcess, body: bytes, status: int, chunked: bool
) -> None:
    session = raw.polling_session(server.port)
    assert raw.status(raw.post(server.port, session, b"40/tasks,")) == 200
    assert raw.status(raw.get(server.port, session)) == 200
    assert raw.status(raw.post(server.port, session, body, chunked=chunked)) == status
    if status != 200:
        assert raw.status(raw.post(server.port, session, b"3")) == 400
        assert raw.status(raw.get(server.port, session)) == 400


@pytest.mark.parametrize(
    "path",
    [
        f"{POLLING}&j=0",
        f"{POLLING}&%6a=0",
        f"{POLLING}&j",
        f"{POLLING}&j=0&sid=x",
        "/socket.io/?EIO=3&transport=polling",
        "/socket.io/?transport=polling",
        "/socket.io/?EIO=4&EIO=3&transport=polling",
        "/socket.io/?EIO=4&transport=flashsocket",
        "/socket.io/?EIO=4&transport=websocket",
        "/socket.io/?EIO=%ff%fe&transport=polling",
        f"{POLLING}&sid=unknown",
        f"{POLLING}&sid=two%0d%0alines",
    ],
)
def test_an_address_that_no_client_asks_for_is_refused(server: ServerProcess, path: str) -> None:
    assert raw.status(raw.get(server.port, path)) == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_a_method_that_no_client_uses_is_refused(server: ServerProcess, method: str) -> None:
    request = (
        f"{method} {POLLING} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert raw.status(raw.ask(server.port, request)) == 400


@pytest.mark.parametrize(
    "path",
    [
        f"{WEBSOCKET}&sid=unknown",
        "/socket.io/?EIO=3&transport=websocket",
        "/socket.io/?EIO=4&transport=flashsocket",
    ],
)
def test_a_handshake_that_no_client_makes_is_refused(server: ServerProcess, path: str) -> None:
    assert raw.status(raw.get(server.port, path, raw.UPGRADE)) == 400


def test_a_websocket_on_the_session_of_another_is_refused(server: ServerProcess) -> None:
    session = raw.polling_session(server.port)
    second = session.replace("=polling", "=websocket")
    with closing(raw.plug(server.port)) as probing:
        probing.sendall(
            f"GET {second} HTTP/1.1\r\nHost: localhost\r\n".encode() + raw.UPGRADE + b"\r\n"
        )
        assert raw.status(probing.recv(4096)) == 101
        # While the first is being probed, and when it has taken over.
        assert raw.status(raw.get(server.port, second, raw.UPGRADE)) == 400
        probing.sendall(raw.frame(b"2probe") + raw.frame(b"5"))
        assert b"3probe" in probing.recv(4096)
        assert raw.status(raw.get(server.port, second, raw.UPGRADE)) == 400
        assert raw.status(raw.get(server.port, session)) in {200, 400}
        assert raw.status(raw.post(server.port, session, b"3")) == 400


def test_a_flood_of_answers_that_nobody_asked_for_is_cut_off(server: ServerProcess) -> None:
    with raw.peer(server.port) as flooding:
        flooding.join()
        for _ in range(PONGS // 1000):
            flooding.say(*["3"] * 1000)
        assert flooding.close_code() == raw.CUT


def test_a_few_answers_too_many_are_nothing(server: ServerProcess) -> None:
    with raw.peer(server.port) as eager:
        eager.join().say(*["3"] * 500)
        eager.say('42/tasks,1["dance"]')
        assert eager.packet().startswith("43/tasks,1[")
