"""uvicorn's HTTP connection, with a way out for answers that have no end.

The connection offers itself to the application in the ASGI scope's extensions, when it is served by
`taskpush serve`, `push.running` or `uvicorn --http taskpush.serving.connection:HttpConnection`.
Under any other server
there is no such extension: such an answer then goes through ASGI's `send`, ends when the server
cancels it, and what a stalled peer has not taken stays with the server until the peer goes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION: Final = "taskpush.http"
LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(content: bytes) -> bytes:
    """A chunk of a body whose length nobody knows. Source: RFC 9112 section 7.1."""
    return b"%x\r\n%b\r\n" % (len(content), content)


class Answer(Protocol):
    """A response without an end, as far as its connection has something to tell it."""

    def on_room(self) -> None:
        """A full buffer has drained."""
        ...

    def on_stop(self) -> None:
        """The server stops, and waits for the answer's end."""
        ...

    def on_lost(self) -> None:
        """The connection has ended."""
        ...


class HttpWire:
    """The connection below one response."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: HttpProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle

    @property
    def writable(self) -> bool:
        """Whether the peer keeps up: its buffer is not full."""
        return not self._protocol.flow.write_paused

    @property
    def stopping(self) -> bool:
        """Whether the server waits for the responses under way, in order to stop."""
        return self._protocol.stopping

    @property
    def buffered_bytes(self) -> int:
        """What was sent and not yet given to the operating system."""
        return self._protocol.transport.get_write_buffer_size()

    def tell(self, answer: Answer | None) -> None:
        """Whom to tell what happens to the connection; None is nobody."""
        self._protocol.answer = answer

    def hand_over(self) -> bool:
        """Let the response be written here from now on, in place of ASGI's `send`.

        The ASGI application may return then, and the response goes on without its coroutines.
        False, and all is as it was, unless the head of a response in chunks has been written: a
        middleware may have kept it back, because it has something to do with the body.
        """
        cycle = self._cycle
        head_is_out = cycle.response_started and not (cycle.response_complete or cycle.disconnected)
        if not (head_is_out and cycle.chunked_encoding and cycle.scope["method"] != "HEAD"):
            return False
        # What uvicorn looks at when the application returns.
        cycle.response_complete = True
        self._protocol.forget_request(cycle)
        return True

    def write(self, chunks: bytes) -> None:
        """Send whole chunks, in order; does nothing on a connection that is closing."""
        transport = self._protocol.transport
        if not transport.is_closing():
            transport.write(chunks)

    def finish(self) -> None:
        """End the response in order; the connection may have another one afterwards."""
        self.tell(None)
        self.write(LAST_CHUNK)
        if not self._cycle.keep_alive:
            self._protocol.transport.close()
        self._protocol.go_on()

    def abort(self) -> None:
        """End the connection at once; what was not sent is lost."""
        self._protocol.transport.abort()


def wire_of(scope: Mapping[str, Any]) -> HttpWire | None:
    """The wire of a request's scope; None under a server that offers none."""
    wire = (scope.get("extensions") or {}).get(EXTENSION)
    return wire if isinstance(wire, HttpWire) else None


class HttpProtocol(HttpToolsProtocol):
    """An HTTP connection that offers an `HttpWire` to each request."""

    stopping = False
    answer: Answer | None = None
    """Who is told what happens; None while there is no such answer."""

    _streaming = False
    """Whether a response was handed over that has not ended."""
    _next_request = b""
    """What came while it goes on."""
    _under_way: Sequence[RequestResponseCycle] = ()
    """The requests that were not answered when the newest one came, and that one."""

    def forget_request(self, cycle: RequestResponseCycle) -> None:
        """See `HttpWire.hand_over`; what was known of the request may be kilobytes."""
        self._streaming = True
        nothing: Any = {}
        if self.scope is cycle.scope:
            self.scope, self.headers = nothing, []
        cycle.scope = nothing

    def go_on(self) -> None:
        """See `HttpWire.finish`."""
        self._streaming = False
        self.on_response_complete()
        came, self._next_request = self._next_request, b""
        if came and not self.transport.is_closing():
            super().data_received(came)

    # What uvicorn and the parser call.

    @override
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        scope: Any = self.scope
        # A WebSocket's handshake is no request.
        if "path" in scope:
            scope["extensions"] = {EXTENSION: HttpWire(self, self.cycle)}
            self._under_way = (*self._unanswered(), self.cycle)

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = _without_chunks(app, cycle)
        super()._start_asgi_task(cycle, app)

    @override
    def handle_websocket_upgrade(self) -> None:
        if self._unanswered():
            # What is still to be answered would come between the WebSocket's frames.
            self.transport.abort()
        else:
            super().handle_websocket_upgrade()

    @override
    def data_received(self, data: bytes) -> None:
        if self._streaming:
            # Another request: its answer has to come after this one.
            self._next_request += data
            self.flow.pause_reading()
        else:
            super().data_received(data)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self.answer is not None:
            self.answer.on_room()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # uvicorn tells the newest request only, and the others would write to what is closed.
        for cycle in self._unanswered():
            cycle.disconnected = True
            cycle.message_event.set()
        answer, self.answer = self.answer, None
        if answer is not None:
            answer.on_lost()

    @override
    def shutdown(self) -> None:
        self.stopping = True
        if self.answer is not None:
            self.answer.on_stop()
        super().shutdown()

    def _unanswered(self) -> list[RequestResponseCycle]:
        return [cycle for cycle in self._under_way if not cycle.response_complete]


def _without_chunks(app: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """`app` for a client of HTTP/1.0, which knows no chunks: its answer ends with the connection.

    uvicorn closes such a connection after the answer, but would send chunks all the same. Source:
    RFC 9112 section 6.1.
    """

    async def plainly(scope: Scope, receive: Receive, send: Send) -> None:
        ends_with_connection = False

        async def send_plainly(message: Message) -> None:
            nonlocal ends_with_connection
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", ())}
                if ends_with_connection := b"content-length" not in names:
                    cycle.chunked_encoding = False
            elif ends_with_connection:
                # As if each part had been announced: uvicorn counts.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_plainly)

    return plainly
