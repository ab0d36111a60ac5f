"""The Engine.IO protocol, version 4. Each class is a section of its document.

https://github.com/socketio/engine.io-protocol. What is left out on purpose is stated in
docs/reference/protocol.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.conformance.peer import Peer
from tests.sockets.test_engine import both_ways, serving

POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"


async def refused(peer: Peer, query: str) -> None:
    """Assert that no WebSocket is opened."""
    with pytest.raises(InvalidStatus) as refusal:
        async with peer.websocket(query):
            pass
    assert 400 <= refusal.value.response.status_code < 500


class TestTransportsHttpLongPollingQueryParameters:
    @pytest.mark.parametrize(
        "query",
        [
            "",
            "transport=polling",
            "EIO=4",
            "EIO=3&transport=polling",
            "EIO=&transport=polling",
            "EIO=abc&transport=polling",
            "EIO=4&EIO=4&transport=polling",
            "EIO=4&transport=",
            "EIO=4&transport=abc",
            "EIO=4&transport=websocket",
            "EIO=4&transport=polling&sid=",
            "EIO=4&transport=polling&sid=abc",
            "EIO=4&transport=polling&sid=%ff",
        ],
    )
    async def test_a_missing_or_wrong_parameter_is_answered_400(
        self, peer: Peer, query: str
    ) -> None:
        assert (await peer.http("GET", query)).status == 400

    @pytest.mark.parametrize("left_out", ["EIO=4", "transport=polling"])
    async def test_a_parameter_is_mandatory_within_a_session_too(
        self, peer: Peer, left_out: str
    ) -> None:
        session = await peer.polling()
        query = f"{POLLING}&sid={session.sid}".replace(left_out, "")
        assert (await peer.http("GET", query)).status == 400
        assert (await peer.http("POST", query, "3")).status == 400
        assert await session.is_known()

    async def test_an_unknown_parameter_changes_nothing(self, peer: Peer) -> None:
        """Clients add `t` so that nothing is taken from a cache."""
        assert (await peer.http("GET", f"{POLLING}&t=N8hyd6w")).status == 200


class TestTransportsHttpLongPollingHeaders:
    async def test_a_payload_is_plain_text(self, peer: Peer) -> None:
        answer = await peer.http("GET", POLLING)
        assert answer.content_type.lower() == "text/plain; charset=utf-8"

    @pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", ""])
    async def test_a_body_is_taken_for_text_whether_or_not_it_says_so(
        self, peer: Peer, kind: str
    ) -> None:
        session = await peer.polling()
        headers = {"Content-Type": kind} if kind else None
        query = f"{POLLING}&sid={session.sid}"
        assert (await peer.http("POST", query, b"40/tasks,", headers)).status == 200
        assert (await session.packet()).startswith("40/tasks,")


class TestTransportsHttpLongPollingSendingData:
    async def test_success_is_the_text_ok(self, peer: Peer) -> None:
        session = await peer.polling()
        answer = await session.post("40/tasks,")
        assert (answer.status, answer.text) == (200, "ok")

    async def test_an_unknown_session_is_answered_400(self, peer: Peer) -> None:
        assert (await peer.http("POST", f"{POLLING}&sid=abc", "40")).status == 400

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    async def test_a_session_is_opened_by_get_alone(self, peer: Peer, method: str) -> None:
        assert (await peer.http(method, POLLING)).status == 400

    async def test_two_posts_at_once_are_answered_400_and_close_the_session(
        self, peer: Peer
    ) -> None:
        session = await peer.polling()
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"40/ta"
            arrived.set()
            await go_on.wait()
            yield b"sks,"

        query = f"{POLLING}&sid={session.sid}"
        first = asyncio.create_task(peer.http("POST", query, slow()))
        await arrived.wait()
        # What was said first may arrive last: until the server has it, the second one is alone.
        while (second := await session.post("3")).status == 200:
            pass
        go_on.set()
        assert second.status == 400
        assert (await first).status == 400
        assert not await session.is_known()


class TestTransportsHttpLongPollingReceivingData:
    async def test_an_unknown_session_is_answered_400(self, peer: Peer) -> None:
        assert (await peer.http("GET", f"{POLLING}&sid=abc")).status == 400

    async def test_a_get_waits_until_there_is_something(self, peer: Peer) -> None:
        session = await peer.polling()
        waiting = asyncio.create_task(session.get())
        await session.post("40/tasks,")
        assert (await waiting).text.startswith('40/tasks,{"sid":"')

    async def test_two_gets_at_once_are_answered_400_and_close_the_session(
        self, peer: Peer
    ) -> None:
        session = await peer.polling()
        answers = await asyncio.gather(session.get(), session.get())
        assert {answer.status for answer in answers} <= {200, 400}
        assert 400 in {answer.status for answer in answers}
        assert {answer.text for answer in answers if answer.status == 200} <= {"1"}
        assert not await session.is_known()

    async def test_a_get_that_was_given_up_takes_nothing_along(self, peer: Peer) -> None:
        session = await peer.polling()
        given_up = asyncio.create_task(session.get())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(given_up, 0.2)
        await session.post("40/tasks,")
        assert (await session.packet()).startswith("40/tasks,")


class TestTransportsWebSocket:
    @pytest.mark.parametrize(
        "query",
        [
            "",
            "transport=websocket",
            "EIO=4",
            "EIO=3&transport=websocket",
            "EIO=4&transport=abc",
            "EIO=4&transport=polling",
            "EIO=4&transport=websocket&sid=abc",
            "EIO=4&transport=websocket&sid=",
        ],
    )
    async def test_a_missing_or_wrong_parameter_closes_it(self, peer: Peer, query: str) -> None:
        await refused(peer, query)

    async def test_each_packet_is_a_frame_of_its_own(self, peer: Peer) -> None:
        async with peer.websocket() as socket:
            await socket.send("40/tasks,")
            assert (await socket.text()).startswith("40/tasks,")
            assert (await socket.text()).startswith('42/tasks,["connected"')

    async def test_a_second_websocket_for_a_session_is_closed(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            await refused(peer, f"{WEBSOCKET}&sid={socket.opened['sid']}")
            await socket.lives()

    async def test_requests_for_a_session_with_a_websocket_are_answered_400(
        self, peer: Peer
    ) -> None:
        async with peer.connected() as socket:
            query = f"{POLLING}&sid={socket.opened['sid']}"
            assert (await peer.http("GET", query)).status == 400
            assert (await peer.http("POST", query, "3")).status == 400
            await socket.lives()


class TestProtocolHandshake:
    def check(self, opened: dict[str, Any], upgrades: list[str]) -> None:
        assert isinstance(opened["sid"], str)
        assert len(opened["sid"]) >= 16
        assert opened["upgrades"] == upgrades
        assert (opened["pingInterval"], opened["pingTimeout"]) == (25000, 20000)
        assert opened["maxPayload"] == 65536
        assert set(opened) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}

    async def test_polling_is_answered_with_open_and_offered_an_upgrade(self, peer: Peer) -> None:
        self.check((await peer.polling()).opened, ["websocket"])

    async def test_a_websocket_is_answered_with_open_and_offered_none(self, peer: Peer) -> None:
        async with peer.websocket() as socket:
            self.check(socket.opened, [])

    async def test_every_session_has_an_id_of_its_own(self, peer: Peer) -> None:
        sessions = [await peer.polling() for _ in range(3)]
        assert len({session.sid for session in sessions}) == 3


class TestProtocolHeartbeat:
    """With pings every second, which the application has no setting for."""

    @both_ways
    async def test_a_websocket_is_pinged_at_the_interval_and_lives_while_it_answers(
        self, way: str
    ) -> None:
        async with serving(way, ping_s=1) as lane, Peer(lane.port).websocket() as socket:
            await socket.send("40/tasks,")
            for _ in range(3):
                while await socket.raw() != "2":
                    pass
                await socket.send("3")
            await socket.lives()

    @both_ways
    async def test_a_websocket_that_does_not_answer_is_closed(self, way: str) -> None:
        async with serving(way, ping_s=1) as lane, Peer(lane.port).websocket() as socket:
            assert await socket.closed() == 1012

    async def test_a_polling_peer_is_pinged_and_lives_while_it_answers(self) -> None:
        async with serving(ping_s=1) as lane:
            session = await Peer(lane.port).polling()
            for _ in range(2):
                assert await session.packet() == "2"
                assert (await session.post("3")).text == "ok"

    async def test_a_polling_peer_that_does_not_answer_is_forgotten(self) -> None:
        async with serving(ping_s=1) as lane:
            session = await Peer(lane.port).polling()
            assert await session.packet() == "2"
            assert (await session.get()).text == "1"
            assert (await session.get()).status == 400

    async def test_a_pong_that_nobody_asked_for_is_ignored(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            for _ in range(50):
                await socket.send("3")
            await socket.lives()

    async def test_pings_come_from_the_server_alone(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            await socket.send("2")
            assert await socket.closed() == 1012


class TestProtocolUpgrade:
    async def test_the_probe_is_answered_and_the_session_goes_on_over_the_websocket(
        self, peer: Peer
    ) -> None:
        session = await peer.polling()
        await session.post("40/tasks,")
        greeting = await session.packet(), await session.packet()
        assert greeting[1].startswith('42/tasks,["connected"')
        async with peer.websocket(f"{WEBSOCKET}&sid={session.sid}", opened=False) as socket:
            await socket.send("2probe")
            assert await socket.text() == "3probe"
            await socket.send("5")
            await socket.lives()
            assert (await session.get()).status == 400
            assert (await session.post("3")).status == 400
            await refused(peer, f"{WEBSOCKET}&sid={session.sid}")
            await socket.lives()

    async def test_a_get_that_waits_is_ended_by_a_noop(self, peer: Peer) -> None:
        session = await peer.polling()
        waiting = asyncio.create_task(session.get())
        async with peer.websocket(f"{WEBSOCKET}&sid={session.sid}", opened=False) as socket:
            await socket.send("2probe")
            assert await socket.text() == "3probe"
            assert (await waiting).text == "6"
            assert (await session.get()).text == "6"
            await socket.send("5")
            await socket.send("40/tasks,")
            assert (await socket.text()).startswith("40/tasks,")

    async def test_what_is_said_during_it_comes_over_the_websocket(self, peer: Peer) -> None:
        session = await peer.polling()
        async with peer.websocket(f"{WEBSOCKET}&sid={session.sid}", opened=False) as socket:
            await socket.send("2probe")
            assert await socket.text() == "3probe"
            await session.post("40/tasks,")
            await socket.send("5")
            assert (await socket.text()).startswith("40/tasks,")

    @pytest.mark.parametrize("probe", ["2", "2prob", "3probe", "5", "4probe", b"2probe", "", "x"])
    async def test_a_wrong_probe_closes_the_websocket_and_polling_goes_on(
        self, peer: Peer, probe: str | bytes
    ) -> None:
        session = await peer.polling()
        async with peer.websocket(f"{WEBSOCKET}&sid={session.sid}", opened=False) as socket:
            await socket.send(probe)
            await socket.closed()
        await session.post("40/tasks,")
        assert (await session.packet()).startswith("40/tasks,")

    @pytest.mark.parametrize("instead", ["6", "5upgrade", "40/tasks,", ""])
    async def test_no_upgrade_packet_after_the_probe_closes_it_and_polling_goes_on(
        self, peer: Peer, instead: str
    ) -> None:
        session = await peer.polling()
        async with peer.websocket(f"{WEBSOCKET}&sid={session.sid}", opened=False) as socket:
            await socket.send("2probe")
            assert await socket.text() == "3probe"
            await socket.send(instead)
            await socket.closed()
        await session.post("40/tasks,")
        assert (await session.packet()).startswith("40/tasks,")

    async def test_a_websocket_that_is_lost_on_the_way_leaves_polling_as_it_was(
        self, peer: Peer
    ) -> None:
        """Proxies that let WebSockets through and then no frames are the common case."""
        session = await peer.polling()
        waiting = asyncio.create_task(session.get())
        async with peer.websocket(f"{WEBSOCKET}&sid={session.sid}", opened=False):
            await session.post("40/tasks,")
            assert (await waiting).text.startswith("40/tasks,")
        assert await session.is_known()

    async def test_one_upgrade_at_a_time(self, peer: Peer) -> None:
        session = await peer.polling()
        query = f"{WEBSOCKET}&sid={session.sid}"
        async with peer.websocket(query, opened=False) as socket:
            await refused(peer, query)
            await socket.send("2probe")
            assert await socket.text() == "3probe"


class TestProtocolMessage:
    async def test_it_is_an_error_to_send_what_no_packet_is(self, peer: Peer) -> None:
        for packet in ("", "7", "x", "b", "0{}", "5", "6", "\u0664hello", "4" + "[" * 60_000):
            async with peer.connected() as socket:
                await socket.send(packet)
                assert await socket.closed() == 1012, packet[:20]

    async def test_close_from_the_peer_closes_the_websocket(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            await socket.send("1")
            assert await socket.closed() == 1000

    async def test_close_from_a_polling_peer_ends_its_get_and_its_session(self) -> None:
        async with serving() as lane:
            session = await Peer(lane.port).polling()
            waiting = asyncio.create_task(session.get())
            while not lane.socket.engine.sockets[session.sid].getting:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0)
            assert (await session.post("1")).text == "ok"
            assert (await waiting).text == "6"
            assert (await session.get()).status == 400


class TestPacketEncodingHttpLongPolling:
    async def test_packets_of_one_payload_are_taken_in_order(self, peer: Peer) -> None:
        session = await peer.polling()
        events = [f'42/tasks,{n}["nothing by this name"]' for n in range(255)]
        assert (await session.post("40/tasks,", *events)).text == "ok"
        acks: list[str] = []
        while len(acks) < 255:
            packet = await session.packet()
            if packet.startswith("43/tasks,"):
                acks.append(packet.partition("[")[0])
        assert acks == [f"43/tasks,{n}" for n in range(255)]

    async def test_packets_of_one_payload_are_given_together(self, peer: Peer) -> None:
        session = await peer.polling()
        await session.post("40/a,", "40/b,")
        assert [packet.partition("{")[0] for packet in (await session.get()).packets] == [
            "44/a,",
            "44/b,",
        ]

    async def test_utf_8_is_kept(self, peer: Peer) -> None:
        session = await peer.polling()
        await session.post("40/tasks,", '42/tasks,1["€ utf-8 \U0001f600"]')
        while not (packet := await session.packet()).startswith("43"):
            pass
        assert "€ utf-8 \U0001f600" in packet

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"abc",
            b"7",
            b"40/tasks,\x1e",
            b"\x1e40/tasks,",
            b"\xff\xfe",
            b"4\xed\xa0\x80",
            b"b!!!!",
            b"d=40",
            b"3\x1e" * 256 + b"3",
        ],
        ids=repr,
    )
    async def test_a_payload_that_is_none_is_answered_400_and_closes_the_session(
        self, peer: Peer, body: bytes
    ) -> None:
        session = await peer.polling()
        assert (await peer.http("POST", f"{POLLING}&sid={session.sid}", body)).status == 400
        assert not await session.is_known()

    async def test_a_payload_of_the_greatest_length_is_taken(self, peer: Peer) -> None:
        session = await peer.polling()
        name = "x" * (65536 - len('40/tasks,\x1e42/tasks,1[""]'))
        assert (await session.post("40/tasks,", f'42/tasks,1["{name}"]')).status == 200

    @pytest.mark.parametrize("in_chunks", [False, True])
    async def test_a_longer_one_is_answered_413_and_closes_the_session(
        self, peer: Peer, in_chunks: bool
    ) -> None:
        session = await peer.polling()
        body = b"4" + b"x" * 65536

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        query = f"{POLLING}&sid={session.sid}"
        answer = await peer.http("POST", query, chunks() if in_chunks else body)
        assert answer.status == 413
        assert not await session.is_known()

    async def test_a_payload_in_chunks_is_taken_whole(self, peer: Peer) -> None:
        session = await peer.polling()

        async def chunks() -> AsyncIterator[bytes]:
            yield b"40/"
            yield b"tasks,"

        answer = await peer.http("POST", f"{POLLING}&sid={session.sid}", chunks())
        assert answer.text == "ok"
        assert (await session.packet()).startswith("40/tasks,")


class TestPacketEncodingWebSocket:
    async def test_a_packet_of_more_than_the_greatest_length_closes_it(self, peer: Peer) -> None:
        async with peer.connected() as socket:
            await socket.send(f'42/tasks,1["{"x" * 65536}"]')
            assert await socket.closed() in {1009, 1012}

    async def test_binary_from_clients_is_refused(self, peer: Peer) -> None:
        """Left out on purpose: nothing that clients say has bytes in it."""
        async with peer.connected() as socket:
            await socket.send(b"\x01\x02\x03\x04")
            assert await socket.closed() == 1012
        session = await peer.polling()
        assert (await session.post("40/tasks,", "bAQIDBA==")).status == 400
