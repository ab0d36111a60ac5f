"""Which pages may use this server: its own, and those of an allow list."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


class OriginPolicy:
    """Decides by the `Origin` header, which browsers send with all that could do harm.

    CORS keeps pages from reading answers. It does not keep them from sending a `POST` or opening a
    WebSocket: this does.
    """

    def __init__(self, allow_origins: Sequence[str]) -> None:
        self._allowed = frozenset(allow_origins)

    def __call__(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may use a server that was asked for as `host`.

        The same name and port always may; the name has to be checked (`HostPolicy`).
        """
        if "*" in self._allowed or origin in self._allowed:
            return True
        try:
            return urlsplit(origin).netloc.lower() == host.lower() != ""
        except ValueError:
            return False
