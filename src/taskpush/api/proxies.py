"""What reverse proxies say of the requests they pass on, heeded of those alone that are trusted.

`X-Forwarded-For` and `X-Forwarded-Proto` are uvicorn's to read, `X-Forwarded-Host` is not among
what it reads. `Forwarded` (RFC 7239) is heeded of nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class TrustedProxies:
    """Puts in place of a trusted proxy's address, scheme and host those of its client."""

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        """`trusted` are addresses and networks."""
        inner: Any = app  # uvicorn and Starlette each have their own type for it.
        self._app = ProxyHeadersMiddleware(inner, list(trusted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is not None and client[0] in self._app.trusted_hosts:
            scope["headers"] = _with_forwarded_host(scope["headers"])
        passed: Any = scope
        await self._app(passed, receive, send)  # type: ignore[arg-type]  # as above


def _with_forwarded_host(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with the host that the nearest proxy was asked for, if it says so."""
    said = [value for name, value in headers if name == b"x-forwarded-host"]
    if not said:
        return list(headers)
    # Proxies append: what stands further left may be the client's own words.
    host = said[-1].rpartition(b",")[2].strip()
    return [*((name, value) for name, value in headers if name != b"host"), (b"host", host)]
