"""uvicorn's HTTP connection, as far as an answer without an end has to know it.

The connection offers itself to the application in the ASGI scope's extensions, when it is served by
`taskpush serve` or `uvicorn --http taskpush.cli.connection:HttpConnection`. Under any other server
there is no such extension: such an answer then ends when the server cancels it, and what a stalled
peer has not taken stays with the server until the peer goes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION: Final = "taskpush.http"


class HttpWire:
    """The connection below a response. `on_stop` is called when the server stops."""

    __slots__ = ("_transport", "on_stop", "stopping")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # Whether the server waits for the responses under way, in order to stop.
        self.stopping = False
        self.on_stop: Callable[[], None] | None = None

    @property
    def buffered_bytes(self) -> int:
        """What was sent and not yet given to the operating system."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """End the connection at once; what was not sent is lost."""
        self._transport.abort()

    def stop(self) -> None:
        """The server stops."""
        self.stopping = True
        if self.on_stop is not None:
            self.on_stop()


def wire_of(scope: Mapping[str, Any]) -> HttpWire | None:
    """The wire of a request's scope; None under a server that offers none."""
    wire = (scope.get("extensions") or {}).get(EXTENSION)
    return wire if isinstance(wire, HttpWire) else None


class HttpProtocol(HttpToolsProtocol):
    """An HTTP connection that offers an `HttpWire`."""

    _wire: HttpWire

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wire = HttpWire(transport)

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # a TypedDict
        scope["extensions"] = {EXTENSION: self._wire}

    @override
    def shutdown(self) -> None:
        super().shutdown()
        self._wire.stop()
