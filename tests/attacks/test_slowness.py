"""Those who take their time: all at once, since a server waits ten seconds for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Final

from tests.attacks import raw
from tests.attacks.conftest import Attack
from tests.support.server import ServerProcess

DEADLINE_S: Final = 10.0
SLACK_S: Final = 4.0
STALLED_WITHIN_S: Final = 25.0


def _half_a_header(server: ServerProcess) -> None:
    with closing(raw.plug(server.port)) as silent:
        silent.settimeout(DEADLINE_S + SLACK_S)
        silent.sendall(b"GET /api/tasks HTTP/1.1\r\nHost: local")
        assert raw.answered(silent) == b""


def _nothing_at_all(server: ServerProcess) -> None:
    with closing(raw.plug(server.port)) as silent:
        silent.settimeout(DEADLINE_S + SLACK_S)
        assert raw.answered(silent) == b""


def _a_header_in_drops(server: ServerProcess) -> None:
    with closing(raw.plug(server.port)) as dripping, suppress(ConnectionError):
        dripping.sendall(b"GET /api/tasks HTTP/1.1\r\nHost: localhost\r\n")
        for n in range(1000):
            dripping.sendall(b"x-%d: y\r\n" % n)
            time.sleep(0.1)  # That is the attack.
        raise AssertionError("it was listened to for a hundred seconds")


def _half_a_body(server: ServerProcess) -> None:
    _stops_half_way(server, "/api/tasks", 408)


def _half_a_payload(server: ServerProcess) -> None:
    session = raw.polling_session(server.port)
    _stops_half_way(server, session, 408)
    assert raw.status(raw.get(server.port, session)) == 400


def _stops_half_way(server: ServerProcess, path: str, status: int) -> None:
    with closing(raw.plug(server.port)) as silent:
        silent.settimeout(DEADLINE_S + SLACK_S)
        silent.sendall(_head(path, 100) + b'{"kind":')
        answer = raw.answered(silent)
        assert raw.status(answer) == status
        assert b"\r\nconnection: close\r\n" in answer.lower()
        assert silent.recv(1) == b""


def _a_body_in_drops(server: ServerProcess) -> None:
    assert raw.status(_dripped(server, "/api/tasks")) == 408


def _a_body_that_nobody_reads(server: ServerProcess) -> None:
    """It is answered at once, and comes all the same."""
    assert raw.status(_dripped(server, "/nowhere")) == 404


def _dripped(server: ServerProcess, path: str) -> bytes:
    """What was answered until the connection ended, by which no more could be sent."""
    with closing(raw.plug(server.port)) as dripping:
        dripping.sendall(_head(path, 10_000))
        said = b""
        dripping.settimeout(0.1)
        for _ in range(1000):
            try:
                dripping.sendall(b"[")
                part = dripping.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                return said
            if not part:
                return said
            said += part
        raise AssertionError("it was listened to for a hundred seconds")


def _head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def _never_connects(server: ServerProcess) -> None:
    with raw.peer(server.port) as undecided:
        undecided.raw.settimeout(DEADLINE_S + SLACK_S)
        assert undecided.close_code() == 1012


def _polls_and_never_connects(server: ServerProcess) -> None:
    session = raw.polling_session(server.port)
    while raw.status(raw.get(server.port, session)) == 200:
        pass


def _answers_and_never_connects(server: ServerProcess) -> None:
    with raw.peer(server.port) as lively:
        lively.raw.settimeout(1.0)
        began = time.monotonic()
        while time.monotonic() - began < DEADLINE_S + SLACK_S:
            lively.say("3")
            with suppress(TimeoutError):
                if lively.close_code() in {1012, raw.CUT}:
                    return
        raise AssertionError("it stays for ever")


_SLOW: Final[tuple[Callable[[ServerProcess], None], ...]] = (
    _half_a_header,
    _nothing_at_all,
    _a_header_in_drops,
    _half_a_body,
    _half_a_payload,
    _a_body_in_drops,
    _a_body_that_nobody_reads,
    _never_connects,
    _polls_and_never_connects,
    _answers_and_never_connects,
)


def _seconds(run: Callable[[ServerProcess], None], server: ServerProcess) -> float:
    began = time.monotonic()
    run(server)
    return time.monotonic() - began


def test_who_does_not_get_on_with_it_is_closed_in_ten_seconds(
    server: ServerProcess, attack: Attack
) -> None:
    attack.lines = len(_SLOW)
    with ThreadPoolExecutor(len(_SLOW)) as pool:
        took = [pool.submit(_seconds, run, server) for run in _SLOW]
        for each in took:
            assert DEADLINE_S - 0.5 < each.result() < DEADLINE_S + SLACK_S


def _watch_a_flood(server: ServerProcess, watching: raw.Peer) -> None:
    """More than the buffers on the way hold."""
    task_id = server.create("flood", steps=1500, pause_s=0.001, line_chars=12_000, reports=0)
    watching.join().say(f'42/tasks,["subscribe",{{"task_id":"{task_id}"}}]')


def test_who_reads_nothing_is_cut_off_and_costs_little(
    server: ServerProcess, attack: Attack
) -> None:
    # What it takes to store so many events, and to send them, is not what is asked.
    for _ in range(2):
        with raw.peer(server.port) as attentive:
            _watch_a_flood(server, attentive)
            while '"final":true' not in attentive.packet():
                pass
    attack.begins()
    with raw.peer(server.port, receive_buffer=4096) as deaf:
        _watch_a_flood(server, deaf)
        deadline = time.monotonic() + STALLED_WITHIN_S
        while deaf.port in server.peer_ports:
            assert time.monotonic() < deadline
            time.sleep(0.1)  # Another process: it tells nobody.
