"""Which pages may connect: those of this server, and those of an allow list."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


class OriginPolicy:
    """Decides by the `Origin` header, which browsers always send with a WebSocket handshake.

    CORS does not protect WebSockets, so this is the only thing between a visited page and the
    visitor's server on loopback. It compares with the `Host` header, and nothing checks that: a
    name that was rebound to this machine passes.
    """

    def __init__(self, allow_origins: Sequence[str]) -> None:
        self._allowed = frozenset(allow_origins)

    def __call__(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may connect to `host`; same host and port always may."""
        if "*" in self._allowed or origin in self._allowed:
            return True
        return urlsplit(origin).netloc == host
