"""Large events compressed once for all, for those who take it, without a context to keep."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.outbox import Message
from taskpush.sockets.deflate import deflated
from tests.sockets.test_engine import Serving, serving

ABOVE = 1000
LARGE = LoggedEvent(
    "t", 1, 1, "e", EventType.LOG, orjson.dumps({"n": list(range(5_000))}), final=False
)
SMALL = LoggedEvent("t", 1, 2, "e", EventType.LOG, b'{"n":1}', final=False)
LARGE_PACKET = f'42/tasks,["task_update",{LARGE.body.decode()}]'
SMALL_PACKET = '42/tasks,["task_update",{"n":1}]'

DEFLATE = ClientPerMessageDeflateFactory(client_max_window_bits=True)
SMALL_WINDOW = ClientPerMessageDeflateFactory(server_max_window_bits=10)


class _Counting(ClientConnection):
    """A connection that counts what comes in on the wire."""

    received_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super().data_received(data)


@asynccontextmanager
async def _client(lane: Serving, *extensions: Any) -> AsyncIterator[_Counting]:
    """A client in the namespace, greeted, whose pings go unanswered."""
    async with connect(
        f"ws://127.0.0.1:{lane.port}/socket.io/?EIO=4&transport=websocket",
        compression=None,
        extensions=extensions or None,
        create_connection=_Counting,
        proxy=None,
    ) as ws:
        assert isinstance(ws, _Counting)
        await ws.recv()
        await ws.send("40/tasks,")
        await ws.recv()
        await ws.recv()
        ws.received_bytes = 0
        yield ws


def _links(lane: Serving) -> list[Any]:
    peers = lane.socket._peers.values()
    return [peer.connection.channel._link for peer in peers if peer.connection is not None]


def _deflate_of(ws: ClientConnection) -> PerMessageDeflate | None:
    for extension in ws.protocol.extensions:
        assert isinstance(extension, PerMessageDeflate)
        return extension
    return None


async def test_a_large_event_is_compressed_and_a_small_one_is_not() -> None:
    async with serving(compress_above=ABOVE) as lane, _client(lane, DEFLATE) as ws:
        (link,) = _links(lane)
        link.write([LARGE, SMALL, LARGE])
        received = [await ws.recv() for _ in range(3)]
        assert received == [LARGE_PACKET, SMALL_PACKET, LARGE_PACKET]
        compressed = len(deflated(LARGE_PACKET.encode())) + 4
        assert ws.received_bytes == 2 * compressed + len(SMALL_PACKET) + 2
        assert compressed < len(LARGE_PACKET) / 2


async def test_an_event_is_compressed_once_for_all_who_take_it() -> None:
    async with (
        serving(compress_above=ABOVE) as lane,
        _client(lane, DEFLATE) as one,
        _client(lane, DEFLATE) as two,
    ):
        links = _links(lane)
        assert links[0]._deflated.of(LARGE) is links[1]._deflated.of(LARGE)
        assert links[0]._deflated.of(SMALL) is links[0]._frames.of(SMALL)
        for link in links:
            link.write([LARGE])
        assert [await ws.recv() for ws in (one, two)] == [LARGE_PACKET] * 2


async def test_neither_side_keeps_a_context() -> None:
    async with serving(compress_above=ABOVE) as lane, _client(lane, DEFLATE) as ws:
        ours = _deflate_of(ws)
        assert ours is not None
        assert ours.local_no_context_takeover
        assert ours.remote_no_context_takeover
        (link,) = _links(lane)
        link.write([LARGE])
        await ws.recv()
        # What the client says is compressed, too.
        await ws.send(
            '42/tasks,7["unsubscribe",{"task_id":"0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"}]'
        )
        assert str(await ws.recv()).startswith("43/tasks,7[")
        (theirs,) = link._socket.wire._protocol.conn.extensions
        assert not hasattr(theirs, "encoder")
        assert not hasattr(theirs, "decoder")


@pytest.mark.parametrize("extensions", [(), (SMALL_WINDOW,)], ids=["no offer", "small window"])
async def test_who_does_not_take_it_is_sent_nothing_compressed(extensions: Any) -> None:
    async with serving(compress_above=ABOVE) as lane, _client(lane, *extensions) as ws:
        (link,) = _links(lane)
        link.write([LARGE])
        assert await ws.recv() == LARGE_PACKET
        assert ws.received_bytes > len(LARGE_PACKET)


async def test_nothing_is_compressed_unless_it_is_asked_for() -> None:
    async with serving() as lane, _client(lane, DEFLATE) as ws:
        (link,) = _links(lane)
        link.write([LARGE])
        assert await ws.recv() == LARGE_PACKET
        assert ws.received_bytes > len(LARGE_PACKET)


async def test_answers_and_pictures_go_as_they_are() -> None:
    picture = bytes(20_000)
    shown = VolatileEvent("t", 1, 1, EventType.PREVIEW, b'{"n":1}', picture)
    async with serving(compress_above=0) as lane, _client(lane, DEFLATE) as ws:
        (link,) = _links(lane)
        link.write([shown, Message("note", orjson.dumps("x" * 10_000))])
        received = [await ws.recv() for _ in range(3)]
        assert received[0] == '451-/tasks,["task_update",{"n":1}]'
        assert received[1] == picture
        assert ws.received_bytes > 30_000


async def test_a_message_that_inflates_beyond_the_limit_ends_the_connection() -> None:
    async with serving(compress_above=ABOVE) as lane, _client(lane, DEFLATE) as ws:
        # Some kilobytes on the wire.
        await ws.send("4" * 20_000_000)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(ws.recv(), 5)


def test_what_is_compressed_is_what_it_was() -> None:
    for payload in (b"x", LARGE.body, bytes(range(256)) * 400):
        inflate = zlib.decompressobj(-15)
        assert inflate.decompress(deflated(payload) + b"\x00\x00\xff\xff") == payload
