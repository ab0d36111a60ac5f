"""Whatever a client says is answered with a code, or closes its own connection; nothing else."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conformance.peer import WITHIN_S, Peer, WebSocket
from tests.conformance.values import VALUES, travels
from tests.support.server import ServerProcess

# hypercorn closes connections with what it has not read, so that clients lose the reason.
pytestmark = pytest.mark.parametrize(
    "door", [None, "uvicorn"], indirect=True, ids=["serve", "uvicorn"]
)

RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener")
GHOST = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"

NAMES = st.sampled_from(["subscribe", "unsubscribe", "cancel"]) | st.sampled_from(
    ["", "dance", "task_update", "x" * 2_000, *RESERVED]
)
PAYLOADS = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "task_id": st.just(GHOST) | VALUES,
        "feed": st.sampled_from(["all", "kind:iterate", "tag:", "owner:me", "owner:you"]) | VALUES,
        "after": st.just("now")
        | st.fixed_dictionaries({"epoch": st.just("abcd") | VALUES, "seq": VALUES})
        | VALUES,
        "previews": VALUES,
        "attempt": VALUES,
        "keep": VALUES,
        "surprise": VALUES,
    },
)
EVENTS = st.tuples(
    NAMES,
    st.lists(PAYLOADS, max_size=3),
    st.none() | st.integers(0, 800) | st.integers(10**14, 10**15 - 1),
)


def packet(name: str, arguments: list[Any], number: int | None) -> str:
    """The packet of an event, as a JavaScript client with no scruples would write it."""
    return f"42/tasks,{'' if number is None else number}{_json([name, *arguments])}"


def _json(value: object) -> str:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        return json.dumps(value)
    finally:
        sys.setrecursionlimit(limit)


class Bystander:
    """Somebody else, who watches a task from before its creation to its end."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server

    async def sees_a_whole_task(self) -> None:
        task_id = str(uuid4())
        async with Peer(self._server.port).connected() as socket:
            await socket.send(f'42/tasks,["subscribe",{{"task_id":"{task_id}"}}]')
            body = {"kind": "iterate", "task_id": task_id, "params": {"iterations": 2}}
            status, _ = await asyncio.to_thread(self._server.call, "POST", "/api/tasks", body)
            assert status == 201
            seqs = []
            async with asyncio.timeout(WITHIN_S):
                while True:
                    name, event = orjson.loads((await socket.text())[len("42/tasks,") :])
                    if name != "task_update":
                        continue
                    if event["seq"] is not None:
                        seqs.append(event["seq"])
                    if event["data"].get("final"):
                        break
            assert seqs == list(range(1, len(seqs) + 1))


async def _answer(socket: WebSocket, number: int) -> dict[str, Any]:
    start = f"43/tasks,{number}["
    async with asyncio.timeout(WITHIN_S):
        while not (said := await socket.text()).startswith(start):
            pass
    (answer,) = orjson.loads(said[len(start) - 1 :])
    assert isinstance(answer, dict)
    return answer


def _refusals(log: str, socket: WebSocket) -> int:
    """How often the log says that the server refused a packet of this connection."""
    said = [line for line in log.splitlines() if "packet.refused" in line]
    return sum(f"{socket.address} " in f"{line} " for line in said)


@settings(max_examples=100)
@given(events=st.lists(EVENTS, min_size=1, max_size=12))
async def test_every_event_is_acknowledged_with_a_code_or_closes_its_connection(
    door: ServerProcess, events: list[tuple[str, list[Any], int | None]]
) -> None:
    before = len(door.log)
    async with Peer(door.port).connected() as socket:
        for name, arguments, number in events:
            await socket.send(packet(name, arguments, number))
            if name in RESERVED or not travels([name, *arguments]):
                assert await socket.closed() == 1012
                assert _refusals(door.log[before:], socket) == 1
                break
            if number is not None:
                answer = await _answer(socket, number)
                assert answer["ok"] is True or answer["code"], answer
            await socket.lives()
        else:
            assert _refusals(door.log[before:], socket) == 0
    assert "Traceback" not in door.log


VALID = st.sampled_from(
    [
        "1",
        "3",
        "40/tasks,",
        "41/tasks,",
        '40/other,{"token":"x"}',
        f'42/tasks,1["subscribe",{{"task_id":"{GHOST}"}}]',
        f'42/tasks,2["cancel",{{"task_id":"{GHOST}","attempt":1}}]',
        '42/tasks,3["subscribe",{"feed":"all"}]',
        '451-/tasks,["subscribe",{"_placeholder":true,"num":0}]',
        "43/tasks,1[]",
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A packet of a client with something cut out, put in, or said twice."""
    text = draw(VALID)
    for _ in range(draw(st.integers(0, 3))):
        at, to = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        put = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | VALID)
        text = text[:at] + put + text[to:]
    return text


PACKETS = mutated() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


async def _lived_or_was_closed(socket: WebSocket) -> str | int:
    """The start of the last answer, or the code that the server closed the connection with."""
    start = "44/other,"
    with suppress(ConnectionClosed):
        async with asyncio.timeout(WITHIN_S):
            while not str(await socket.raw()).startswith(start):
                pass
        return start
    return await socket.closed()


@settings(max_examples=150)
@given(packets=st.lists(PACKETS | st.binary(max_size=20), min_size=1, max_size=6))
async def test_any_packets_leave_the_connection_in_order_or_close_it(
    door: ServerProcess, packets: list[str | bytes]
) -> None:
    async with Peer(door.port).connected() as socket:
        with suppress(ConnectionClosed):
            for said in packets:
                await socket.send(said)
            await socket.send("40/other,")
        assert await _lived_or_was_closed(socket) in {"44/other,", 1000, 1012}
    assert "Traceback" not in door.log


@settings(max_examples=100)
@given(
    bodies=st.lists(
        st.lists(PACKETS, max_size=4).map(lambda packets: "\x1e".join(packets).encode())
        | st.binary(max_size=40),
        min_size=1,
        max_size=4,
    )
)
async def test_any_payloads_are_answered_ok_or_400_and_then_the_session_is_closed(
    door: ServerProcess, bodies: list[bytes]
) -> None:
    peer = Peer(door.port)
    session = await peer.polling()
    query = f"EIO=4&transport=polling&sid={session.sid}"
    over = False
    for body in bodies:
        answer = await peer.http("POST", query, body)
        assert (answer.status, answer.text) == (200, "ok") or answer.status == 400
        assert not (over and answer.status == 200)
        over = over or answer.status == 400
    assert not (over and await session.is_known())
    assert "Traceback" not in door.log


@settings(max_examples=60)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    names=st.dictionaries(
        st.sampled_from(["EIO", "transport", "sid", "j", "t", "b64"]),
        st.sampled_from(["4", "3", "polling", "websocket", "abc", "", "%00", "%ff", "0"]),
    ),
)
async def test_any_query_is_answered_200_or_4xx(
    door: ServerProcess, method: str, names: dict[str, str]
) -> None:
    query = "&".join(f"{name}={value}" for name, value in names.items())
    answer = await Peer(door.port).http(method, query)
    assert answer.status == 200 or 400 <= answer.status < 500
    right = names.get("EIO") == "4" and names.get("transport") == "websocket"
    if right and not {"sid", "j"} & names.keys():
        async with Peer(door.port).websocket(query):
            pass
    else:
        with pytest.raises(InvalidStatus) as refused:
            async with Peer(door.port).websocket(query):
                pass
        assert 400 <= refused.value.response.status_code < 500
    assert "Traceback" not in door.log


async def test_all_the_while_others_see_their_tasks_whole(door: ServerProcess) -> None:
    """Somebody floods the server with such packets, and somebody else watches."""

    async def flood() -> None:
        bad = ['42/tasks,1["subscribe",{"task_id":5}]', '42/tasks,["dance"]', "42/tasks,[NaN]"]
        while True:
            async with Peer(door.port).connected() as socket:
                for said in bad:
                    await socket.send(said)
                await socket.closed()

    flooding = [asyncio.create_task(flood()) for _ in range(3)]
    try:
        for _ in range(5):
            await Bystander(door).sees_a_whole_task()
    finally:
        for task in flooding:
            task.cancel()
        ended = await asyncio.gather(*flooding, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
    assert "Traceback" not in door.log
