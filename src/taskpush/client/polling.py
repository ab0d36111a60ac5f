"""Long polls cut to what the Engine.IO library reads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from taskpush.client.later import HeedfulSession

SEPARATOR: Final = b"\x1e"
"""Between the packets of a payload. Source: Engine.IO protocol, version 4."""
PACKETS_READ: Final = 16
"""`engineio.payload.Payload.max_decode_packets`: a payload with more breaks the connection.

It can only be changed for the whole process, where a server may rely on it.
"""


@dataclass(frozen=True, slots=True)
class Poll:
    """As much of an answer as the library looks at."""

    status: int
    body: bytes

    async def read(self) -> bytes:
        return self.body


class PollingSession:
    """An HTTP session that hands a poll's packets out over as many polls as they need."""

    def __init__(self, http: HeedfulSession) -> None:
        self._http = http
        self._waiting: deque[bytes] = deque()

    @property
    def closed(self) -> bool:
        return self._http.closed

    async def get(self, url: str, **options: Any) -> Poll | aiohttp.ClientResponse:
        """The next packets that wait, or else what the server answers."""
        if not self._waiting:
            response = await self._http.get(url, **options)
            if response.status != 200:
                return response
            self._waiting.extend(split(await response.read()))
        return Poll(200, self._waiting.popleft())

    async def post(self, url: str, **options: Any) -> aiohttp.ClientResponse:
        response = await self._http.post(url, **options)
        # The library does not, and would leave the connection unusable.
        await response.read()
        return response


def split(payload: bytes) -> list[bytes]:
    """The payload as payloads of at most `PACKETS_READ` packets; at least one, maybe empty."""
    packets = payload.split(SEPARATOR)
    return [
        SEPARATOR.join(packets[first : first + PACKETS_READ])
        for first in range(0, len(packets), PACKETS_READ)
    ]
