"""The way through python-engineio: the one module that knows its inside.

The library answers requests, does the handshake, long polling and the upgrade. What is replaced
here is what it costs per connection: a writer task and a queue for each WebSocket, a task for each
ping, two for each packet that arrives. Packets for a WebSocket whose server offers a `Wire` are
written to it at once; for any other transport they wait in the library's queue.
`tests/sockets/test_engine.py` fails when an upgrade changes what this module relies on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Never, Protocol
from urllib.parse import parse_qs

import engineio
from engineio import packet, payload
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError, QueueEmpty, UnknownPacketError
from typing_extensions import override

from taskpush.sockets.asgi import AsgiSocket
from taskpush.sockets.heartbeat import Heartbeat
from taskpush.sockets.wire import Wire, binary_frame, text_frame

BATCH_BYTES: Final = 64 * 1024
MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_PACKETS_PER_POST: Final = 256
"""Browsers send dozens of buffered packets in one POST; the stock limit of 16 drops them all."""
PING_INTERVAL_S: Final = 25
PING_TIMEOUT_S: Final = 20
COME_BACK: Final = 1012
"""WebSocket close code "service restart": clients reconnect by themselves."""

BAD_PACKET: Final = (EngineIOError, ValueError, KeyError, IndexError)
"""What the library raises for packets that no client of the protocol sends."""

OriginCheck = Callable[[str, Mapping[str, Any]], bool]


class Listener(Protocol):
    """Is told what happens on the engine's sockets."""

    def opened(self, socket: EngineSocket, scope: Mapping[str, Any]) -> None:
        """A socket was opened by the request with this ASGI scope."""
        ...

    async def message(self, socket: EngineSocket, data: object) -> None:
        """The peer sent a message, text or bytes; the next one waits until this returns."""
        ...

    def refused(self, socket: EngineSocket, reason: str) -> None:
        """The peer broke the protocol; the socket is ended."""
        ...

    def closed(self, socket: EngineSocket) -> None:
        """The socket has ended, whoever ended it."""
        ...


class EngineSocket(AsyncSocket):  # type: ignore[misc]  # the library ships no types
    """One engine.io session, whatever its transport."""

    server: Engine
    closed: bool
    connected: bool
    queue: Any

    def __init__(self, server: Engine, sid: str) -> None:
        super().__init__(server, sid)
        self.wire: Wire | None = None
        # Called when there is room again; set by whoever writes much.
        self.on_room: Callable[[], None] | None = None
        self._queued_bytes = 0
        self._taken_bytes = 0

    @property
    def room(self) -> int:
        """How many bytes it would take now; 0 while the peer has to catch up."""
        if self.wire is not None:
            return BATCH_BYTES if self.wire.writable else 0
        return 0 if self._queued_bytes else BATCH_BYTES

    @property
    def waiting_bytes(self) -> int:
        """What was written and not taken by the peer, as far as this process can see."""
        return self._queued_bytes if self.wire is None else self.wire.buffered_bytes

    @property
    def taken_bytes(self) -> int:
        """What the peer has taken since it came."""
        wire = self.wire
        written = 0 if wire is None else wire.written_bytes - wire.buffered_bytes
        return self._taken_bytes + written

    def put(self, pkt: packet.Packet) -> None:
        """Send one engine.io packet, in order with everything else that is written."""
        if self.wire is not None:
            self.wire.write(_framed(pkt))
            return
        self.queue.put_nowait(pkt)
        self._queued_bytes += len(pkt.data) if pkt.data else 1

    def message(self, data: str | bytes) -> None:
        """Send a message."""
        self.put(packet.Packet(packet.MESSAGE, data=data))

    def end(self, *, abort: bool = False) -> None:
        """Close the transport, so that the client comes back; with `abort` without a goodbye."""
        if self.closed:
            return
        self.closing = self.closed = True
        self.server.forget(self)
        # Ends the writer or the request that waits for packets.
        self.queue.put_nowait(None)
        if self.wire is not None:
            if abort:
                self.wire.abort()
            else:
                self.wire.close(COME_BACK)

    # What the library calls.

    @override
    async def send(self, pkt: packet.Packet) -> None:
        self.put(pkt)

    @override
    async def poll(self) -> list[packet.Packet]:
        packets: list[packet.Packet] = await super().poll()
        if self.queue.empty():
            self._taken_bytes += self._queued_bytes
            self._queued_bytes = 0
            if self.on_room is not None and not self.upgraded:
                self.on_room()
        return packets

    @override
    async def receive(self, pkt: packet.Packet) -> None:
        if pkt.packet_type == packet.MESSAGE:
            await self.server.listener.message(self, pkt.data)
        else:
            self._heed(pkt)

    @override
    async def close(
        self, wait: bool = True, abort: bool = False, reason: str | None = None
    ) -> None:
        self.end(abort=abort)

    @override
    async def _upgrade_websocket(self, environ: dict[str, Any]) -> Any:
        if self.upgraded:
            raise OSError("upgraded already")
        socket = AsgiSocket(environ)
        await socket.accept()
        try:
            await self._websocket_handler(socket)
        finally:
            if self.wire is None:
                self.end()
        return ""

    @override
    async def _websocket_handler(self, ws: AsgiSocket) -> None:
        try:
            if self.connected and not await self._probed(ws):
                return
        except OSError:
            return
        finally:
            self.upgrading = False
        self.connected = self.upgraded = True
        if ws.wire is not None:
            self._go_over_to(ws.wire)
            return
        writer = asyncio.create_task(self._write(ws), name=f"taskpush-writer-{self.sid}")
        try:
            await self._listen(ws)
        finally:
            self.queue.put_nowait(None)
            await asyncio.wait([writer])

    async def _probed(self, ws: AsgiSocket) -> bool:
        """Whether the client that has been polling really changes over to `ws`."""
        # The library answers requests for packets with NOOP meanwhile.
        self.upgrading = True
        if await ws.wait() != "2probe":
            return False
        await ws.send(packet.Packet(packet.PONG, data="probe").encode())
        # Ends a request that waits for packets.
        self.queue.put_nowait(packet.Packet(packet.NOOP))
        return await ws.wait() == "5"

    def _go_over_to(self, wire: Wire) -> None:
        """Write by `wire` from now on, after what is still in the queue, and read from it."""
        waiting = []
        while not self.queue.empty():
            pkt = self.queue.get_nowait()
            if pkt is not None:
                waiting.append(_framed(pkt))
        wire.write(b"".join(waiting))
        self.queue = _GONE_OVER
        self._taken_bytes += self._queued_bytes
        self._queued_bytes = 0
        self.wire = wire
        wire.on_room = self._has_room
        wire.hand_over(self)
        self._has_room()

    # What the wire calls.

    def received(self, data: str | bytes) -> Awaitable[None] | None:
        """See `wire.Reader`."""
        try:
            pkt = _packet(data)
            if pkt.packet_type == packet.MESSAGE:
                return self.server.listener.message(self, pkt.data)
            self._heed(pkt)
        except BAD_PACKET:
            self._refused()
        return None

    def lost(self) -> None:
        """See `wire.Reader`."""
        self.end()

    # Either way.

    def _heed(self, pkt: packet.Packet) -> None:
        """Do what a packet asks for that is no message."""
        if self.closed:
            return  # It came in one POST with what ended the socket.
        match pkt.packet_type:
            case packet.PONG:
                self.server.heartbeat.answered(self)
            case packet.UPGRADE:
                self.put(packet.Packet(packet.NOOP))
            case packet.CLOSE:
                self.end()
            case _:
                raise UnknownPacketError

    def _refused(self) -> None:
        if not self.closed:
            self.server.listener.refused(self, "not an engine.io packet")

    def _has_room(self) -> None:
        if self.on_room is not None:
            self.on_room()

    async def _listen(self, ws: AsgiSocket) -> None:
        """Take what the peer sends, until it or this side ends."""
        while not self.closed:
            try:
                data = await ws.wait()
            except OSError:
                return
            try:
                await self.receive(_packet(data))
            except BAD_PACKET:
                self._refused()
                return

    async def _write(self, ws: AsgiSocket) -> None:
        """Send what is queued, for a server that offers no wire."""
        try:
            while packets := await self.poll():
                for pkt in packets:
                    await ws.send(pkt.encode())
                self._has_room()
        except (OSError, QueueEmpty):
            pass
        finally:
            await ws.close(COME_BACK)


class _GoneOver:
    """The queue of a session that has gone over to a wire: for requests that come too late."""

    def empty(self) -> bool:
        return True

    async def get(self) -> packet.Packet:
        return packet.Packet(packet.NOOP)

    def get_nowait(self) -> Never:
        raise asyncio.QueueEmpty

    def put_nowait(self, item: object) -> None:
        """Nobody waits for it."""

    def task_done(self) -> None:
        """Nobody waits for it."""


_GONE_OVER: Final = _GoneOver()


def _packet(data: str | bytes) -> packet.Packet:
    """What the peer sent; raises one of `BAD_PACKET`."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError("the message is too large")
    return packet.Packet(encoded_packet=data)


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # the library ships no types
    """The library's server, with `EngineSocket`s that tell `listener`."""

    listener: Listener

    def __init__(
        self,
        *,
        origin_allowed: OriginCheck,
        ping_interval_s: int = PING_INTERVAL_S,
        ping_timeout_s: int = PING_TIMEOUT_S,
    ) -> None:
        super().__init__(
            async_mode="asgi",
            async_handlers=False,
            monitor_clients=False,
            cors_allowed_origins=origin_allowed,
            max_http_buffer_size=MAX_MESSAGE_BYTES,
            ping_interval=ping_interval_s,
            ping_timeout=ping_timeout_s,
            logger=False,
        )
        # Documented by python-engineio as the way to raise the limit; it has no other.
        payload.Payload.max_decode_packets = MAX_PACKETS_PER_POST
        self.heartbeat: Heartbeat[EngineSocket] = Heartbeat(
            _ping, EngineSocket.end, interval_s=ping_interval_s, timeout_s=ping_timeout_s
        )

    def asgi(self) -> engineio.ASGIApp:
        """The ASGI application, to be mounted at `/socket.io`."""
        return engineio.ASGIApp(self, engineio_path=None)

    def forget(self, socket: EngineSocket) -> None:
        """The socket has ended: drop what is kept of it, and tell the listener."""
        self.sockets.pop(socket.sid, None)
        self.heartbeat.discard(socket)
        self.listener.closed(socket)

    @override
    async def handle_request(self, scope: Any, receive: Any, send: Any) -> Any:
        """Refuse JSONP, which lets any site read a visitor's answers; pass on the rest."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if scope["type"] == "http" and "j" in query:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"JSONP is not supported"})
            return None
        return await super().handle_request(scope, receive, send)

    @override
    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        sid = self.generate_id()
        socket = self.sockets[sid] = EngineSocket(self, sid)
        socket.put(packet.Packet(packet.OPEN, self._welcome(sid, transport)))
        self.heartbeat.add(socket)
        self.listener.opened(socket, environ["asgi.scope"])
        if transport == "websocket":
            return await socket.handle_get_request(environ)
        socket.connected = True
        return self._ok(await socket.poll())

    def _welcome(self, sid: str, transport: str) -> dict[str, Any]:
        return {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": self.ping_timeout * 1000,
            "pingInterval": self.ping_interval * 1000,
            "maxPayload": self.max_http_buffer_size,
        }


def _framed(pkt: packet.Packet) -> bytes:
    encoded: str | bytes = pkt.encode()
    return binary_frame(encoded) if isinstance(encoded, bytes) else text_frame(encoded.encode())


def _ping(socket: EngineSocket) -> None:
    socket.put(packet.Packet(packet.PING))
