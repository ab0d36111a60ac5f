"""What the lane relies on inside python-socketio and python-engineio, by doing it.

When an upgrade of either library changes it, these tests fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed

from taskpush.clock import SystemClock
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent
from taskpush.push.hub import Hub
from taskpush.push.outbox import Message
from taskpush.sockets.lane import SocketLink, SocketServer, socketio_packet
from taskpush.sockets.namespace import TasksNamespace
from taskpush.store.memory import MemoryStore
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.watching import Watching
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import PacketRefused, TelemetryEvent
from tests.support.watcher import raw_socket

GHOST = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


class _Lane:
    """The socket alone, on a free port, without a runner behind it."""

    def __init__(self, socket: SocketServer, port: int, said: list[TelemetryEvent]) -> None:
        self.socket = socket
        self.port = port
        self.said = said

    @property
    def polling(self) -> str:
        return f"http://127.0.0.1:{self.port}/socket.io/?EIO=4&transport=polling"


@asynccontextmanager
async def _lane(*, connect_within_s: float = 10) -> AsyncIterator[_Lane]:
    said: list[TelemetryEvent] = []
    telemetry = Telemetry(said.append)
    store, hub = MemoryStore(clock=SystemClock(), telemetry=telemetry), Hub()
    await store.open()
    watching = Watching(store, TaskQueries(store, hub))
    # No test here sends a command to the service.
    service: Any = None
    socket = SocketServer(
        TasksNamespace(service, watching, server_version="test"),
        store,
        hub,
        telemetry,
        origin_allowed=lambda origin, environ: True,
        connect_within_s=connect_within_s,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            socket.asgi(), port=0, log_level="error", ws="websockets-sansio", lifespan="off"
        )
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield _Lane(socket, server.servers[0].sockets[0].getsockname()[1], said)
    finally:
        await socket.shutdown()
        server.should_exit = True
        await serving
        await store.close()


async def test_over_websocket_the_answer_comes_before_what_it_announces() -> None:
    async with _lane() as lane, raw_socket(lane.port) as socket:
        assert (await socket.event())[0] == "connected"
        await socket.emit("subscribe", {"task_id": GHOST}, ack=4)
        assert [(await socket.event())[0] for _ in range(2)] == ["ack", "subscribed"]


async def test_over_long_polling_the_answer_comes_before_what_it_announces() -> None:
    async with _lane() as lane, aiohttp.ClientSession() as http:
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
    async with _lane() as lane, aiohttp.ClientSession() as http:
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
    async with _lane() as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        address = f"{lane.polling}&sid={opened['sid']}"
        async with http.post(address, data='40/tasks,\x1e42/tasks,["connect",{}]\x1e42{}'):
            pass
        while (await http.get(address)).status == 200:
            pass
        assert [type(event) for event in lane.said] == [PacketRefused]
        assert lane.socket.eio.sockets == {}


async def test_who_never_connects_the_namespace_is_cut_off() -> None:
    async with _lane(connect_within_s=0.1) as lane:
        async with raw_socket(lane.port, namespace=None) as socket:
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.packet(), 5)
        assert [type(event) for event in lane.said] == [PacketRefused]


async def test_a_polling_client_that_never_connects_the_namespace_is_cut_off() -> None:
    async with _lane(connect_within_s=0.1) as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        async with asyncio.timeout(5):
            while (await http.get(f"{lane.polling}&sid={opened['sid']}")).status == 200:
                pass
        assert lane.socket.eio.sockets == {}


async def test_an_aborted_polling_connection_is_told_and_nothing_of_it_is_kept() -> None:
    async with _lane() as lane, aiohttp.ClientSession() as http:
        opened = orjson.loads((await (await http.get(lane.polling)).text())[1:])
        address = f"{lane.polling}&sid={opened['sid']}"
        async with http.post(
            address, data=f'40/tasks,\x1e42/tasks,["subscribe",{{"task_id":"{GHOST}"}}]'
        ):
            pass
        (connection,) = lane.socket._connections.values()
        lane.socket._cut_soon(opened["sid"])
        async with asyncio.timeout(5):
            while (await http.get(address)).status == 200:
                pass
        assert connection.writer.done()
        assert lane.socket._hub.watched(GHOST) == 0


async def test_a_shutdown_closes_the_transport_and_not_the_namespace() -> None:
    """A namespace disconnect (`41`) would keep JavaScript clients from coming back."""
    async with _lane() as lane, raw_socket(lane.port) as socket:
        await socket.event()
        await lane.socket.shutdown()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.packet(), 5)


async def test_nothing_of_a_closed_connection_is_kept() -> None:
    async with _lane() as lane:
        for _ in range(3):
            async with raw_socket(lane.port) as socket:
                await socket.event()
                await socket.emit("subscribe", {"task_id": GHOST})
                await socket.event()
        async with asyncio.timeout(5):
            while lane.socket.eio.sockets or lane.socket._connections:  # noqa: ASYNC110 - nor these
                await asyncio.sleep(0.01)
        assert lane.socket._hub.watched(GHOST) == 0
        assert lane.socket._deadlines == {}
        assert lane.socket.environ == {}


async def test_a_link_returns_when_the_library_has_taken_the_batch() -> None:
    async with _lane() as lane, raw_socket(lane.port) as socket:
        await socket.event()
        (inner,) = lane.socket.eio.sockets.values()
        await SocketLink(inner, lambda: None).send(
            [Message("first", b"{}"), Message("second", b"{}")]
        )
        assert inner.queue.qsize() == 0
        assert [(await socket.event())[0] for _ in range(2)] == ["first", "second"]


def test_an_event_is_framed_around_the_bytes_that_were_stored() -> None:
    event = LoggedEvent("t", 1, 1, "e", EventType.LOG, '{"message":"ä"}'.encode(), False)
    assert socketio_packet(event) == '2/tasks,["task_update",{"message":"ä"}]'
