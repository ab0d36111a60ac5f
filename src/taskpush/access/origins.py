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

    def __call__(self, origin: str, host: str, *, secure: bool = False) -> bool:
        """Whether a page of `origin` may use a server that was asked for as `host`.

        The same name and port always may; the name has to be checked (`HostPolicy`). Over TLS
        (`secure`) the page has to be one too: anybody on the way can write a page of http.
        """
        if "*" in self._allowed or origin in self._allowed:
            return True
        try:
            page = urlsplit(origin)
        except ValueError:
            return False
        return page.netloc.lower() == host.lower() != "" and not (secure and page.scheme == "http")
