"""What no Socket.IO client of this protocol says, and what one may say too often."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.attacks import raw
from tests.support.server import ServerProcess

GHOST = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
COME_BACK = 1012
EVENTS = 50_000


@pytest.mark.parametrize(
    "packet",
    [
        '42/tasks,["connect",{"sid":"forged"}]',
        '42/tasks,["disconnect","forged"]',
        '42/tasks,["connect_error",{}]',
        b"\x00\x01\x02",
        b"",
        '451-/tasks,["subscribe",{"_placeholder":true,"num":0}]',
        '459999999999-/tasks,["subscribe",{"_placeholder":true,"num":0}]',
        "42{}",
        "42[null]",
        "42/tasks,[]",
        "42/tasks,[1]",
        '42/tasks,["subscribe",NaN]',
        '42/tasks,["subscribe",' + "[" * 30_000,
        '42/tasks,["subscribe",{"task_id":1,"task_id":2}]',
        "47",
        "4",
        "43/tasks,1[]",
        '44/tasks,{"message":"no"}',
        "42" + "1" * 101 + '["subscribe",{}]',
        "42/tasks," + "1" * 101 + '["subscribe",{}]',
        "40/tasks,",
        '42/other,["subscribe",{}]',
        "40/tasks,[]",
        "6x",
    ],
    ids=lambda packet: repr(packet)[:40],
)
def test_a_packet_that_no_client_sends_closes_the_connection(
    server: ServerProcess, packet: str | bytes
) -> None:
    before = len(server.log)
    with raw.peer(server.port) as bad:
        bad.join().say(packet)
        assert bad.close_code() == COME_BACK
    assert "packet.refused" in server.log[before:]


@pytest.mark.parametrize("packet", ['42/tasks,["subscribe",{}]', '42["subscribe",{}]'])
def test_an_event_before_connect_closes_the_connection(server: ServerProcess, packet: str) -> None:
    with raw.peer(server.port) as bad:
        assert bad.say(packet).close_code() == COME_BACK


def test_an_unknown_namespace_is_refused_with_an_object(server: ServerProcess) -> None:
    with raw.peer(server.port) as lost:
        lost.say("40/other,")
        assert lost.packet() == '44/other,{"message":"Invalid namespace"}'


def _ack(peer: raw.Peer) -> dict[str, Any]:
    """The next acknowledgement; events are skipped."""
    while not (packet := peer.packet()).startswith("43/tasks,"):
        pass
    payload: dict[str, Any] = orjson.loads(packet[packet.index("[") :])[0]
    return payload


def _emit(name: str, payload: Any, ack: int) -> str:
    return f"42/tasks,{ack}{orjson.dumps([name, payload]).decode()}"


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
def test_a_bad_subscribe_is_answered_and_the_connection_lives(
    server: ServerProcess, payload: Any, code: str
) -> None:
    with raw.peer(server.port) as clumsy:
        clumsy.join().say(_emit("subscribe", payload, 1))
        ack = _ack(clumsy)
        assert (ack["ok"], ack["code"]) == (False, code)
        assert clumsy.packet().startswith('42/tasks,["error"')
        clumsy.say(_emit("dance", {}, 2))
        assert _ack(clumsy)["code"] == "unknown_event"


@pytest.mark.parametrize("wrong", ["head + 1", "another epoch"])
def test_a_position_that_never_was_is_a_resync(server: ServerProcess, wrong: str) -> None:
    task_id = server.create("iterate", iterations=3)
    head = server.wait_over(task_id)["position"]
    after = head | ({"seq": head["seq"] + 1} if wrong == "head + 1" else {"epoch": "other"})
    with raw.peer(server.port) as lost:
        lost.join().say(_emit("subscribe", {"task_id": task_id, "after": after}, 1))
        assert _ack(lost)["mode"] == "resync"


def test_the_129th_subscription_is_refused_and_the_others_live(server: ServerProcess) -> None:
    with raw.peer(server.port) as greedy:
        greedy.join()
        for index in range(129):
            greedy.say(_emit("subscribe", {"task_id": GHOST[:-3] + f"{index:03d}"}, index))
        acks = [_ack(greedy) for _ in range(129)]
        assert [ack["ok"] for ack in acks] == [True] * 128 + [False]
        assert acks[-1]["code"] == "subscription_limit"


def test_a_flood_of_events_is_told_so_and_then_cut_off(server: ServerProcess) -> None:
    with raw.peer(server.port) as flooding:
        flooding.join()
        flooding.say(*[_emit("unsubscribe", {"task_id": GHOST}, n) for n in range(700)])
        acks = [_ack(flooding) for _ in range(700)]
        assert all(ack["ok"] for ack in acks[:500])
        assert acks[-1]["code"] == "rate_limited"
        for n in range(0, EVENTS, 1000):
            flooding.say(*[_emit("unsubscribe", {"task_id": GHOST}, n)] * 1000)
        assert flooding.close_code() == raw.CUT


def test_a_flood_of_long_events_is_cut_off_though_they_are_few(server: ServerProcess) -> None:
    """Each counts as fifteen: 34 may come at once, and twice as many end the connection."""
    with raw.peer(server.port) as flooding:
        flooding.join()
        long = {"task_id": GHOST, "padding": "x" * 60_000}
        flooding.say(*[_emit("unsubscribe", long, n) for n in range(50)])
        acks = [_ack(flooding) for _ in range(50)]
        assert all(ack["ok"] for ack in acks[:30])
        assert acks[-1]["code"] == "rate_limited"
        flooding.say(*[_emit("unsubscribe", long, n) for n in range(50)])
        assert flooding.close_code() == raw.CUT


def test_a_flood_of_binary_packets_is_refused_at_the_first(server: ServerProcess) -> None:
    with raw.peer(server.port) as flooding:
        flooding.join()
        for _ in range(200):
            flooding.say(*[b"x" * 60_000] * 10)
        assert flooding.close_code() in {COME_BACK, raw.CUT}
