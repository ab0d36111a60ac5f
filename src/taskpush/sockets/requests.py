"""Engine.IO's requests: who is let in, long polling, and the upgrade to a WebSocket.

Source: the Engine.IO protocol document, version 4, sections "Transports" and "Protocol". What it
does not allow is answered 400; a WebSocket is not opened.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Scope, Send

from taskpush.core.intake import PAUSE_S, Intake
from taskpush.errors import TaskPushError
from taskpush.sockets.answers import NoRoom, Refused, answer, deny, refuse, takes_gzip
from taskpush.sockets.engine import (
    COME_BACK,
    GOODBYE,
    MAX_MESSAGE_BYTES,
    Engine,
    EngineSocket,
)
from taskpush.sockets.packets import CLOSE, NOOP, PROBE, PROBE_ANSWER, UPGRADE, payload, split
from taskpush.sockets.wire import wire_of

MAX_PACKETS_PER_POST: Final = 256
"""Browsers send dozens of buffered packets in one POST."""
TAKEN_BYTES: Final = 1024 * 1024
TAKEN_WITHIN_S: Final = 2.0
"""How much of a body that is too large is still taken, so that its sender reads the answer."""
PROBE_WITHIN_S: Final = 10.0
"""How long each step of an upgrade may take; the session goes on polling when one does not come."""


class Requests:
    """The ASGI application, to be mounted at `/socket.io`."""

    def __init__(
        self,
        engine: Engine,
        *,
        probe_within_s: float = PROBE_WITHIN_S,
        body_pause_s: float = PAUSE_S,
    ) -> None:
        self._engine = engine
        self._probe_within_s = probe_within_s
        self._body_pause_s = body_pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        try:
            body = await self._polling(scope, receive)
        except Refused as refused:
            await refuse(send, refused)
            return
        except ConnectionResetError:
            return  # Nobody is left to be answered.
        await answer(send, 200, body, gzipped=takes_gzip(scope))

    def _session(self, scope: Scope, transport: str) -> EngineSocket | None:
        """The session that the request names, None when it asks for a new one."""
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if query.get("EIO") != ["4"]:
            raise Refused("EIO has to be 4")
        if query.get("transport") != [transport]:
            raise Refused(f"transport has to be {transport} here")
        if "j" in query:
            # It lets any site read a visitor's answers.
            raise Refused("JSONP is not supported")
        if "sid" not in query:
            return None
        socket = self._engine.sockets.get(query["sid"][0]) if len(query["sid"]) == 1 else None
        if socket is None:
            raise Refused("the session is not known")
        if not socket.polling:
            raise Refused("the session has a WebSocket")
        return socket

    def _open(self, scope: Scope, *, polling: bool) -> EngineSocket:
        try:
            return self._engine.open(scope, polling=polling)
        except TaskPushError as error:
            raise NoRoom(error) from None

    # Long polling.

    async def _polling(self, scope: Scope, receive: Receive) -> bytes:
        socket = self._session(scope, "polling")
        match scope["method"]:
            case "GET" if socket is None:
                socket = self._open(scope, polling=True)
                return payload(socket.take()).encode()
            case "GET" if socket is not None:
                return await _get(socket, receive)
            case "POST" if socket is not None:
                await _post(socket, _promptly(receive, Intake(self._body_pause_s)))
                return b"ok"
            case _:
                raise Refused("sessions are opened and read by GET, and written by POST")

    # WebSockets.

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            joined = self._session(scope, "websocket")
            if joined is not None and joined.upgrading:
                raise Refused("the session has a WebSocket")
            session = joined or self._open(scope, polling=False)
        except Refused as refused:
            await deny(scope, send, refused)
            return
        ws = _WebSocket(scope, receive, send)
        if joined is None:
            await self._serve(ws, session, accept=True)
            return
        session.upgrading = True
        try:
            probed = await self._probed(ws, session)
        except (OSError, TimeoutError):
            probed = False
        finally:
            session.upgrading = False
        if probed and not session.closed:
            session.polling = False
            await self._serve(ws, session)
        else:
            await ws.close(COME_BACK)

    async def _probed(self, ws: _WebSocket, session: EngineSocket) -> bool:
        """Whether the client that has been polling really changes over to `ws`."""
        async with asyncio.timeout(self._probe_within_s):
            await ws.accept()
            if await ws.wait() != PROBE:
                return False
        session.begin_upgrade()
        try:
            await ws.send(PROBE_ANSWER)
            async with asyncio.timeout(self._probe_within_s):
                return await ws.wait() == UPGRADE
        finally:
            session.probed = False

    async def _serve(self, ws: _WebSocket, socket: EngineSocket, *, accept: bool = False) -> None:
        """Carry the session over `ws`, until either ends; a wire outlives this call."""
        try:
            if accept:
                await ws.accept()
            if ws.wire is not None:
                socket.go_over_to(ws.wire)
                return
            writer = asyncio.create_task(_write(ws, socket), name=f"taskpush-writer-{socket.sid}")
            try:
                await _listen(ws, socket)
            finally:
                socket.end()
                await asyncio.wait([writer])
        except OSError:
            pass
        finally:
            if socket.wire is None:
                socket.end()


async def _get(socket: EngineSocket, receive: Receive) -> bytes:
    """What the peer's request for packets is answered with, as soon as there is something."""
    if socket.getting:
        socket.refuse("two requests for packets at once")
        raise Refused("there is a request for packets already")
    socket.getting = True
    try:
        if socket.idle:
            await _arrival(socket, receive)
    finally:
        socket.getting = False
    if socket.probed and not socket.closed:
        # What is to be sent waits for the WebSocket.
        return NOOP.encode()
    packets = socket.take()
    socket.has_room()
    if socket.closed:
        packets.append(NOOP if socket.left else CLOSE)
    return payload(packets).encode()


async def _arrival(socket: EngineSocket, receive: Receive) -> None:
    """Until there is an answer; raises `ConnectionResetError` when the peer goes before that."""
    arriving = asyncio.ensure_future(socket.wait())
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait([arriving, leaving], return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            # What came at the same moment is left for its next request.
            raise ConnectionResetError("the peer has gone")
    finally:
        arriving.cancel()
        leaving.cancel()


async def _left(receive: Receive) -> None:
    """Until the peer's connection is lost."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _post(socket: EngineSocket, receive: Receive) -> None:
    """Take the packets that the peer sent, one after the other."""
    if socket.posting:
        socket.refuse("two requests with packets at once")
        raise Refused("there is a request with packets already")
    socket.posting = True
    try:
        for packet in split(await _body(receive), most=MAX_PACKETS_PER_POST):
            await socket.heed(packet)
    except ConnectionResetError:
        socket.end()
        raise
    except ValueError as error:
        socket.refuse(str(error))
        raise Refused(str(error)) from None
    except Refused as refused:
        socket.refuse(str(refused))
        raise
    finally:
        socket.posting = False
    if socket.closed and not socket.left:
        raise Refused("the session was closed")


async def _body(receive: Receive) -> bytes:
    """The request's body; raises `Refused` when it is too large, once some more of it was taken."""
    body, taken = bytearray(), 0
    loop = asyncio.get_running_loop()
    # None while it is not too large.
    until: float | None = None
    more = True
    while more and (until is None or (taken < TAKEN_BYTES and loop.time() < until)):
        event: Message = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionResetError("the peer has gone")
        part = event.get("body", b"")
        taken += len(part)
        if taken <= MAX_MESSAGE_BYTES:
            body += part
        elif until is None:
            until = loop.time() + TAKEN_WITHIN_S
        more = event.get("more_body", False)
    if until is not None:
        raise Refused(f"a payload may have at most {MAX_MESSAGE_BYTES} bytes", 413)
    return bytes(body)


def _promptly(receive: Receive, intake: Intake) -> Receive:
    """`receive`, for a body that must not stop half way; raises `Refused` when it does."""

    async def receive_part() -> Message:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            async with asyncio.timeout(intake.patience_s):
                event = await receive()
        except TimeoutError:
            raise Refused("the rest of the body did not come in time", 408) from None
        intake.came(len(event.get("body", b"")), loop.time() - began_s)
        return event

    return receive_part


class _WebSocket:
    """The ASGI end of one WebSocket."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.wire = wire_of(scope)

    async def accept(self) -> None:
        await self._send({"type": "websocket.accept"})

    async def wait(self) -> str | bytes:
        """The next message; raises `OSError` when there is none any more."""
        event = await self._receive()
        if event["type"] != "websocket.receive":
            raise OSError("disconnected")
        text: str | None = event.get("text")
        return text if text is not None else bytes(event["bytes"])

    async def send(self, data: str | bytes) -> None:
        kind = "bytes" if isinstance(data, bytes) else "text"
        await self._send({"type": "websocket.send", kind: data})

    async def close(self, code: int) -> None:
        with suppress(Exception):  # What a server raises here says only that it is closed.
            await self._send({"type": "websocket.close", "code": code})


async def _listen(ws: _WebSocket, socket: EngineSocket) -> None:
    """Take what the peer sends, until it or this side ends."""
    while not socket.closed:
        try:
            data = await ws.wait()
        except OSError:
            return
        await socket.heed(data)


async def _write(ws: _WebSocket, socket: EngineSocket) -> None:
    """Send what waits, for a server that offers no wire."""
    with suppress(OSError):
        while not socket.closed:
            await socket.wait()
            for packet in socket.take():
                await ws.send(packet)
            socket.has_room()
    await ws.close(GOODBYE if socket.left else COME_BACK)
