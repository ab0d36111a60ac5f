"""What a server says of when to come back, where a library would not tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from taskpush.client.proxies import proxy_for

MAX_S: Final = 3600.0
_COME_BACK: Final = frozenset({429, 503})


def seconds(value: object) -> float | None:
    """A number of seconds, of any sensible size; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(float(value), 0.0), MAX_S)


def retry_after_s(headers: Mapping[str, str] | None) -> float | None:
    """The header `Retry-After` in seconds; None without one, and for one with a date."""
    text = "" if headers is None else headers.get("Retry-After", "").strip()
    return seconds(int(text)) if text.isascii() and text.isdigit() else None


class HeedfulSession:
    """An HTTP session that notes the `Retry-After` of an answer that says to come back later.

    The Engine.IO library tells of such an answer only that it was an error.
    """

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        # None unless the last answer had one.
        self.retry_after_s: float | None = None
        # Whether something answered the last request, and did not say to come back later.
        self.answered = False

    @property
    def closed(self) -> bool:
        return self._http.closed

    async def ws_connect(self, url: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        self.retry_after_s = None
        self.answered = False
        proxy = proxy_for(url.replace("ws", "http", 1))
        try:
            ws: aiohttp.ClientWebSocketResponse = await self._http.ws_connect(
                url, proxy=proxy, **options
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in _COME_BACK:
                self.retry_after_s = retry_after_s(error.headers)
            self.answered = error.status not in _COME_BACK
            raise
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientError, OSError):
            # Whatever hung up had been reached.
            self.answered = True
            raise
        self.answered = True
        return ws

    async def get(self, url: str, **options: Any) -> aiohttp.ClientResponse:
        return self._noted(await self._http.get(url, proxy=proxy_for(url), **options))

    async def post(self, url: str, **options: Any) -> aiohttp.ClientResponse:
        return self._noted(await self._http.post(url, proxy=proxy_for(url), **options))

    def _noted(self, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        come_back = response.status in _COME_BACK
        self.retry_after_s = retry_after_s(response.headers) if come_back else None
        return response
