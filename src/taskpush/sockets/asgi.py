"""The ASGI end of a WebSocket: the way to it until a wire takes over, and where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskpush.sockets.wire import Wire, wire_of


class AsgiSocket:
    """One WebSocket, from the `environ` that python-engineio makes of its scope."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        # None under a server that offers none.
        self.wire: Wire | None = wire_of(environ["asgi.scope"])
        self._receive = environ["asgi.receive"]
        self._send = environ["asgi.send"]

    async def accept(self) -> None:
        """Let the peer in."""
        await self._send({"type": "websocket.accept"})

    async def wait(self) -> str | bytes:
        """The next message; raises `OSError` when there is none any more."""
        event = await self._receive()
        if event["type"] != "websocket.receive":
            raise OSError("disconnected")
        text: str | None = event.get("text")
        return text if text is not None else bytes(event["bytes"])

    async def send(self, data: str | bytes) -> None:
        """Send one message."""
        kind = "bytes" if isinstance(data, bytes) else "text"
        await self._send({"type": "websocket.send", kind: data})

    async def close(self, code: int) -> None:
        """Close it, if it is open still."""
        try:
            await self._send({"type": "websocket.close", "code": code})
        except Exception:  # noqa: BLE001 - what a server raises here says only that it is closed
            return
