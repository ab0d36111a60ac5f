"""The public keys that JWTs are checked with, from a JWKS document that may change under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
import orjson

from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import JwksUnreadable

REFRESH_EVERY_S: Final = 300.0
"""A key that its issuer has withdrawn is good for no longer than so."""
ASK_AT_MOST_EVERY_S: Final = 15.0
"""However many tokens come with keys that are not known."""
KEEP_FOR_S: Final = 3600.0
"""While the document cannot be read: longer, nobody is let in by keys of that age."""
MAX_KEYS: Final = 100
MAX_BYTES: Final = 1024 * 1024
FETCH_WITHIN_S: Final = 5.0
MAX_KID: Final = 200

Fetch = Callable[[], Awaitable[bytes]]


def fetch_from(source: str) -> Fetch:
    """How to read the document at an address, or in a file."""

    async def from_web() -> bytes:
        timeout = aiohttp.ClientTimeout(total=FETCH_WITHIN_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            # Where it redirects to was not configured.
            http.get(source, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"answered {answer.status}")
            return await _at_most(answer.content, MAX_BYTES)

    async def from_file() -> bytes:
        return await asyncio.to_thread(Path(source).read_bytes)

    return from_web if source.startswith(("http://", "https://")) else from_file


class Jwks:
    """Keys by their `kid`. Read again when they are old, and when a key is asked for that is not
    there; one reading at a time, and never more often than every `ask_at_most_every_s`.
    """

    def __init__(
        self,
        fetch: Fetch,
        algorithms: Sequence[str],
        telemetry: Telemetry,
        monotonic: Callable[[], float],
        *,
        refresh_every_s: float = REFRESH_EVERY_S,
        ask_at_most_every_s: float = ASK_AT_MOST_EVERY_S,
    ) -> None:
        self._fetch = fetch
        self._algorithms = tuple(algorithms)
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._refresh_every_s = refresh_every_s
        self._ask_at_most_every_s = ask_at_most_every_s
        self._keys: dict[tuple[str | None, str], Any] = {}
        # None until it was asked for, or read.
        self._asked_at: float | None = None
        self._read_at: float | None = None
        # None while nobody asks.
        self._asking: asyncio.Task[None] | None = None

    async def key(self, kid: str | None, algorithm: str) -> Any | None:
        """The key of that name, for that algorithm; None when there is none.

        Without a name, the only key that there is for the algorithm.
        """
        if kid is not None and len(kid) > MAX_KID:
            return None
        if self._older_than(self._refresh_every_s):
            # The first reading is waited for. Later ones are not: what there is will do meanwhile.
            asking = self._ask()
            if asking is not None and self._older_than(KEEP_FOR_S):
                await asyncio.shield(asking)
        found = self._find(kid, algorithm)
        if found is None and (asking := self._ask()) is not None:
            await asyncio.shield(asking)
            found = self._find(kid, algorithm)
        return found

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _find(self, kid: str | None, algorithm: str) -> Any | None:
        if self._older_than(KEEP_FOR_S):
            return None
        if kid is not None:
            return self._keys.get((kid, algorithm))
        fitting = [key for (_, fits), key in self._keys.items() if fits == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def _older_than(self, age_s: float) -> bool:
        return self._read_at is None or self._monotonic() - self._read_at > age_s

    def _ask(self) -> asyncio.Task[None] | None:
        """The reading under way, or a new one; None when the last one is too recent."""
        if self._asking is None:
            now = self._monotonic()
            if self._asked_at is not None and now - self._asked_at < self._ask_at_most_every_s:
                return None
            self._asked_at = now
            self._asking = asyncio.create_task(self._read(), name="taskpush-jwks")
        return self._asking

    async def _read(self) -> None:
        try:
            self._keys = _keys_of(await self._fetch(), self._algorithms)
            self._read_at = self._monotonic()
        except (OSError, aiohttp.ClientError, ValueError, TimeoutError) as error:
            self._telemetry.emit(JwksUnreadable(str(error) or type(error).__name__))
        finally:
            self._asking = None


def _keys_of(content: bytes, algorithms: Sequence[str]) -> dict[tuple[str | None, str], Any]:
    """The keys that can be used, by their name and each algorithm; raises `ValueError`."""
    document = orjson.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is no JWKS document")
    keys: dict[tuple[str | None, str], Any] = {}
    for entry in listed[:MAX_KEYS]:
        for algorithm in algorithms:
            key = _key_of(entry, algorithm)
            if key is not None:
                keys[entry.get("kid"), algorithm] = key
    return keys


def _key_of(entry: object, algorithm: str) -> Any | None:
    """The entry as a key for the algorithm; None when it is not for that, or for signatures."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(entry.get("kid"), str | None):
        return None
    # A shared secret has no place in a document that everybody may read.
    family = {"RS": "RSA", "PS": "RSA", "ES": "EC"}[algorithm[:2]]
    if entry.get("kty") != family or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        return jwt.PyJWK(entry, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None


async def _at_most(stream: aiohttp.StreamReader, limit: int) -> bytes:
    content = b""
    async for chunk in stream.iter_any():
        content += chunk
        if len(content) > limit:
            raise ValueError(f"more than {limit} bytes")
    return content
