"""uvicorn's WebSocket connection, with a way in for frames that are ready to be sent.

`taskpush serve` loads it; under uvicorn it is `--ws taskpush.sockets.wire:WireProtocol`. The
connection offers itself to the application in the ASGI scope's extensions. Under any other server
there is no such extension, and frames go through ASGI's `send` one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

from typing_extensions import override
from uvicorn import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from taskpush.core.rates import LeakyBucket
from taskpush.sockets.deflate import WITHOUT_CONTEXT, deflated, inflates

EXTENSION: Final = "taskpush.wire"
HIGH_WATER_BYTES: Final = 64 * 1024
MAX_FRAGMENTS: Final = 256
"""Frames that a message may come in; endless empty ones would otherwise cost memory for ever."""
CONTROL_FRAMES_PER_S: Final = 10
CONTROL_FRAMES_AT_ONCE: Final = 200
"""Pings and pongs of the WebSocket protocol, which browsers don't send by themselves."""
CLOSE_WITHIN_S: Final = 2.0
"""How long a peer has to answer a close frame before the connection is aborted."""


_BAD_HANDSHAKE: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame. Source: RFC 6455 section 5.2."""
    return _frame(0x81, payload)


def deflated_frame(payload: bytes) -> bytes:
    """A text frame whose payload is compressed. Source: RFC 7692 section 6."""
    return _frame(0xC1, deflated(payload))


def binary_frame(payload: bytes) -> bytes:
    """A frame of bytes that are no text."""
    return _frame(0x82, payload)


def _frame(first_byte: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (first_byte, length, payload)
    if length < 65536:
        return b"%c\x7e%b%b" % (first_byte, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first_byte, length.to_bytes(8, "big"), payload)


def _is_utf8(frames: Sequence[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True


class Reader(Protocol):
    """Takes what a peer sends, once a connection was handed over to it."""

    def received(self, data: str | bytes) -> Awaitable[None] | None:
        """A message; the next one waits for what is returned, if anything is."""
        ...

    def lost(self) -> None:
        """The connection has ended."""
        ...


class Wire:
    """One peer's connection, as bytes. `on_room` is called when a full buffer has drained."""

    __slots__ = ("_protocol", "inflates", "on_room", "writable", "written_bytes")

    def __init__(self, protocol: WireProtocol) -> None:
        self._protocol = protocol
        # Whether the peer keeps up: less than `HIGH_WATER_BYTES` wait for it.
        self.writable = True
        self.on_room: Callable[[], None] | None = None
        self.written_bytes = 0
        # Whether the peer takes compressed frames.
        self.inflates = inflates(protocol.conn.extensions)

    @property
    def buffered_bytes(self) -> int:
        """What was written and not yet given to the operating system."""
        return self._protocol.transport.get_write_buffer_size()

    def hand_over(self, reader: Reader) -> None:
        """Give `reader` what the peer sends from now on, in place of ASGI's `receive`.

        The ASGI application may return: the connection stays open, without its coroutines.
        """
        self._protocol.hand_over(reader)

    def write(self, frames: bytes) -> None:
        """Send whole frames, in order; does nothing on a connection that is closing."""
        protocol = self._protocol
        transport = protocol.transport
        if not (protocol.close_sent or transport.is_closing()):
            self.written_bytes += len(frames)
            transport.write(frames)

    def close(self, code: int) -> None:
        """Say goodbye with a WebSocket close code; does nothing on a connection that is closing."""
        self._protocol.say_goodbye(code)

    def abort(self) -> None:
        """End the connection at once; what was not sent is lost, and the peer sees 1006."""
        self._protocol.transport.abort()


def wire_of(scope: Mapping[str, Any]) -> Wire | None:
    """The wire of a WebSocket's scope; None under a server that offers none."""
    wire = (scope.get("extensions") or {}).get(EXTENSION)
    return wire if isinstance(wire, Wire) else None


class WireProtocol(WebSocketsSansIOProtocol):
    """A WebSocket connection that offers a `Wire`, and gives up on peers sooner."""

    _wire: Wire | None = None
    _after_goodbye_bytes = 0
    # None until the connection is handed over.
    _reader: Reader | None = None
    # What is being done about a message; None while the next one may be taken.
    _handling: asyncio.Future[None] | None = None

    @override
    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._control_frames = LeakyBucket(CONTROL_FRAMES_PER_S, self.loop.time())
        if config.ws_per_message_deflate:
            self.conn.available_extensions = [WITHOUT_CONTEXT]

    def hand_over(self, reader: Reader) -> None:
        """See `Wire.hand_over`."""
        self._reader = reader
        self._take_next()

    def say_goodbye(self, code: int) -> None:
        """See `Wire.close`."""
        if self.close_sent or self.transport.is_closing():
            return
        if self.conn.state is not State.OPEN:
            # The peer's own goodbye came along with what ended it, and is answered next.
            return
        self.conn.send_close(code)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self._resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)

    # What uvicorn calls.

    @override
    def data_received(self, data: bytes) -> None:
        if self.close_sent:
            self._after_goodbye_bytes += len(data)
            if self._after_goodbye_bytes > HIGH_WATER_BYTES:
                # It goes on as if nothing had been said.
                self.transport.abort()
                return
        super().data_received(data)
        # uvicorn would wait for ever for a handshake that the library has given up on.
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = True
            self.transport.write(_BAD_HANDSHAKE)
            self.transport.close()

    @override
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        # Refused handshakes have no scope.
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
            self._wire = Wire(self)
            extensions: Any = self.scope["extensions"]
            extensions[EXTENSION] = self._wire

    @override
    async def run_asgi(self) -> None:
        """As uvicorn's, but a connection that was handed over outlives the application's call."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
            self.send_500_response()
        else:
            if self._reader is not None:
                # What was known of the request, which may be kilobytes.
                del self.scope, self.request, self.response
                return
            if not (self.handshake_complete or self.close_sent):
                self.logger.error("ASGI callable returned without completing handshake.")
                self.send_500_response()
        if self.close_timer is None:
            self.transport.close()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self._wire is not None:
            self._wire.writable = False

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._wire is not None:
            self._wire.writable = True
            if self._wire.on_room is not None:
                self._wire.on_room()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._reader is not None:
            self._reader.lost()

    @override
    def handle_ping(self) -> None:
        if self._controls(to_be_answered=True):
            super().handle_ping()

    @override
    def handle_pong(self, event: Frame) -> None:
        if self._controls(to_be_answered=False):
            super().handle_pong(event)

    def _controls(self, *, to_be_answered: bool) -> bool:
        """Whether a control frame is heeded, of which nobody needs many."""
        if self._control_frames.pour(self.loop.time()) > CONTROL_FRAMES_AT_ONCE:
            self.transport.abort()
            return False
        if to_be_answered and self._wire is not None and not self._wire.writable:
            # The peer takes nothing: only the newest ping has to be answered (RFC 6455, 5.5.3).
            self.conn.data_to_send()
            return False
        return not self.transport.is_closing()

    @override
    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            # uvicorn would write a traceback about it.
            self.frames = []
            self.conn.fail(1007, "invalid UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()
        if self._reader is not None:
            self._take_next()

    @override
    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:
            # A handshake that the library does not take, which uvicorn takes for impossible.
            self.transport.abort()
            return
        super().handle_parser_exception()

    @override
    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(1009, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    @override
    def keepalive_timeout(self) -> None:
        """The peer is gone: waiting until it has taken what is buffered would be for ever."""
        super().keepalive_timeout()
        self.transport.abort()

    # Once it was handed over.

    def _take_next(self) -> None:
        """Give the reader what arrived, one message after the other."""
        assert self._reader is not None
        while self._handling is None and not self.queue.empty():
            event = self.queue.get_nowait()
            if event["type"] != "websocket.receive":
                continue
            text = event.get("text")
            work = self._reader.received(text if text is not None else event.get("bytes") or b"")
            if work is not None:
                self._handling = asyncio.ensure_future(work)
                self._handling.add_done_callback(self._handled)
        if self._handling is None:
            self._resume_reading()

    def _handled(self, handling: asyncio.Future[None]) -> None:
        self._handling = None
        if not handling.cancelled() and handling.exception() is not None:
            self.logger.error("Exception in a WebSocket's reader", exc_info=handling.exception())
            self.transport.abort()
            return
        self._take_next()

    def _resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()
