"""Credentials that are not good, or stop being so: refused at every door, or closed behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any, Final

import orjson
import pytest

from taskpush.access.keys import create_key, revoke_key
from taskpush.access.principal import OWNERS_ROLES
from tests.access.signing import AUDIENCE, ISSUER, forged, pem, rsa_key, token
from tests.attacks import raw
from tests.attacks.bystander import Bystander
from tests.attacks.conftest import Attack
from tests.support.doors import DOORS, REPORTING
from tests.support.server import ServerProcess

RSA, STRANGERS_RSA = rsa_key(), rsa_key()
GHOST: Final = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
ENDED_WITHIN_S: Final = 12.0
"""A look around takes place every 5 s; the promise is 30 s."""


Watch = Generator[str, None, None]
"""The packets that a watching connection is sent."""


def by_jwt(key: Any = RSA, algorithm: str = "RS256", **changes: Any) -> str:
    return token(key, algorithm, **{"exp": time.time() + 3600, **changes})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded") / "data" / "keys.json"


@pytest.fixture(scope="module")
def server(keys: Path) -> Iterator[ServerProcess]:
    """Another one than the other modules attack: one that asks who is there."""
    key_file = keys.parent.with_name("issuer.pem")
    key_file.write_bytes(pem(RSA))
    settings = {
        "jwt_algorithms": "RS256",
        "jwt_public_key": str(key_file),
        "jwt_audience": AUDIENCE,
        "jwt_issuer": ISSUER,
        "jwt_leeway_s": "0",
    }
    with ServerProcess(keys.parent, settings=settings) as process:
        shown = by_jwt()
        for path in ("/docs", "/openapi.json", "/api/tasks", "/api/stats", "/api/queue"):
            process.raw("GET", path, token=shown)
        yield process


@pytest.fixture(scope="module")
def bystander(server: ServerProcess) -> Iterator[Bystander]:
    with Bystander(server, by_jwt(sub="bystander")) as watching:
        yield watching


def knock(server: ServerProcess, method: str, path: str, shown: str, query: str = "") -> bytes:
    """The answer of one door, byte for byte but for the date."""
    filled = path.format(task=GHOST, upload=GHOST, token="A" * 22)
    body = b"{}" if method == "POST" else b""
    answer = raw.ask(
        server.port,
        f"{method} {filled}{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {shown}\r\n\r\n".encode()
        + body,
    )
    head, _, content = answer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"date:")]
    return b"\r\n".join([*lines, b"", content])


def code(answer: bytes) -> str:
    problem: dict[str, str] = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    return problem["code"]


def knock_by_websocket(server: ServerProcess, shown: str, query: str = "") -> str:
    """The code of the refusal; the socket is let go."""
    with raw.peer(server.port, query=query) as caller:
        return refusal(caller.say(connecting(shown)).packet())


def knock_by_polling(server: ServerProcess, shown: str, query: str = "") -> str:
    session = raw.polling_session(server.port, query=query)
    assert raw.status(raw.post(server.port, session, connecting(shown).encode())) == 200
    answer = raw.get(server.port, session)
    raw.post(server.port, session, b"1")
    return refusal(answer.partition(b"\r\n\r\n")[2].decode())


def connecting(shown: str) -> str:
    return f'40/tasks,{{"token":"{shown}"}}'


def refusal(packet: str) -> str:
    assert packet.startswith("44/tasks,"), packet
    said: str = orjson.loads(packet.removeprefix("44/tasks,"))["data"]["code"]
    return said


BAD: Final[dict[str, tuple[Callable[[], str], str]]] = {
    "alg none": (lambda: forged({"alg": "none", "typ": "JWT"}), "unauthenticated"),
    "the public key as a shared secret": (
        lambda: forged({"alg": "HS256"}, pem(RSA)),
        "unauthenticated",
    ),
    "another's key": (lambda: by_jwt(STRANGERS_RSA), "unauthenticated"),
    "for another audience": (lambda: by_jwt(aud="other.example"), "unauthenticated"),
    "of another issuer": (lambda: by_jwt(iss="https://evil.example"), "unauthenticated"),
    "expired": (lambda: by_jwt(exp=time.time() - 2), "access_ended"),
    "said to be one of the server's own": (
        lambda: forged({"alg": "none", "typ": "taskpush+jwt"}),
        "unauthenticated",
    ),
    "a key that nobody was given": (lambda: f"tpk_{'0' * 16}_{'A' * 43}", "unauthenticated"),
}


@pytest.mark.parametrize("attempt", BAD)
def test_a_credential_that_is_not_good_opens_no_door(
    server: ServerProcess, attack: Attack, attempt: str
) -> None:
    make, expected = BAD[attempt]
    shown = make()
    attack.lines = len(DOORS) + 2
    for method, path in DOORS:
        answer = knock(server, method, path, shown)
        assert (raw.status(answer), code(answer)) == (401, expected)
        assert b'\r\nwww-authenticate: Bearer realm="taskpush"\r\n' in answer
    assert knock_by_websocket(server, shown) == expected
    assert knock_by_polling(server, shown) == expected


@pytest.mark.parametrize("name", ["token", "%74oken", "access_token", "Authorization"])
def test_a_credential_in_an_address_is_refused_at_every_door(
    server: ServerProcess, attack: Attack, name: str
) -> None:
    shown = by_jwt()
    attack.lines = len(DOORS) + 2
    before = len(server.log)
    for method, path in DOORS:
        answer = knock(server, method, path, shown, query=f"?{name}={shown}")
        assert (raw.status(answer), code(answer)) == (400, "credential_in_address")
    query = f"&{name}={shown}"
    assert knock_by_websocket(server, shown, query) == "credential_in_address"
    assert knock_by_polling(server, shown, query) == "credential_in_address"
    assert shown not in server.log[before:]


def test_a_foreign_task_is_answered_like_one_that_there_is_not(server: ServerProcess) -> None:
    task_id = server.create_as(by_jwt(sub="ann"), "iterate", iterations=1)
    shown = by_jwt(sub="bob")
    for method, path in DOORS:
        if "{task}" in path:
            foreign = knock(server, method, path.replace("{task}", task_id), shown)
            assert foreign == knock(server, method, path, shown)
            invalid = (method, path) in REPORTING
            told = (422, "invalid_request") if invalid else (404, "not_found")
            assert (raw.status(foreign), code(foreign)) == told


def _watch_by_websocket(port: int, shown: str, task_id: str) -> Watch:
    with raw.peer(port) as watching:
        watching.say(connecting(shown), f'42/tasks,["subscribe",{{"task_id":"{task_id}"}}]')
        while True:
            yield watching.packet()


def _watch_by_polling(port: int, shown: str, task_id: str) -> Watch:
    session = raw.polling_session(port)
    subscribing = f'42/tasks,["subscribe",{{"task_id":"{task_id}"}}]'
    body = f"{connecting(shown)}\x1e{subscribing}".encode()
    assert raw.status(raw.post(port, session, body)) == 200
    try:
        while True:
            answer = raw.get(port, session)
            assert raw.status(answer) == 200, answer
            yield from answer.partition(b"\r\n\r\n")[2].decode().split("\x1e")
    finally:
        # Who just stays away is closed after ten seconds, with a line in the log.
        raw.post(port, session, b"1")


def _watched_until_it_ended(watch: Watch, ready: Barrier) -> None:
    """Follow a connection: the last that it says is why it is sent away."""
    said = ["", ""]
    with closing(watch):
        while said[-1] != "41/tasks,":
            said = [said[-1], next(watch)]
            if said[-1].startswith('42/tasks,["subscribed"'):
                ready.wait()
    assert '"access_ended"' in said[0], said


def _streamed_until_it_ended(port: int, shown: str, task_id: str, ready: Barrier) -> None:
    with closing(raw.plug(port)) as reader:
        reader.sendall(
            f"GET /api/tasks/{task_id}/stream HTTP/1.1\r\nHost: localhost\r\n"
            f"Connection: close\r\nAuthorization: Bearer {shown}\r\n\r\n".encode()
        )
        said = reader.recv(65536)
        assert raw.status(said) == 200
        ready.wait()
        said += raw.answered(reader)
    last = said.decode().rpartition("event: ")[2]
    assert last.startswith('error\ndata: {"code":"access_ended"')
    assert last.endswith("\r\n0\r\n\r\n")


def _all_are_sent_away(server: ServerProcess, shown: str, end: Callable[[], object]) -> None:
    """Watch in every way, then have `end` end the credential."""
    task_id = server.create_as(shown, "iterate", iterations=100_000, pause_s=0.2)
    ready = Barrier(4, timeout=20)
    watches = [
        each(server.port, shown, task_id) for each in (_watch_by_websocket, _watch_by_polling)
    ]
    with ThreadPoolExecutor(3) as pool:
        watching = [pool.submit(_watched_until_it_ended, each, ready) for each in watches]
        watching.append(pool.submit(_streamed_until_it_ended, server.port, shown, task_id, ready))
        ready.wait()
        end()
        began = time.monotonic()
        for each in watching:
            each.result(timeout=60)
        assert time.monotonic() - began < ENDED_WITHIN_S


def test_a_token_that_expires_while_connected_closes_what_it_opened(
    server: ServerProcess, attack: Attack
) -> None:
    attack.lines = 0
    _all_are_sent_away(server, by_jwt(sub="visitor", exp=time.time() + 5), lambda: None)


def test_a_key_that_is_revoked_while_connected_closes_what_it_opened(
    server: ServerProcess, attack: Attack, keys: Path
) -> None:
    attack.lines = 0
    now = time.time()
    shown = create_key(keys, "leaver", roles=OWNERS_ROLES, owner="leaver", now=now)
    _all_are_sent_away(server, shown, partial(revoke_key, keys, "leaver", now=now))


def test_who_was_sent_away_and_stays_is_closed(server: ServerProcess) -> None:
    with raw.peer(server.port) as stubborn:
        stubborn.raw.settimeout(ENDED_WITHIN_S + 10)
        stubborn.say(connecting(by_jwt(exp=time.time() + 2)))
        while stubborn.packet() != "41/tasks,":
            pass
        assert stubborn.close_code() == 1012


MANY_VALUES = [
    b'{"params": {"x": [' + b"0," * 500_000 + b"0]}}",
    b'{"params": {"x": [' + b"[[],[]]," * 110_000 + b"0]}}",
    b'{"params": {"x": [' + b"{}," * 330_000 + b"0]}}",
    b'{"params": {"x": [' + b"[[],[]]," * 110_000 + b"9007199254740993]}}",
]


@pytest.mark.parametrize("body", MANY_VALUES, ids=lambda body: repr(body[18:32] + body[-8:]))
def test_half_a_million_values_hold_nobody_up(
    server: ServerProcess, attack: Attack, body: bytes
) -> None:
    # While they are looked at, a value of two bytes is a Python object.
    attack.growth_bytes = 100_000_000
    answer, problem = server.call("POST", "/api/tasks", raw=body, token=by_jwt())
    assert answer in {400, 422}
    assert len(str(problem)) < 1000
