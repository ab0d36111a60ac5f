"""uvicorn's HTTP connection, as `taskpush serve` loads it: who comes, and how many at once.

A server that was restarted has all its clients back within a second. Taken in at once they would
hold the event loop for as long as all their handshakes take together, and with it everybody who is
connected already. Under uvicorn it is a part of
`--http taskpush.serving.connection:HttpConnection`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import ClassVar, Final, Protocol
from weakref import WeakKeyDictionary

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

AT_ONCE: Final = 8
PAUSE_S: Final = 0.002
HEAD_WITHIN_S: Final = 10.0
MAX_HEAD_BYTES: Final = 64 * 1024

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Arrival(Protocol):
    """A connection that may have to wait before anything of it is read."""

    def wait_outside(self) -> None: ...

    def come_in(self) -> None: ...


class Gate:
    """Lets `AT_ONCE` in at a time, and then everybody else have the loop for as long as that took.

    Whoever comes when few do is let in at once.
    """

    def __init__(self) -> None:
        self._waiting: deque[Arrival] = deque()
        self._let_in = 0
        self._due = 0.0
        # None while nobody came for a while.
        self._pause: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def arrive(self, arrival: Arrival) -> None:
        """Somebody came: goes in now, or waits for its turn."""
        if self._let_in >= AT_ONCE:
            arrival.wait_outside()
            self._waiting.append(arrival)
            return
        self._let_in += 1
        if self._pause is None:
            self._pause_for(PAUSE_S)

    def _pause_for(self, seconds: float) -> None:
        self._due = monotonic() + seconds
        self._pause = asyncio.get_running_loop().call_later(seconds, self._next)

    def _next(self) -> None:
        # The loop was held for so long since the last were let in.
        held_s = monotonic() - self._due
        self._let_in = min(AT_ONCE, len(self._waiting))
        for _ in range(self._let_in):
            _let_in(self._waiting.popleft())
        if self._let_in:
            self._pause_for(max(PAUSE_S, held_s))
        else:
            self._pause = None


def _let_in(arrival: Arrival) -> None:
    """As the loop would, had it not had to wait: a fault is one connection's alone."""
    try:
        arrival.come_in()
    except Exception as error:  # noqa: BLE001 - told as the loop tells what a protocol raises
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a connection could not come in", "exception": error, "protocol": arrival}
        )


class ArrivalProtocol(HttpToolsProtocol):
    """An HTTP connection that comes through the gate, and whose headers have bounds.

    So has the rest of a body that was answered before it was there: nobody reads it.
    """

    head_within_s = HEAD_WITHIN_S
    gates: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Gate]] = WeakKeyDictionary()
    """One gate for all connections of an event loop, which is what they share."""

    _outside = False
    _held = b""
    _head_bytes = 0
    _in_head = True
    _in_body = False
    _deadline: asyncio.TimerHandle | None = None

    def wait_outside(self) -> None:
        """Heed nothing of what comes for now."""
        self._outside = True
        self._head_is_over()

    def come_in(self) -> None:
        """Heed what has come meanwhile; does nothing when the peer has gone."""
        self._outside = False
        held, self._held = self._held, b""
        if self.transport.is_closing():
            return
        self._expect_head()
        if held:
            self.transport.resume_reading()
            self.data_received(held)

    # What uvicorn and the parser call.

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()
        self.gates.setdefault(self.loop, Gate()).arrive(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_over()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._outside:
            # Not earlier: uvloop begins to read after `connection_made`, whatever was said there.
            self.transport.pause_reading()
            self._held += data
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    @override
    def on_message_begin(self) -> None:
        self._expect_head()
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._head_is_over()
        self._in_body = True
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        self._in_body = False
        self._wait_no_more()
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.head_within_s, self._too_slow)

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._in_head, self._head_bytes = True, 0
            self._deadline = self.loop.call_later(self.head_within_s, self._too_slow)

    def _head_is_over(self) -> None:
        self._in_head = False
        self._wait_no_more()

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.abort()
