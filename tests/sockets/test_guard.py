"""What the guard lets through, and what it refuses before anything else sees it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.sockets.guard import BadPacket, Connect, Disconnect, Event, parse


@pytest.mark.parametrize(
    ("packet", "meaning"),
    [
        ("0", Connect("/", None)),
        ("0/tasks", Connect("/tasks", None)),
        ("0/tasks,", Connect("/tasks", None)),
        ('0/tasks,{"token":"x"}', Connect("/tasks", {"token": "x"})),
        ("0/tasks?token=x,", Connect("/tasks", None)),
        ("1/tasks,", Disconnect("/tasks")),
        ("1/tasks", Disconnect("/tasks")),
        ("1", Disconnect("/")),
        (
            '2/tasks,["subscribe",{"task_id":"t"}]',
            Event("/tasks", "subscribe", ({"task_id": "t"},), None),
        ),
        ('2/tasks,17["subscribe"]', Event("/tasks", "subscribe", (), 17)),
        ('2["subscribe",1,"two"]', Event("/", "subscribe", (1, "two"), None)),
    ],
)
def test_what_clients_of_the_protocol_send_is_understood(packet: str, meaning: object) -> None:
    assert parse(packet) == meaning


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "x",
        "7",
        "9",
        "2",
        "2{}",
        "2[]",
        "2[null]",
        "2[1]",
        '2/tasks,{"a":1}',
        '2/tasks,["connect"]',
        '2/tasks,["disconnect","bye"]',
        '2["connect",{"sid":"forged"}]',
        '2["connect_error"]',
        '2["newListener"]',
        "2" + "1" * 101 + '["subscribe"]',
        '3/tasks,1["late"]',
        '4/tasks,{"message":"no"}',
        '51-/tasks,["subscribe",{"_placeholder":true,"num":0}]',
        '61-/tasks,1[{"_placeholder":true,"num":0}]',
        '21-["subscribe"]',
        '2["a",NaN]',
        '2["a",9223372036854775808]',
        '2["a","\\ud800"]',
        '2["a"',
        "2" + "[" * 100_000,
        "0[]",
        '0/tasks,"token"',
        '0/tasks,5{"a":1}',
        "1/tasks,[]",
        "11",
        b"\x00\x01",
        {"sid": "x"},
        None,
    ],
    ids=lambda packet: repr(packet)[:40],
)
def test_everything_else_is_refused(packet: object) -> None:
    with pytest.raises(BadPacket):
        parse(packet)


@given(st.text() | st.binary() | st.from_regex(r"[0-6](/tasks,)?\d{0,3}.*", fullmatch=True))
def test_nothing_but_a_bad_packet_is_ever_raised(packet: str | bytes) -> None:
    with suppress(BadPacket):
        parse(packet)
