"""Engine.IO: sessions, whatever their transport, and the heartbeat of all of them.

Source: the Engine.IO protocol document, version 4. Packets for a WebSocket whose server offers a
`Wire` are written to it at once; for any other transport they wait until they are taken.
`requests` lets peers in, and serves long polling and the upgrade.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import orjson
from starlette.types import Scope

from taskpush.access.turnstile import Place, Turnstile
from taskpush.core.limits import DEFAULT_LIMITS, PACKET_BYTES, Limits
from taskpush.core.rates import LeakyBucket
from taskpush.sockets.heartbeat import Heartbeat
from taskpush.sockets.packets import PING, Packet, Type, message, read
from taskpush.sockets.wire import Wire, binary_frame, text_frame

BATCH_BYTES: Final = 64 * 1024
MAX_MESSAGE_BYTES: Final = 64 * 1024
PING_INTERVAL_S: Final = 25
PING_TIMEOUT_S: Final = 20
COME_BACK: Final = 1012
"""WebSocket close code "service restart": clients reconnect by themselves."""
GOODBYE: Final = 1000
"""WebSocket close code for a peer that wants to go."""


class Listener(Protocol):
    """Is told what happens on the engine's sockets."""

    def opened(self, socket: EngineSocket, scope: Scope) -> None:
        """A socket was opened by the request with this ASGI scope."""
        ...

    async def message(self, socket: EngineSocket, data: object) -> None:
        """The peer sent a message, text or bytes; the next one waits until this returns."""
        ...

    def flooded(self, socket: EngineSocket) -> None:
        """The peer sends much more than it may; the socket is aborted."""
        ...

    def refused(self, socket: EngineSocket, reason: str) -> None:
        """The peer broke the protocol; the socket is ended."""
        ...

    def closed(self, socket: EngineSocket) -> None:
        """The socket has ended, whoever ended it."""
        ...


class EngineSocket:
    """One Engine.IO session, whatever its transport."""

    __slots__ = (
        "_engine",
        "_load",
        "_over",
        "_queue",
        "_queued_bytes",
        "_taken_bytes",
        "_taker",
        "closed",
        "getting",
        "left",
        "on_room",
        "place",
        "polling",
        "posting",
        "probed",
        "sid",
        "upgrading",
        "wire",
    )

    def __init__(self, engine: Engine, sid: str, place: Place, *, polling: bool) -> None:
        self._engine = engine
        # Among all connections, until it has ended.
        self.place = place
        self.sid = sid
        self.closed = False
        # Whether it ended because the peer said so.
        self.left = False
        # The transport: long polling, until an upgrade is complete.
        self.polling = polling
        # What is under way: a WebSocket is open to take over, and has said what it is; requests.
        self.upgrading = False
        self.probed = False
        self.getting = False
        self.posting = False
        # None unless the server offers one and the transport is a WebSocket.
        self.wire: Wire | None = None
        # Called when there is room again; set by whoever writes much.
        self.on_room: Callable[[], None] | None = None
        self._queue: deque[Packet] = deque()
        self._queued_bytes = 0
        self._taken_bytes = 0
        self._load = LeakyBucket(engine.limits.packets_per_s, _now())
        # How many packets more than it may at once the peer has sent.
        self._over = 0.0
        # Whoever waits for packets; None while nobody does.
        self._taker: asyncio.Future[None] | None = None

    @property
    def overloaded_for_s(self) -> int:
        """For how long what the peer asks for is not done, since it sent too much; 0 is no time."""
        return math.ceil(self._over / self._engine.limits.packets_per_s) if self._over > 0 else 0

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

    def put(self, packet: Packet) -> None:
        """Send one packet, in order with everything else that is written."""
        if self.wire is not None:
            self.wire.write(_framed(packet))
        elif not self.closed:
            self._queue.append(packet)
            self._queued_bytes += len(packet)
            self._wake()

    def message(self, data: str | bytes) -> None:
        """Send a message."""
        self.put(message(data))

    def end(self, *, abort: bool = False, code: int = COME_BACK) -> None:
        """Close the transport, so that the client comes back; with `abort` without a goodbye."""
        if self.closed:
            return
        self.closed = True
        self._engine.forget(self)
        self._wake()
        if self.wire is not None:
            if abort:
                self.wire.abort()
            else:
                self.wire.close(code)

    def refuse(self, reason: str) -> None:
        """End it because the peer broke the protocol."""
        if not self.closed:
            self._engine.listener.refused(self, reason)

    # What a transport without a wire calls.

    @property
    def idle(self) -> bool:
        """Whether who asks for packets has to wait."""
        return not (self._queue or self.closed or self.probed)

    async def wait(self) -> None:
        """Until there is something to be taken, the socket has ended or is being upgraded."""
        if self.idle:
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None

    def take(self) -> list[Packet]:
        """All that is to be sent."""
        taken = list(self._queue)
        self._queue.clear()
        self._taken_bytes += self._queued_bytes
        self._queued_bytes = 0
        return taken

    def begin_upgrade(self) -> None:
        """A WebSocket takes over: what is to be sent waits for it, and nobody for a request."""
        self.probed = True
        self._wake()

    def has_room(self) -> None:
        """What was taken is on its way."""
        if self.on_room is not None:
            self.on_room()

    async def heed(self, packet: Packet) -> None:
        """Do what a packet of the peer asks for; one that is none ends the socket."""
        if (work := self.received(packet)) is not None:
            await work

    def go_over_to(self, wire: Wire) -> None:
        """Write by `wire` from now on, after what still waits, and read from it."""
        wire.write(b"".join(_framed(packet) for packet in self.take()))
        self.wire = wire
        self._wake()
        wire.on_room = self.has_room
        wire.hand_over(self)
        self.has_room()

    # What the wire calls.

    def received(self, data: str | bytes) -> Awaitable[None] | None:
        """See `wire.Reader`."""
        if not self._admits(len(data)):
            return None
        try:
            kind, content = read(data)
        except ValueError:
            self.refuse("not an engine.io packet")
            return None
        if len(data) > MAX_MESSAGE_BYTES:
            self.refuse(f"a packet of more than {MAX_MESSAGE_BYTES} bytes")
        elif kind is Type.MESSAGE:
            return self._engine.listener.message(self, content)
        elif kind is Type.PONG:
            self._engine.heartbeat.answered(self)
        elif kind is Type.CLOSE:
            self.left = True
            self.end(code=GOODBYE)
        else:
            self.refuse(f"engine.io packets of type {kind} are not taken here")
        return None

    def lost(self) -> None:
        """See `wire.Reader`."""
        self.end()

    def _admits(self, size: int) -> bool:
        """Whether one more packet is heeded; the end of a peer that sends far too many."""
        if self.closed:
            return False  # It was on its way, or came in one payload with what ended the socket.
        at_once = self._engine.limits.packets_at_once
        self._over = self._load.pour(_now(), 1 + size // PACKET_BYTES) - at_once
        if self._over > at_once:
            self._engine.listener.flooded(self)
        return not self.closed

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


class Engine:
    """All sessions of a server, which tell `listener`."""

    listener: Listener

    def __init__(
        self,
        turnstile: Turnstile,
        *,
        limits: Limits = DEFAULT_LIMITS,
        ping_interval_s: int = PING_INTERVAL_S,
        ping_timeout_s: int = PING_TIMEOUT_S,
    ) -> None:
        self.limits = limits
        self._turnstile = turnstile
        self.sockets: dict[str, EngineSocket] = {}
        self.heartbeat: Heartbeat[EngineSocket] = Heartbeat(
            lambda socket: socket.put(PING),
            EngineSocket.end,
            interval_s=ping_interval_s,
            timeout_s=ping_timeout_s,
        )
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s

    def open(self, scope: Scope, *, polling: bool) -> EngineSocket:
        """A new session for who sent the request; its first packet waits to be sent.

        Raises `ConnectionLimit` or `ServerFull`.
        """
        place = self._turnstile.enter(scope)
        socket = EngineSocket(self, secrets.token_urlsafe(15), place, polling=polling)
        self.sockets[socket.sid] = socket
        welcome = {
            "sid": socket.sid,
            "upgrades": ["websocket"] if polling else [],
            "pingInterval": self._ping_interval_s * 1000,
            "pingTimeout": self._ping_timeout_s * 1000,
            "maxPayload": MAX_MESSAGE_BYTES,
        }
        socket.put(Type.OPEN + orjson.dumps(welcome).decode())
        self.heartbeat.add(socket)
        self.listener.opened(socket, scope)
        return socket

    def forget(self, socket: EngineSocket) -> None:
        """The socket has ended: drop what is kept of it, and tell the listener."""
        self.sockets.pop(socket.sid, None)
        self.heartbeat.discard(socket)
        socket.place.leave()
        self.listener.closed(socket)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _framed(packet: Packet) -> bytes:
    return binary_frame(packet) if isinstance(packet, bytes) else text_frame(packet.encode())
