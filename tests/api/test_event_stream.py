"""Streams over real sockets, under uvicorn as `taskpush serve` sets it up and under others.

Readers that are slow, that stand still, that leave; and servers that stop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskpush.api.wire import HttpWire
from taskpush.core import lifecycle
from taskpush.errors import TaskPushError
from taskpush.models.events import EventType
from taskpush.models.task import NewEvent
from tests.api.stream_scene import TASK, WAYS_OUT, a_scene
from tests.support.stream import RawStream, raw_stream

RECEIVE_BYTES = 4096
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def _keeping_the_head(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """As those do that compress, or count bytes: the head goes out with the first of the body."""
    head: list[Message] = []

    async def send_later(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.append(message)
            return
        while head:
            await send(head.pop())
        await send(message)

    await response(scope, receive, send_later)


async def _seqs(stream: RawStream, until: int | None = None) -> list[int]:
    """The seqs that come, to the one named or to the end."""
    seqs: list[int] = []
    while (event := await stream.event()) is not None:
        if event.name == "task_update" and event.data["seq"]:
            seqs.append(event.data["seq"])
            if event.data["seq"] == until:
                break
    return seqs


@asynccontextmanager
async def _lazy_reader(port: int) -> AsyncIterator[socket.socket]:
    """A peer that has asked for the stream, and reads nothing; what the kernel keeps is small."""
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", port))
        await loop.sock_sendall(peer, REQUEST)
        yield peer


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_a_reader_that_stands_still_is_cut_off_and_gets_everything_when_it_returns(
    way: str,
) -> None:
    async with a_scene(way, stalled_after_s=0.3) as (scene, _):
        async with _lazy_reader(scene.port) as peer:
            await scene.until(lambda s: s.plane.hub.watched(TASK) == 1)
            await scene.say(300, size=40_000)
            await scene.until(lambda s: s.is_quiet)
            got = await _rest(peer)
        assert b"data:" in got
        assert not got.endswith(b"0\r\n\r\n")
        last = max(int(line.split(b":")[-1]) for line in got.splitlines()[:-2] if _is_id(line))
        await scene.finish()
        async with raw_stream(scene.port, "/", last_event_id=str(last)) as stream:
            assert await _seqs(stream) == list(range(last + 1, 304))


def _is_id(line: bytes) -> bool:
    return line.startswith(b"id: ")


async def _rest(peer: socket.socket) -> bytes:
    """What had been sent before the end."""
    loop, got = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(20):
            while data := await loop.sock_recv(peer, 2**20):
                got += data
    except ConnectionResetError:
        pass
    return got


async def test_a_reader_that_stands_still_is_cut_off_the_transport_and_not_only_the_stream() -> (
    None
):
    async with a_scene(stalled_after_s=0.3) as (scene, server), _lazy_reader(scene.port):
        await scene.until(lambda s: s.plane.hub.watched(TASK) == 1)
        await scene.say(300, size=40_000)
        await scene.until(lambda s: s.is_quiet)
        await scene.until(lambda _: not server.server_state.connections)


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_a_slow_reader_costs_little_and_gets_everything(way: str) -> None:
    async with a_scene(way) as (scene, _), raw_stream(scene.port, "/") as stream:
        assert await _seqs(stream, 2) == [1, 2]
        (member,) = scene.dispatcher._members
        most = 0
        for _ in range(300):
            await scene.say(size=40_000)
            most = max(most, member.waiting_bytes)
        await scene.finish()
        # The outbox, a batch on its way, what uvicorn buffers, and an event beyond each limit.
        assert 100_000 < most < 700_000
        assert await _seqs(stream) == list(range(3, 304))


async def test_a_reader_that_retention_overtakes_is_told_in_between() -> None:
    async with a_scene() as (scene, _), raw_stream(scene.port, "/") as stream:
        assert await _seqs(stream, 2) == [1, 2]
        await scene.say(300, size=40_000)
        await scene.trim(keep_last=2)
        events = []
        while (event := await stream.event()) is not None:
            events.append(event)
            if event.name == "resync":
                await scene.finish()
        (at,) = [n for n, event in enumerate(events) if event.name == "resync"]
        assert events[at].data["position"]["seq"] == 302
        assert events[at].id == f"{scene.store.epoch}:302"
        before = [event.data["seq"] for event in events[:at]]
        assert before == list(range(3, 3 + at))
        assert [event.data["seq"] for event in events[at + 1 :]] == [303]


async def test_over_a_wire_it_goes_on_without_the_application() -> None:
    async with a_scene() as (scene, server), raw_stream(scene.port, "/") as stream:
        assert await _seqs(stream, 2) == [1, 2]
        await scene.until(lambda _: not server.server_state.tasks)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert "taskpush-stream-peer" not in names
        await scene.say(3)
        assert await _seqs(stream, 5) == [3, 4, 5]


async def test_what_was_said_in_one_turn_is_one_write() -> None:
    async with a_scene() as (scene, _), raw_stream(scene.port, "/") as stream:
        assert await _seqs(stream, 2) == [1, 2]
        writes: list[bytes] = []
        written = HttpWire.write

        def write(wire: HttpWire, chunks: bytes) -> None:
            writes.append(chunks)
            written(wire, chunks)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(HttpWire, "write", write)
            line = NewEvent(EventType.LOG, {"level": "info", "message": "x"})
            await scene.store.write(TASK, lifecycle.report(1, [line] * 5))
            assert await _seqs(stream, 7) == [3, 4, 5, 6, 7]
        assert [data.count(b"data:") for data in writes] == [5]


async def test_a_middleware_that_keeps_the_head_back_is_not_passed_by() -> None:
    async with a_scene() as (scene, server):
        scene.middleware = _keeping_the_head
        async with raw_stream(scene.port, "/") as stream:
            assert await _seqs(stream, 2) == [1, 2]
            assert server.server_state.tasks
            await scene.say(3)
            await scene.finish()
            assert await _seqs(stream) == [3, 4, 5, 6]


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("at_once", [True, False])
async def test_another_request_on_the_same_connection_is_answered_after_the_end(
    way: str, at_once: bool
) -> None:
    async with a_scene(way) as (scene, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        writer.write(REQUEST * 2 if at_once else REQUEST)
        got = await reader.readuntil(b"data:")
        if not at_once:
            writer.write(REQUEST[:20])
            await scene.say()
            got += await reader.readuntil(b":3\n")
            writer.write(REQUEST[20:])
        await scene.say(20)
        await scene.finish()
        got += await reader.readuntil(b"0\r\n\r\n")
        assert got.count(b"HTTP/1.1 200") == 1
        again = await reader.readuntil(b"0\r\n\r\n")
        assert again.startswith(b"HTTP/1.1 200")
        assert _ids(again) == _ids(got)
        writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        third = await reader.read()
        assert third.endswith(b"0\r\n\r\n")
        assert _ids(third) == _ids(got)
        writer.close()
        await scene.until(lambda _: not server.server_state.connections)


def _ids(answer: bytes) -> list[bytes]:
    return [line for line in answer.splitlines() if _is_id(line)]


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_whoever_leaves_is_forgotten_at_once(way: str) -> None:
    async with a_scene(way) as (scene, _):
        async with raw_stream(scene.port, "/") as stream:
            await _seqs(stream, 2)
            assert len(scene.streams) == scene.plane.hub.watched(TASK) == 1
        await scene.until(lambda s: s.is_quiet)


async def test_a_silent_stream_says_now_and_then_that_it_lives() -> None:
    async with a_scene(comment_every_s=0.02) as (scene, _), raw_stream(scene.port, "/") as stream:
        await _seqs(stream, 2)
        reading = asyncio.create_task(_seqs(stream, 3))
        await scene.until(lambda _: stream.comments >= 3)
        await scene.say()
        assert await reading == [3]


async def test_a_server_that_stops_ends_its_streams_in_order_and_waits_for_none() -> None:
    async with a_scene() as (scene, server):
        async with raw_stream(scene.port, "/") as stream:
            await _seqs(stream, 2)
            server.should_exit = True
            assert await _seqs(stream) == []
        await scene.until(lambda s: s.is_quiet)


async def test_streams_that_were_shut_down_end_and_no_other_begins() -> None:
    async with a_scene("h11") as (scene, _), raw_stream(scene.port, "/") as stream:
        await _seqs(stream, 2)
        scene.streams.shutdown()
        assert await _seqs(stream) == []
        with pytest.raises(TaskPushError, match="shutting down"):
            scene.streams.open(scene.turnstile.enter({}))
        assert len(scene.turnstile) == 0


async def test_a_client_of_http_1_0_gets_its_stream_without_chunks() -> None:
    """As nginx is one, unless it is told otherwise: Debian's forgives chunks, others need not."""
    async with a_scene() as (scene, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        writer.write(REQUEST.replace(b"1.1", b"1.0"))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        got = await reader.readuntil(b":2\n")
        assert got.startswith(b"retry: ")
        await scene.say(3)
        got += await reader.readuntil(b":5\n")
        await scene.finish()
        got += await reader.read()
        assert [int(each.split(b":")[-1]) for each in _ids(got)] == [1, 2, 3, 4, 5, 6]
        assert b"\r" not in got
        writer.close()
        await scene.until(lambda _: not server.server_state.connections)


async def test_a_client_of_http_1_0_that_leaves_is_forgotten_at_once() -> None:
    async with a_scene() as (scene, _):
        _, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        writer.write(REQUEST.replace(b"1.1", b"1.0"))
        await scene.until(lambda s: s.plane.hub.watched(TASK) == 1)
        writer.transport.abort()
        await scene.until(lambda s: s.is_quiet)


async def test_streams_of_one_task_are_framed_once() -> None:
    async with (
        a_scene() as (scene, _),
        raw_stream(scene.port, "/") as one,
        raw_stream(scene.port, "/") as other,
    ):
        await asyncio.gather(_seqs(one, 2), _seqs(other, 2))
        built = scene.streams._frames.chunked._build
        frames: list[Any] = []

        def count(item: Any) -> bytes:
            frames.append(item)
            return built(item)

        scene.streams._frames.chunked._build = count
        await scene.say(5)
        await scene.finish()
        for seqs in await asyncio.gather(_seqs(one), _seqs(other)):
            assert seqs == [3, 4, 5, 6, 7, 8]
        assert len(frames) == 6
