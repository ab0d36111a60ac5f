"""uvicorn's WebSocket connection, with a way in for frames that are ready to be sent.

`taskpush serve` loads it; under uvicorn it is `--ws taskpush.sockets.wire:WireProtocol`. The
connection offers itself to the application in the ASGI scope's extensions. Under any other server
there is no such extension, and frames go through ASGI's `send` one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

EXTENSION: Final = "taskpush.wire"
HIGH_WATER_BYTES: Final = 64 * 1024
MAX_FRAGMENTS: Final = 256
"""Frames that a message may come in; endless empty ones would otherwise cost memory for ever."""
CLOSE_WITHIN_S: Final = 2.0
"""How long a peer has to answer a close frame before the connection is aborted."""


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame. Source: RFC 6455 section 5.2."""
    length = len(payload)
    if length < 126:
        head = bytes((0x81, length))
    elif length < 65536:
        head = b"\x81\x7e" + length.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + length.to_bytes(8, "big")
    return head + payload


class Wire:
    """Writes frames to one peer. `on_room` is called when a full buffer has drained."""

    __slots__ = ("_protocol", "on_room", "written_bytes")

    def __init__(self, protocol: WireProtocol) -> None:
        self._protocol = protocol
        self.on_room: Callable[[], None] | None = None
        self.written_bytes = 0

    @property
    def writable(self) -> bool:
        """Whether the peer keeps up: less than `HIGH_WATER_BYTES` wait for it."""
        return self._protocol.writable.is_set()

    @property
    def buffered_bytes(self) -> int:
        """What was written and not yet given to the operating system."""
        return self._protocol.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send whole frames, in order; does nothing on a connection that is closing."""
        protocol = self._protocol
        transport = protocol.transport
        if not (protocol.close_sent or transport.is_closing()):
            self.written_bytes += len(frames)
            transport.write(frames)

    def close(self, code: int) -> None:
        """Say goodbye with a WebSocket close code; does nothing on a connection that is closing."""
        protocol = self._protocol
        if protocol.close_sent or protocol.transport.is_closing():
            return
        protocol.conn.send_close(code)
        protocol.transport.write(b"".join(protocol.conn.data_to_send()))
        protocol.close_sent = True
        protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        if protocol.read_paused:
            protocol.read_paused = False
            protocol.transport.resume_reading()
        protocol.close_timer = asyncio.get_running_loop().call_later(
            CLOSE_WITHIN_S, protocol.transport.abort
        )

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

    @override
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        # Refused handshakes have no scope.
        if self.response.status_code == 101:
            self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
            self._wire = Wire(self)
            extensions: Any = self.scope["extensions"]
            extensions[EXTENSION] = self._wire

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._wire is not None and self._wire.on_room is not None:
            self._wire.on_room()

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
