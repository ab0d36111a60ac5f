"""The Socket.IO protocol, version 5. Each class is a section of its document.

https://github.com/socketio/socket.io-protocol. What is left out on purpose is stated in
docs/reference/protocol.md.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

import orjson
import pytest

from tests.conformance.peer import WITHIN_S, Peer, WebSocket


async def ack(socket: WebSocket, number: int) -> object:
    """What the event of that number is answered with; other packets are passed over."""
    start = f"43/tasks,{number}["
    async with asyncio.timeout(WITHIN_S):
        while not (packet := await socket.text()).startswith(start):
            pass
    (answer,) = orjson.loads(packet[len(start) - 1 :])
    return answer


class TestConnectionToANamespace:
    @pytest.mark.parametrize("packet", ["40/tasks,", "40/tasks", "40/tasks,{}"])
    async def test_it_is_answered_with_a_session_id(self, peer: Peer, packet: str) -> None:
        async with peer.websocket() as socket:
            await socket.send(packet)
            answer = await socket.text()
            assert answer.startswith("40/tasks,")
            connected = orjson.loads(answer[len("40/tasks,") :])
            assert set(connected) == {"sid"}
            assert connected["sid"] != socket.opened["sid"]

    async def test_it_takes_a_payload(self, peer: Peer) -> None:
        async with peer.websocket() as socket:
            await socket.send('40/tasks,{"token":"123"}')
            assert (await socket.text()).startswith('40/tasks,{"sid":"')

    @pytest.mark.parametrize("query", ["/tasks?token=abc", "/tasks?a=1&b=2"])
    async def test_a_query_in_the_name_is_not_part_of_it(self, peer: Peer, query: str) -> None:
        async with peer.websocket() as socket:
            await socket.send(f"40{query},")
            assert (await socket.text()).startswith('40/tasks,{"sid":"')

    @pytest.mark.parametrize(
        ("packet", "answer"),
        [
            ("40", '44{"message":"Invalid namespace"}'),
            ('40{"token":"123"}', '44{"message":"Invalid namespace"}'),
            ("40/,", '44{"message":"Invalid namespace"}'),
            ("40/other,", '44/other,{"message":"Invalid namespace"}'),
            ('40/other,{"token":"123"}', '44/other,{"message":"Invalid namespace"}'),
            ("40/Tasks,", '44/Tasks,{"message":"Invalid namespace"}'),
        ],
    )
    async def test_an_unknown_namespace_gets_a_connect_error_with_an_object(
        self, peer: Peer, packet: str, answer: str
    ) -> None:
        async with peer.websocket() as socket:
            await socket.send(packet)
            assert await socket.text() == answer

    async def test_after_a_connect_error_another_namespace_may_be_asked_for(
        self, peer: Peer
    ) -> None:
        async with peer.websocket() as socket:
            for _ in range(2):
                await socket.send("40")
                assert (await socket.text()).startswith("44{")
            await socket.send("40/tasks,")
            assert (await socket.text()).startswith('40/tasks,{"sid":"')
            await socket.lives()

    async def test_a_namespace_that_is_refused_leaves_the_connected_one_as_it_was(
        self, peer: Peer
    ) -> None:
        """Several namespaces share a connection; there is one here, so every other is refused."""
        async with peer.connected() as socket:
            await socket.send("40/admin,")
            assert await socket.text() == '44/admin,{"message":"Invalid namespace"}'
            await socket.lives()
            await socket.send("40")
            assert await socket.text() == '44{"message":"Invalid namespace"}'
            await socket.lives()

    @pytest.mark.parametrize(
        "packet", ['42["foo"]', '42/tasks,["foo"]', "41", "41/tasks,", '43/tasks,1["foo"]', "4abc"]
    )
    async def test_anything_before_it_closes_the_connection(self, peer: Peer, packet: str) -> None:
        async with peer.websocket() as socket:
            await socket.send(packet)
            assert await socket.closed() == 1012

    async def test_twice_the_same_closes_the_connection(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            await socket.send("40/tasks,")
            assert await socket.closed() == 1012

    @pytest.mark.parametrize("payload", ["[]", '"token"', "1", "{", '{"a":NaN}', '1{"a":1}'])
    async def test_a_payload_that_is_no_object_closes_the_connection(
        self, peer: Peer, payload: str
    ) -> None:
        async with peer.websocket() as socket:
            await socket.send(f"40/tasks,{payload}")
            assert await socket.closed() == 1012

    async def test_over_long_polling_the_answer_is_the_same(self, peer: Peer) -> None:
        session = await peer.polling()
        await session.post("40/other,", "40/tasks,")
        assert await session.packet() == '44/other,{"message":"Invalid namespace"}'
        assert (await session.packet()).startswith('40/tasks,{"sid":"')


class TestSendingAndReceivingData:
    async def test_an_event_without_an_id_is_taken_and_its_effect_comes_as_an_event(
        self, peer: Peer
    ) -> None:
        task_id = str(uuid4())
        async with peer.connected() as socket:
            await socket.send(f'42/tasks,["subscribe",{{"task_id":"{task_id}"}}]')
            assert await socket.text() == f'42/tasks,["subscribed",{{"task_id":"{task_id}"}}]'

    @pytest.mark.parametrize(
        "payload",
        [
            "",
            "[]",
            "{}",
            "null",
            "1",
            '"foo"',
            "[null]",
            "[1]",
            "[[]]",
            '["foo"',
            "[NaN]",
            '["foo",' + "[" * 30_000,
        ],
        ids=lambda payload: payload[:12],
    )
    async def test_a_payload_that_is_no_array_with_a_name_closes_the_connection(
        self, peer: Peer, payload: str
    ) -> None:
        async with peer.connected() as socket:
            await socket.send(f"42/tasks,{payload}")
            assert await socket.closed() == 1012

    @pytest.mark.parametrize("namespace", ["", "/other,", "/tasks/,", "/tasks?a=b,"])
    async def test_an_event_for_a_namespace_that_is_not_connected_closes_the_connection(
        self, peer: Peer, namespace: str
    ) -> None:
        async with peer.connected() as socket:
            await socket.send(f'42{namespace}["subscribe",{{}}]')
            assert await socket.closed() == 1012

    @pytest.mark.parametrize(
        "packet",
        [
            '451-/tasks,["subscribe",{"_placeholder":true,"num":0}]',
            '452-/tasks,["subscribe",{"_placeholder":true,"num":0}]',
            '45/tasks,["subscribe"]',
            '461-/tasks,1[{"_placeholder":true,"num":0}]',
            '421-/tasks,["subscribe"]',
        ],
    )
    async def test_binary_events_from_clients_are_refused(self, peer: Peer, packet: str) -> None:
        """Left out on purpose: nothing that clients say has bytes in it."""
        async with peer.connected() as socket:
            await socket.send(packet)
            assert await socket.closed() == 1012

    @pytest.mark.parametrize(
        "name",
        [
            "connect",
            "connect_error",
            "disconnect",
            "disconnecting",
            "newListener",
            "removeListener",
        ],
    )
    async def test_an_event_with_a_reserved_name_closes_the_connection(
        self, peer: Peer, name: str
    ) -> None:
        async with peer.connected() as socket:
            await socket.send(f'42/tasks,["{name}",{{}}]')
            assert await socket.closed() == 1012

    @pytest.mark.parametrize(
        "packet", ["47", "48/tasks,", "4", "4/tasks,", "4a", '44/tasks,{"a":1}']
    )
    async def test_what_is_no_packet_of_a_client_closes_the_connection(
        self, peer: Peer, packet: str
    ) -> None:
        async with peer.connected() as socket:
            await socket.send(packet)
            assert await socket.closed() == 1012


class TestAcknowledgement:
    @pytest.mark.parametrize("number", [0, 1, 12, 999_999_999_999_999])
    async def test_it_has_the_id_of_the_event_and_an_array(self, peer: Peer, number: int) -> None:
        task_id = str(uuid4())
        async with peer.connected() as socket:
            await socket.send(f'42/tasks,{number}["unsubscribe",{{"task_id":"{task_id}"}}]')
            answer = await ack(socket, number)
            assert isinstance(answer, dict)
            assert answer["ok"] is True

    async def test_an_event_that_fails_is_acknowledged_too(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            await socket.send('42/tasks,7["cancel",{"task_id":5}]')
            answer = await ack(socket, 7)
            assert isinstance(answer, dict)
            assert (answer["ok"], answer["code"]) == (False, "invalid_request")
            await socket.lives()

    async def test_an_id_may_come_again(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            for _ in range(2):
                await socket.send('42/tasks,7["nothing by this name"]')
                assert await ack(socket, 7)

    @pytest.mark.parametrize("number", ["1" * 16, "1" * 101, "-1", "1.5", "0x1", "\u0661"])
    async def test_what_is_no_id_closes_the_connection(self, peer: Peer, number: str) -> None:
        async with peer.connected() as socket:
            await socket.send(f'42/tasks,{number}["subscribe",{{}}]')
            assert await socket.closed() == 1012

    @pytest.mark.parametrize("packet", ["43/tasks,1[]", '43/tasks,1["bar"]', "43/tasks,[]"])
    async def test_one_that_nobody_asked_for_closes_the_connection(
        self, peer: Peer, packet: str
    ) -> None:
        """Left out on purpose: the server never asks for one."""
        async with peer.connected() as socket:
            await socket.send(packet)
            assert await socket.closed() == 1012


class TestDisconnectionFromANamespace:
    async def test_it_is_not_answered_and_the_connection_may_be_used_again(
        self, peer: Peer
    ) -> None:
        async with peer.connected() as socket:
            await socket.send("41/tasks,")
            await socket.send("40/tasks,")
            assert (await socket.text()).startswith('40/tasks,{"sid":"')
            await socket.lives()

    async def test_nothing_of_a_namespace_comes_after_it(self, peer: Peer) -> None:
        task_id = str(uuid4())
        async with peer.connected() as socket:
            await socket.send(f'42/tasks,["subscribe",{{"task_id":"{task_id}"}}]')
            assert (await socket.text()).startswith('42/tasks,["subscribed"')
            await socket.send("41/tasks,")
            await socket.send("40/other,")
            assert await socket.text() == '44/other,{"message":"Invalid namespace"}'

    async def test_an_event_after_it_closes_the_connection(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            await socket.send("41/tasks,")
            await socket.send('42/tasks,1["subscribe",{}]')
            assert await socket.closed() == 1012

    @pytest.mark.parametrize("packet", ["41", "41/other,"])
    async def test_from_another_namespace_it_changes_nothing(self, peer: Peer, packet: str) -> None:
        async with peer.connected() as socket:
            await socket.send(packet)
            await socket.lives()

    @pytest.mark.parametrize("packet", ["41/tasks,1", "41/tasks,{}", '41/tasks,["reason"]'])
    async def test_it_has_neither_id_nor_payload(self, peer: Peer, packet: str) -> None:
        async with peer.connected() as socket:
            await socket.send(packet)
            assert await socket.closed() == 1012
