"""What the engine does for its listener, and what it relies on inside uvicorn, by doing it.

When an upgrade of uvicorn changes it, these tests fail. They run on both ways out: through the
`Wire` of `taskpush serve`, and through plain ASGI as under any other server.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import aiohttp
import orjson
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed

from taskpush.access.admission import NO_ACCESS_CONFIGURED, Admission
from taskpush.access.doorkeeper import Doorkeeper
from taskpush.access.principal import LOCAL
from taskpush.access.turnstile import Turnstile
from taskpush.access.visitor import Visitor
from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.core.limits import Limits
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.push.frames import FrameCache
from taskpush.push.outbox import Message
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll
from taskpush.runner.registry import Registry
from taskpush.sockets.namespace import TasksNamespace
from taskpush.sockets.server import SocketLink, SocketServer, _frame, socketio_packet
from taskpush.sockets.wire import WireProtocol
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.feeds import Feeds
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.tasks.showing import Showing
from taskpush.tasks.watching import Watching
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import PacketRefused, TelemetryEvent
from tests.support.watcher import raw_socket

WAYS_OUT: dict[str, Any] = {"wire": WireProtocol, "asgi": "websockets-sansio"}
GHOST = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


both_ways = pytest.mark.parametrize("way", WAYS_OUT)


class _Holds:
    def lets_in(self, admission: Admission) -> bool:
        return True


HOLDS = _Holds()


async def nobody_asked(visitor: Visitor) -> Admission:
    return NO_ACCESS_CONFIGURED


class Serving:
    """The socket alone, on a free port, without a runner behind it."""

    def __init__(self, socket: SocketServer, port: int, said: list[TelemetryEvent]) -> None:
        self.socket = socket
        self.port = port
        self.said = said

    @property
    def polling(self) -> str:
        return f"http://127.0.0.1:{self.port}/socket.io/?EIO=4&transport=polling"


@asynccontextmanager
async def serving(
    way: str = "wire",
    *,
    connect_within_s: float = 10,
    ping_s: int = 25,
    keepalive_s: float | None = None,
    **options: Any,
) -> AsyncIterator[Serving]:
    said: list[TelemetryEvent] = []
    telemetry = Telemetry(said.append)
    store = MemoryStore(clock=SystemClock(), telemetry=telemetry)
    plane = PushPlane(store)
    await store.open()
    queries = TaskQueries(store, plane.hub, Showing(Registry()))
    watching = Watching(store, queries)
    # No test here sends a command to the service.
    service: Any = None
    socket = SocketServer(
        TasksNamespace(
            service,
            queries,
            watching,
            Feeds(store, plane.feeds, QueueKeeper(store, Registry(), SystemClock(), telemetry)),
            admit=nobody_asked,
            server_version="test",
        ),
        plane,
        telemetry,
        admit=nobody_asked,
        doorkeeper=Doorkeeper(HOLDS),
        turnstile=Turnstile(Limits(), telemetry, monotonic),
        roll=Roll(plane.dispatcher),
        connect_within_s=connect_within_s,
        ping_interval_s=ping_s,
        ping_timeout_s=ping_s,
        **options,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            socket.asgi(),
            port=0,
            log_level="error",
            ws=WAYS_OUT[way],
            ws_ping_interval=keepalive_s,
            ws_ping_timeout=keepalive_s,
            lifespan="off",
        )
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield Serving(socket, server.servers[0].sockets[0].getsockname()[1], said)
    finally:
        socket.shutdown()
        server.should_exit = True
        await serving
        await store.close()


@both_ways
async def test_over_websocket_the_answer_comes_before_what_it_announces(way: str) -> None:
    async with serving(way) as lane, raw_socket(lane.port) as socket:
        assert (await socket.event())[0] == "connected"
        await socket.emit("subscribe", {"task_id": GHOST}, ack=4)
        assert [(await socket.event())[0] for _ in range(2)] == ["ack", "subscribed"]


async def test_over_long_polling_the_answer_comes_before_what_it_announces() -> None:
    async with serving() as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        address = f"{lane.polling}&sid={opened['sid']}"
        packets = ["40/tasks,", f'42/tasks,4["subscribe",{{"task_id":"{GHOST}"}}]']
        async with http.post(address, data="\x1e".join(packets)) as answer:
            assert answer.status == 200
        received: list[str] = []
        while len(received) < 4:
            received += (await (await http.get(address)).text()).split("\x1e")
        starts = ("40/tasks,", '42/tasks,["connected"', "43/tasks,4[", '42/tasks,["subscribed"')
        for packet, start in zip(received, starts, strict=True):
            assert packet.startswith(start)


async def test_many_buffered_packets_in_one_post_are_all_taken() -> None:
    async with serving() as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        address = f"{lane.polling}&sid={opened['sid']}"
        asks = [f'42/tasks,{n}["unsubscribe",{{"task_id":"{GHOST}"}}]' for n in range(100)]
        async with http.post(address, data="\x1e".join(["40/tasks,", *asks])):
            pass
        received: list[str] = []
        while len(received) < 102:
            received += (await (await http.get(address)).text()).split("\x1e")
        assert [p.split("[")[0] for p in received[2:]] == [f"43/tasks,{n}" for n in range(100)]


async def test_a_polling_client_that_breaks_the_protocol_is_cut_off() -> None:
    async with serving() as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        address = f"{lane.polling}&sid={opened['sid']}"
        async with http.post(address, data='40/tasks,\x1e42/tasks,["connect",{}]\x1e42{}'):
            pass
        while (await http.get(address)).status == 200:
            pass
        assert [type(event) for event in lane.said] == [PacketRefused]
        assert lane.socket.engine.sockets == {}


@both_ways
async def test_who_never_connects_the_namespace_is_cut_off(way: str) -> None:
    async with serving(way, connect_within_s=0.1) as lane:
        async with raw_socket(lane.port, namespace=None) as socket:
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.packet(), 60)
        assert [type(event) for event in lane.said] == [PacketRefused]


async def test_a_polling_client_that_never_connects_the_namespace_is_cut_off() -> None:
    async with serving(connect_within_s=0.1) as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        async with asyncio.timeout(60):
            while (await http.get(f"{lane.polling}&sid={opened['sid']}")).status == 200:
                pass
        assert lane.socket.engine.sockets == {}


async def test_an_aborted_polling_connection_is_told_and_nothing_of_it_is_kept() -> None:
    async with serving() as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        address = f"{lane.polling}&sid={opened['sid']}"
        async with http.post(
            address, data=f'40/tasks,\x1e42/tasks,["subscribe",{{"task_id":"{GHOST}"}}]'
        ):
            pass
        lane.socket.engine.sockets[opened["sid"]].end(abort=True)
        async with asyncio.timeout(60):
            while (await http.get(address)).status == 200:
                pass
        assert len(lane.socket._peers) == 0
        assert lane.socket._plane.hub.watched(GHOST) == 0


@both_ways
async def test_a_shutdown_closes_the_transport_and_not_the_namespace(way: str) -> None:
    """A namespace disconnect (`41`) would keep JavaScript clients from coming back."""
    async with serving(way) as lane, raw_socket(lane.port) as socket:
        await socket.event()
        lane.socket.shutdown()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.packet(), 60)


@both_ways
async def test_nothing_of_a_closed_connection_is_kept(way: str) -> None:
    async with serving(way) as lane:
        for _ in range(3):
            async with raw_socket(lane.port) as socket:
                await socket.event()
                await socket.emit("subscribe", {"task_id": GHOST})
                await socket.event()
        async with asyncio.timeout(60):
            while lane.socket.engine.sockets or lane.socket._peers:  # noqa: ASYNC110 - nor these
                await asyncio.sleep(0.01)
        assert lane.socket._plane.hub.watched(GHOST) == 0
        assert len(lane.socket.engine.heartbeat) == 0
        assert len(lane.socket._plane.dispatcher) == 0


@both_ways
async def test_a_link_has_room_again_when_the_batch_was_taken(way: str) -> None:
    async with serving(way) as lane, raw_socket(lane.port) as socket:
        await socket.event()
        (inner,) = lane.socket.engine.sockets.values()
        link = SocketLink(inner, FrameCache(_frame))
        roomy = asyncio.Event()
        inner.on_room = roomy.set
        taken = link.taken_bytes
        link.write([Message("first", b"{}"), Message("second", b"{}")])
        assert [(await socket.event())[0] for _ in range(2)] == ["first", "second"]
        if way == "asgi":
            await asyncio.wait_for(roomy.wait(), 5)
        assert link.room > 0
        assert link.waiting_bytes == 0
        assert link.taken_bytes > taken


@both_ways
async def test_a_peer_that_does_not_read_is_bounded_and_gets_all_when_it_reads(way: str) -> None:
    async with serving(way) as lane, raw_socket(lane.port, max_queue=1) as socket:
        await socket.event()
        (inner,) = lane.socket.engine.sockets.values()
        link = SocketLink(inner, FrameCache(_frame))
        roomy = asyncio.Event()
        inner.on_room = roomy.set
        body = orjson.dumps("x" * 60_000)
        sent = 0
        with suppress(TimeoutError):
            while sent < 1000:
                while link.room:
                    link.write([Message(f"event-{sent}", body)])
                    sent += 1
                    await asyncio.sleep(0)
                roomy.clear()
                await asyncio.wait_for(roomy.wait(), 0.5)
        assert sent < 1000
        assert link.waiting_bytes < 300_000
        for n in range(sent):
            assert (await socket.event())[0] == f"event-{n}"
        await asyncio.wait_for(roomy.wait(), 5)


@both_ways
async def test_an_aborted_peer_sees_its_connection_lost(way: str) -> None:
    async with serving(way) as lane, raw_socket(lane.port) as socket:
        await socket.event()
        (inner,) = lane.socket.engine.sockets.values()
        inner.end(abort=True)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.packet(), 60)
        received = closed.value.rcvd
        assert (received.code if received else 1006) == {"wire": 1006, "asgi": 1012}[way]


async def test_uvicorns_keepalive_gives_up_who_takes_nothing_with_what_waits_for_them() -> None:
    async with serving(keepalive_s=0.3) as lane, raw_socket(lane.port, max_queue=1) as socket:
        await socket.event()
        (inner,) = lane.socket.engine.sockets.values()
        link = SocketLink(inner, FrameCache(_frame))
        body = orjson.dumps("x" * 60_000)
        async with asyncio.timeout(5):
            while link.room:
                link.write([Message("event", body)])
                await asyncio.sleep(0.005)
        assert link.waiting_bytes > 0
        async with asyncio.timeout(5):
            while lane.socket.engine.sockets:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)


@both_ways
async def test_who_answers_pings_stays_and_who_does_not_is_cut_off(way: str) -> None:
    async with (
        serving(way, ping_s=1) as lane,
        raw_socket(lane.port) as silent,
        raw_socket(lane.port) as lively,
    ):
        assert (await lively.event())[0] == "connected"
        answering = asyncio.create_task(lively.event())
        async with asyncio.timeout(10):
            await silent.event()
            with pytest.raises(ConnectionClosed):
                await silent.packet(answer_pings=False)
        await lively.emit("unsubscribe", {"task_id": GHOST}, ack=1)
        assert (await answering)[0] == "ack"


def test_an_event_is_framed_around_the_bytes_that_were_stored() -> None:
    event = LoggedEvent("t", 1, 1, "e", EventType.LOG, '{"message":"ä"}'.encode(), False)
    assert socketio_packet(event) == '2/tasks,["task_update",{"message":"ä"}]'.encode()


PICTURE = bytes(range(256)) * 768
SHOWN = VolatileEvent("t", 1, 1, EventType.PREVIEW, b'{"data":{}}', PICTURE)


@both_ways
async def test_an_attachment_follows_its_event_at_once(way: str) -> None:
    async with serving(way) as lane, raw_socket(lane.port) as socket:
        await socket.event()
        (inner,) = lane.socket.engine.sockets.values()
        SocketLink(inner, FrameCache(_frame)).write([SHOWN, Message("after", b"{}")])
        assert [await socket.ws.recv() for _ in range(3)] == [
            '451-/tasks,["task_update",{"data":{}}]',
            PICTURE,
            '42/tasks,["after",{}]',
        ]


async def test_an_attachment_follows_its_event_over_long_polling_too() -> None:
    async with serving() as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        inner = lane.socket.engine.sockets[opened["sid"]]
        SocketLink(inner, FrameCache(_frame)).write([SHOWN, Message("after", b"{}")])
        assert inner.waiting_bytes > len(PICTURE)
        answer = await (await http.get(f"{lane.polling}&sid={opened['sid']}")).text()
        assert answer.split("\x1e") == [
            '451-/tasks,["task_update",{"data":{}}]',
            "b" + b64encode(PICTURE).decode(),
            '42/tasks,["after",{}]',
        ]


@both_ways
async def test_a_picture_that_waits_for_a_poll_goes_along_with_an_upgrade(way: str) -> None:
    async with serving(way) as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        inner = lane.socket.engine.sockets[opened["sid"]]
        address = f"{lane.polling}&sid={opened['sid']}".replace("=polling", "=websocket")
        async with http.ws_connect(address, max_msg_size=0) as ws:
            await ws.send_str("2probe")
            assert await ws.receive_str() == "3probe"
            SocketLink(inner, FrameCache(_frame)).write([SHOWN, Message("after", b"{}")])
            await ws.send_str("5")
            assert [(await ws.receive()).data for _ in range(3)] == [
                '451-/tasks,["task_update",{"data":{}}]',
                PICTURE,
                '42/tasks,["after",{}]',
            ]


@both_ways
async def test_a_flood_of_pictures_to_a_slow_peer_is_bounded_and_holds_nobody_up(way: str) -> None:
    async with serving(way) as lane, raw_socket(lane.port, max_queue=1) as slow:
        await slow.event()
        (channel,) = [
            peer.connection.channel for peer in lane.socket._peers.values() if peer.connection
        ]
        store = lane.socket._plane.store
        now = datetime.now(UTC)
        record = TaskRecord(GHOST, "k", LOCAL.tenant, LOCAL.owner, {}, now)
        store.write(GHOST, lifecycle.create(record))
        await store.write(GHOST, lifecycle.start(store.epoch, now))
        await slow.emit("subscribe", {"task_id": GHOST, "previews": True})
        async with raw_socket(lane.port) as healthy:
            await healthy.event()
            await healthy.emit("subscribe", {"task_id": GHOST})
            assert [(await healthy.event())[0] for _ in range(3)] == [
                "subscribed",
                "task_update",
                "task_update",
            ]
            most = 0
            for n in range(200):
                data = {"media_type": "image/png", "content": bytes([n]) * 150 * 1024}
                store.publish(GHOST, 1, NewEvent(EventType.PREVIEW, data))
                line = NewEvent(EventType.LOG, {"level": "info", "message": str(n)})
                await store.write(GHOST, lifecycle.report(1, [line]))
                name, update = await asyncio.wait_for(healthy.event(), 5)
                assert (name, update["data"]["message"]) == ("task_update", str(n))
                most = max(most, channel.waiting_bytes)
        # Its outbox, and what one write was ahead of it; 30 MB were shown to it.
        assert 150 * 1024 < most < 700 * 1024
        messages: list[str] = []
        pictures: list[bytes] = []
        while messages[-1:] != ["199"]:
            packet = await slow.ws.recv()
            if isinstance(packet, bytes):
                pictures.append(packet[:1])
            elif packet.startswith('42/tasks,["task_update",'):
                messages.append(orjson.loads(packet[9:])[1]["data"].get("message"))
        assert messages[2:] == [str(n) for n in range(200)]
        assert pictures == sorted(pictures)
        assert len(pictures) < 150
