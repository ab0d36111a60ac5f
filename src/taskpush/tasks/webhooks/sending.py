"""One request to a receiver: nothing that it does may hold, fill or mislead the server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override
from yarl import URL

from taskpush.access.destinations import Destinations
from taskpush.access.webhook_secrets import SecretProblem, WebhookSecrets
from taskpush.clock import Clock
from taskpush.core.webhooks import Answer, retry_after_of, signed_headers
from taskpush.errors import TaskPushError
from taskpush.models.task import LoggedEvent

MAX_ANSWER_BYTES: Final = 16 * 1024
"""What is read of an answer, of which the status alone counts."""
RESOLVER_THREADS: Final = 4
NOT_ALLOWED: Final = "the address is not allowed"


class _Refused(OSError):
    """The name resolved to an address that may not be connected to."""


class Sender:
    """Sends events. Made and used in one event loop, and closed in the end."""

    def __init__(
        self,
        destinations: Destinations,
        secrets: WebhookSecrets,
        clock: Clock,
        *,
        user_agent: str,
        timeout_s: float,
    ) -> None:
        self._destinations = destinations
        self._secrets = secrets
        self._clock = clock
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._resolver = _Resolver()
        # By whether the host is listed, and may resolve to whatever it likes.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def send(self, url: str, event: LoggedEvent) -> Answer:
        """Post the event's envelope, signed; any failure is an answer, too.

        Redirects are not followed: where they lead to was not checked.
        """
        now = self._clock.now()
        try:
            # What is allowed may have changed since the task was created.
            self._destinations.check(url)
            headers = signed_headers(self._secrets.keys(), event, now)
            session = self._session(self._destinations.lists(urlsplit(url).hostname or ""))
            async with session.post(
                URL(url), data=event.body, headers=headers, allow_redirects=False
            ) as answer:
                retry_after = retry_after_of(answer.headers.get("Retry-After"), now)
                await _read_some(answer)
                return Answer(answer.status, retry_after=retry_after)
        except TaskPushError as error:
            return Answer(None, error.detail)
        except SecretProblem:
            return Answer(None, "the server cannot sign")
        except TimeoutError:
            return Answer(None, f"no answer within {self._timeout.total:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, _told(error))

    async def close(self) -> None:
        """End what is under way."""
        for session in self._sessions.values():
            await session.close()
        await self._resolver.close()

    def _session(self, listed: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(listed)
        if session is None:
            connector = aiohttp.TCPConnector(
                # Every connection is looked at, just before it is made.
                socket_factory=_open_socket if listed else self._guarded,
                resolver=self._resolver,
                use_dns_cache=False,
                force_close=True,
                limit=0,
            )
            session = self._sessions[listed] = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent, "Content-Type": "application/json"},
                auto_decompress=False,
                trust_env=False,
            )
        return session

    def _guarded(self, found: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that a name resolved to; raises when it may not be reached.

        Nothing is resolved between here and the connection, so no name can be made to mean
        something else in between.
        """
        address = found[4][0]
        if not self._destinations.permits(address):
            raise _Refused(NOT_ALLOWED)
        return _open_socket(found)


class _Resolver(AbstractResolver):
    """Resolves in threads of its own: a name that takes its time holds up nobody else's work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            RESOLVER_THREADS, thread_name_prefix="taskpush-webhook-names"
        )

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, address in await loop.run_in_executor(self._threads, ask)
        ]

    @override
    async def close(self) -> None:
        # Whoever is being asked cannot be interrupted, and is not waited for.
        self._threads.shutdown(wait=False, cancel_futures=True)


def _open_socket(found: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol = found[:3]
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    return opened


async def _read_some(answer: aiohttp.ClientResponse) -> None:
    """Let a receiver finish what it says, as long as it is short."""
    left = MAX_ANSWER_BYTES
    async for chunk in answer.content.iter_any():
        left -= len(chunk)
        if left <= 0:
            return


def _told(error: Exception) -> str:
    """Why there was no answer, in words that say nothing of the network around the server."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _Refused):
            return NOT_ALLOWED
        if isinstance(cause, ssl.SSLError | ssl.CertificateError):
            return "no trusted TLS connection"
        if isinstance(cause, socket.gaierror):
            return "the name does not resolve"
        cause = getattr(cause, "os_error", None) or cause.__cause__ or cause.__context__
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    return "the connection broke"
