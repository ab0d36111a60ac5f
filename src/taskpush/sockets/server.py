"""Socket.IO over the engine's sockets: connecting the namespace, and what clients' events do.

What clients say is parsed by `guard`, and what they are sent is written by their channel, so that
one order holds for everything on a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson
from starlette.types import ASGIApp

from taskpush.access.doorkeeper import Doorkeeper
from taskpush.access.turnstile import Turnstile
from taskpush.access.visitor import Visitor
from taskpush.core.limits import DEFAULT_LIMITS, Limits
from taskpush.errors import ConnectionLimit, TaskPushError
from taskpush.ids import new_connection_id
from taskpush.models.connections import WatchDoor
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.channel import Channel, error_payload
from taskpush.push.frames import FrameCache
from taskpush.push.outbox import Message, Outgoing, Reply
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll, Seat
from taskpush.sockets.engine import (
    BATCH_BYTES,
    PING_INTERVAL_S,
    PING_TIMEOUT_S,
    Engine,
    EngineSocket,
)
from taskpush.sockets.guard import BadPacket, Connect, Disconnect, Event, parse
from taskpush.sockets.namespace import NAMESPACE, Admit, Connection, TasksNamespace
from taskpush.sockets.requests import Requests
from taskpush.sockets.wire import binary_frame, deflated_frame, text_frame
from taskpush.tasks.watching import refuse
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AccessRefused, PacketRefused

CONNECT_WITHIN_S: Final = 10.0
MAX_REFUSALS: Final = 3
"""How often a socket may show a credential that is not good."""

_UPDATE: Final = f'2{NAMESPACE},["task_update",'.encode()
_UPDATE_WITH_ATTACHMENT: Final = f'51-{NAMESPACE},["task_update",'.encode()
_EVENT: Final = f"2{NAMESPACE},[".encode()
_ACK: Final = f"3{NAMESPACE},".encode()


def socketio_packet(item: Outgoing) -> bytes:
    """The Socket.IO packet that carries `item`, without the engine.io type in front.

    An attachment has to follow it at once: a text in between is a parse error for clients.
    """
    match item:
        case LoggedEvent():
            return _UPDATE + item.body + b"]"
        case VolatileEvent(attachment=bytes()):
            return _UPDATE_WITH_ATTACHMENT + item.body + b"]"
        case Message():
            return b'%b"%b",%b]' % (_EVENT, item.name.encode(), item.body)
        case Reply():
            return b"%b%d[%b]" % (_ACK, item.to, item.body)
        case _:
            return _UPDATE + item.body + b"]"


def attachment_of(item: Outgoing) -> bytes | None:
    """What has to follow the item's packet; None when nothing has."""
    return item.attachment if isinstance(item, VolatileEvent) else None


def _frame(item: Outgoing) -> bytes:
    frame = text_frame(b"4" + socketio_packet(item))
    if isinstance(item, LoggedEvent):
        return frame
    attachment = attachment_of(item)
    return frame if attachment is None else frame + binary_frame(attachment)


def _deflated_frames(frames: FrameCache, above_bytes: int) -> FrameCache:
    """The frames of those who take compressed ones: events above a size are, once for all."""

    def build(item: Outgoing) -> bytes:
        frame = frames.of(item)
        # Answers are for one peer alone, and pictures are compressed as they are.
        shared = isinstance(item, LoggedEvent | VolatileEvent) and attachment_of(item) is None
        if not shared or len(item.body) <= above_bytes:
            return frame
        small = deflated_frame(b"4" + socketio_packet(item))
        return small if len(small) < len(frame) else frame

    return FrameCache(build)


class SocketLink:
    """A `push.link.Link` over one engine socket, whatever its transport."""

    __slots__ = ("_deflated", "_frames", "_socket")

    def __init__(
        self, socket: EngineSocket, frames: FrameCache, deflated: FrameCache | None = None
    ) -> None:
        self._socket = socket
        self._frames = frames
        # Frames for peers that take compressed ones; None when nothing is compressed.
        self._deflated = deflated

    @property
    def room(self) -> int:
        # What happens at nearly every flush comes first.
        wire = self._socket.wire
        if wire is not None and wire.writable:
            return BATCH_BYTES
        return self._socket.room

    @property
    def waiting_bytes(self) -> int:
        return self._socket.waiting_bytes

    @property
    def taken_bytes(self) -> int:
        return self._socket.taken_bytes

    def write(self, batch: Sequence[Outgoing]) -> None:
        wire = self._socket.wire
        if wire is None:
            for item in batch:
                self._socket.message(socketio_packet(item).decode())
                if (attachment := attachment_of(item)) is not None:
                    self._socket.message(attachment)
        elif self._deflated is not None and wire.inflates:
            wire.write(self._deflated.join(batch))
        else:
            wire.write(self._frames.join(batch))

    def abort(self) -> None:
        self._socket.end(abort=True)


class _Peer:
    """One engine socket, and the namespace's connection over it once there is one."""

    __slots__ = ("asked", "connection", "deadline", "refusals", "scope", "seat")

    def __init__(self, scope: Mapping[str, Any], deadline: asyncio.TimerHandle) -> None:
        # Of the request that opened the socket.
        self.scope = scope
        self.deadline = deadline
        # Whether it has asked for a namespace, which has to come first.
        self.asked = False
        # How often it was told that it may not come in.
        self.refusals = 0
        self.connection: Connection | None = None
        # The connection's place on the roll.
        self.seat: Seat | None = None


class SocketServer:
    """Serves the `/tasks` namespace to clients of Socket.IO."""

    def __init__(
        self,
        namespace: TasksNamespace,
        plane: PushPlane,
        telemetry: Telemetry,
        *,
        admit: Admit,
        doorkeeper: Doorkeeper,
        turnstile: Turnstile,
        roll: Roll,
        limits: Limits = DEFAULT_LIMITS,
        connect_within_s: float = CONNECT_WITHIN_S,
        ping_interval_s: int = PING_INTERVAL_S,
        ping_timeout_s: int = PING_TIMEOUT_S,
        compress_above: int | None = None,
    ) -> None:
        """Events of more than `compress_above` bytes are compressed; None means none are."""
        self._tasks = namespace
        self._plane = plane
        self._telemetry = telemetry
        self._admit = admit
        self._doorkeeper = doorkeeper
        self._roll = roll
        self._connect_within_s = connect_within_s
        self._frames = FrameCache(_frame)
        self._deflated = (
            None if compress_above is None else _deflated_frames(self._frames, compress_above)
        )
        self._peers: dict[EngineSocket, _Peer] = {}
        self.engine = Engine(
            turnstile,
            limits=limits,
            ping_interval_s=ping_interval_s,
            ping_timeout_s=ping_timeout_s,
        )
        self.engine.listener = self

    def asgi(self) -> ASGIApp:
        """The ASGI application, to be mounted at `/socket.io`."""
        return Requests(self.engine)

    def shutdown(self) -> None:
        """Close every transport: clients come back by themselves."""
        for socket in tuple(self._peers):
            socket.end()

    # What the engine calls.

    def opened(self, socket: EngineSocket, scope: Mapping[str, Any]) -> None:
        self._peers[socket] = _Peer(scope, self._deadline(socket))

    async def message(self, socket: EngineSocket, data: object) -> None:
        if socket.closed:
            return  # It was on its way when the connection was cut.
        try:
            await self._dispatch(socket, data)
        except BadPacket as bad:
            self.refused(socket, str(bad))

    def refused(self, socket: EngineSocket, reason: str) -> None:
        peer = self._peers.get(socket)
        if peer is not None:
            self._telemetry.emit(PacketRefused(Visitor(peer.scope).peer, reason))
            socket.end()

    def flooded(self, socket: EngineSocket) -> None:
        peer = self._peers.get(socket)
        if peer is not None:
            self._telemetry.emit(PacketRefused(Visitor(peer.scope).peer, "far too many packets"))
            # A goodbye would be read after everything that is still on its way.
            socket.end(abort=True)

    def closed(self, socket: EngineSocket) -> None:
        peer = self._peers.pop(socket)
        peer.deadline.cancel()
        self._leave(peer)

    # What it means here.

    async def _dispatch(self, socket: EngineSocket, data: object) -> None:
        peer = self._peers[socket]
        packet = parse(data)
        if not (peer.asked or isinstance(packet, Connect)):
            raise BadPacket("the first packet has to connect a namespace")
        match packet:
            case Connect(namespace, auth):
                peer.asked = True
                await self._connect(socket, peer, namespace, auth)
            case Disconnect(namespace):
                if namespace == NAMESPACE and peer.connection is not None:
                    self._leave(peer)
                    socket.place.give_back()
                    peer.deadline = self._deadline(socket)
            case Event() as event:
                if peer.connection is None or event.namespace != NAMESPACE:
                    raise BadPacket("an event before its namespace was connected")
                if wait_s := socket.overloaded_for_s:
                    limit = TaskPushError(
                        "events come too fast", code="rate_limited", retry_after_s=wait_s
                    )
                    refuse(peer.connection.channel, limit, event.ack)
                else:
                    await self._tasks.handle(peer.connection, event)

    async def _connect(
        self, socket: EngineSocket, peer: _Peer, namespace: str, auth: Mapping[str, Any] | None
    ) -> None:
        if namespace != NAMESPACE:
            where = "" if namespace == "/" else f"{namespace},"
            socket.message(f'4{where}{{"message":"Invalid namespace"}}')
            return
        if peer.connection is not None:
            raise BadPacket("connected twice")
        visitor = Visitor(peer.scope, auth)
        try:
            admission = await self._admit(visitor)
        except TaskPushError as error:
            self._telemetry.emit(AccessRefused(visitor.peer, error.code, error.detail))
            self._turn_away(socket, peer, error)
            return
        if socket.closed:
            return  # While it was asked who it is.
        try:
            socket.place.claim(admission)
        except ConnectionLimit as error:
            self._turn_away(socket, peer, error)
            return
        peer.deadline.cancel()
        channel = Channel(self._plane, SocketLink(socket, self._frames, self._deflated))
        socket.on_room = channel.flush
        door = self._doorkeeper.opened(admission, partial(self._dismiss, socket, peer))
        connection = Connection(new_connection_id(), peer.scope, door, channel, socket)
        peer.connection = connection
        peer.seat = self._roll.enter(
            connection,
            WatchDoor.SOCKETIO,
            connection.address,
            connection_id=connection.connection_id,
        )
        connected = orjson.dumps({"sid": connection.connection_id}).decode()
        socket.message(f"0{NAMESPACE},{connected}")
        self._tasks.welcome(connection)

    def _turn_away(self, socket: EngineSocket, peer: _Peer, error: TaskPushError) -> None:
        """Answer CONNECT with a refusal, after which clients do not come back by themselves."""
        peer.refusals += 1
        if peer.refusals > MAX_REFUSALS:
            raise BadPacket("asked to connect again and again")
        data: dict[str, Any] = {"code": error.code}
        if error.retry_after_s is not None:
            data["retry_after_s"] = error.retry_after_s
        said = orjson.dumps({"message": error.detail, "data": data}).decode()
        socket.message(f"4{NAMESPACE},{said}")

    def _dismiss(self, socket: EngineSocket, peer: _Peer, error: TaskPushError) -> None:
        """Send the client away for good, saying why; what waits for it is not sent."""
        self._leave(peer)
        socket.place.give_back()
        socket.message(f'2{NAMESPACE},["error",{orjson.dumps(error_payload(error)).decode()}]')
        socket.message(f"1{NAMESPACE},")
        peer.deadline = self._deadline(socket)

    def _leave(self, peer: _Peer) -> None:
        """Release what belongs to the connection of the namespace, if there is one."""
        connection, peer.connection = peer.connection, None
        if connection is not None:
            self._doorkeeper.closed(connection.door)
            connection.channel.close()
        if peer.seat is not None:
            self._roll.leave(peer.seat)
            peer.seat = None

    def _deadline(self, socket: EngineSocket) -> asyncio.TimerHandle:
        """Ends the socket unless it connects the namespace in time."""
        return asyncio.get_running_loop().call_later(
            self._connect_within_s, self.refused, socket, "never connected a namespace"
        )
