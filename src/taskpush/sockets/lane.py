"""The way through python-socketio and python-engineio: the one module that knows their inside.

The libraries do the handshake, the heartbeat, long polling and the upgrade. What clients say is
parsed by `guard` instead of the library's dispatch, and what they are sent is written by their
channel, so that one ordered writer per connection carries everything and the library's unbounded
queue holds at most one batch. `tests/sockets/test_lane.py` fails when an upgrade changes what this
module relies on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import engineio
import socketio
from engineio import packet as eio_packet
from engineio import payload as eio_payload
from socketio import packet as sio_packet

from taskpush.access.principal import LOCAL
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.channel import Channel
from taskpush.push.hub import Hub
from taskpush.push.outbox import Message, Outgoing, Reply
from taskpush.sockets.guard import BadPacket, Connect, Disconnect, Event, parse
from taskpush.sockets.namespace import NAMESPACE, Connection, TasksNamespace
from taskpush.store.base import Store
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import PacketRefused

CONNECT_WITHIN_S: Final = 10.0
MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_PACKETS_PER_POST: Final = 256
"""Browsers send dozens of buffered packets in one POST; the stock limit of 16 drops them all."""

OriginCheck = Callable[[str, Mapping[str, Any]], bool]


class SocketLink:
    """A `push.channel.Link` over one engine.io socket, whatever its transport."""

    def __init__(self, socket: Any, cut: Callable[[], None]) -> None:
        self._socket = socket
        self._cut = cut

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Queue the batch, and return when the socket's own writer has taken it."""
        for item in batch:
            self._socket.queue.put_nowait(
                eio_packet.Packet(eio_packet.MESSAGE, data=socketio_packet(item))
            )
        await self._socket.queue.join()

    def abort(self) -> None:
        """End the socket, without waiting for it."""
        self._cut()


def socketio_packet(item: Outgoing) -> str:
    """The Socket.IO packet that carries `item`, without the engine.io type in front."""
    body = item.body.decode()
    match item:
        case LoggedEvent() | VolatileEvent():
            return f'2{NAMESPACE},["task_update",{body}]'
        case Message():
            return f'2{NAMESPACE},["{item.name}",{body}]'
        case Reply():
            return f"3{NAMESPACE},{item.to}[{body}]"


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]  # the library ships no types
    """An `AsyncServer` whose dispatch is the guard and the `/tasks` namespace."""

    def __init__(
        self,
        namespace: TasksNamespace,
        store: Store,
        hub: Hub,
        telemetry: Telemetry,
        *,
        origin_allowed: OriginCheck,
        connect_within_s: float = CONNECT_WITHIN_S,
    ) -> None:
        super().__init__(
            async_mode="asgi",
            async_handlers=False,
            namespaces=[NAMESPACE],
            cors_allowed_origins=origin_allowed,
            max_http_buffer_size=MAX_MESSAGE_BYTES,
            logger=False,
            engineio_logger=False,
        )
        # Documented by python-engineio as the way to raise the limit; it has no other.
        eio_payload.Payload.max_decode_packets = MAX_PACKETS_PER_POST
        self._tasks = namespace
        self._store = store
        self._hub = hub
        self._telemetry = telemetry
        self._connect_within_s = connect_within_s
        self._connections: dict[str, Connection] = {}
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._cutting: set[asyncio.Task[None]] = set()

    def asgi(self) -> engineio.ASGIApp:
        """The ASGI application, to be mounted at `/socket.io`."""
        return engineio.ASGIApp(self, engineio_path=None)

    async def handle_request(self, scope: Any, receive: Any, send: Any) -> Any:
        """Refuse JSONP, which lets any site read a visitor's answers; pass on the rest."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if scope["type"] == "http" and "j" in query:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"JSONP is not supported"})
            return None
        return await super().handle_request(scope, receive, send)

    async def shutdown(self) -> None:
        """Cut every connection (clients come back by themselves) and stop the heartbeat task."""
        for eio_sid in tuple(self.eio.sockets):
            await self._cut(eio_sid)
        if self.eio.service_task_handle is not None:
            await super().shutdown()

    # What the library calls.

    async def _handle_eio_connect(self, eio_sid: str, environ: Any) -> Any:
        deadline = asyncio.get_running_loop().call_later(
            self._connect_within_s, self._connect_deadline, eio_sid
        )
        self._deadlines[eio_sid] = deadline
        return await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_eio_message(self, eio_sid: str, data: object) -> None:
        try:
            await self._dispatch(eio_sid, data)
        except BadPacket as bad:
            if eio_sid in self.environ:
                self._telemetry.emit(PacketRefused(self._peer(eio_sid), str(bad)))
                await self._cut(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self._forget_deadline(eio_sid)
        await self._leave(eio_sid)
        await super()._handle_eio_disconnect(eio_sid, reason)

    # What it means here.

    async def _dispatch(self, eio_sid: str, data: object) -> None:
        if eio_sid not in self.environ:
            return  # Packets that were on their way when the connection was cut.
        match parse(data):
            case Connect(namespace, auth):
                await self._connect(eio_sid, namespace, auth)
            case Disconnect(namespace):
                if namespace == NAMESPACE:
                    await self._leave(eio_sid)
                await self._handle_disconnect(eio_sid, namespace)
            case Event() as event:
                connection = self._connections.get(eio_sid)
                if connection is None or event.namespace != NAMESPACE:
                    raise BadPacket("an event before its namespace was connected")
                await self._tasks.handle(connection, event)

    async def _connect(self, eio_sid: str, namespace: str, auth: dict[str, Any] | None) -> None:
        if eio_sid in self._connections:
            raise BadPacket("connected twice")
        if namespace != NAMESPACE:
            # The library answers with a bare string, where clients expect an object.
            refusal = sio_packet.Packet(
                sio_packet.CONNECT_ERROR, {"message": "Invalid namespace"}, namespace=namespace
            )
            await self._send_packet(eio_sid, refusal)
            return
        await self._handle_connect(eio_sid, namespace, auth)
        self._forget_deadline(eio_sid)
        self._connections[eio_sid] = connection = self._open(eio_sid)
        self._tasks.welcome(connection)

    def _open(self, eio_sid: str) -> Connection:
        link = SocketLink(self.eio.sockets[eio_sid], lambda: self._cut_soon(eio_sid))
        channel = Channel(self._store, self._hub, link)
        return Connection(
            connection_id=self.manager.sid_from_eio_sid(eio_sid, NAMESPACE),
            principal=LOCAL,
            channel=channel,
            writer=asyncio.create_task(channel.run(), name=f"taskpush-writer-{eio_sid}"),
        )

    async def _leave(self, eio_sid: str) -> None:
        """End a connection's subscriptions and its writer."""
        connection = self._connections.pop(eio_sid, None)
        if connection is not None:
            connection.channel.close()
            connection.writer.cancel()
            await asyncio.wait([connection.writer])

    async def _cut(self, eio_sid: str) -> None:
        """Close the transport, without the namespace's goodbye that would keep clients away."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            await socket.close(wait=False, abort=True)
            socket.queue.put_nowait(None)

    def _cut_soon(self, eio_sid: str) -> None:
        """`_cut`, from where it cannot be awaited: closing waits for the connection's writer."""
        cutting = asyncio.create_task(self._cut(eio_sid), name=f"taskpush-cut-{eio_sid}")
        self._cutting.add(cutting)
        cutting.add_done_callback(self._cutting.discard)

    def _connect_deadline(self, eio_sid: str) -> None:
        self._deadlines.pop(eio_sid, None)
        if eio_sid in self.eio.sockets:
            self._telemetry.emit(PacketRefused(self._peer(eio_sid), "never connected a namespace"))
            self._cut_soon(eio_sid)

    def _forget_deadline(self, eio_sid: str) -> None:
        deadline = self._deadlines.pop(eio_sid, None)
        if deadline is not None:
            deadline.cancel()

    def _peer(self, eio_sid: str) -> str:
        """The peer's address; the library's `REMOTE_ADDR` is always 127.0.0.1."""
        scope = self.environ.get(eio_sid, {}).get("asgi.scope", {})
        client = scope.get("client")
        return f"{client[0]}:{client[1]}" if client else "unknown"
