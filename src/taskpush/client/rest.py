"""The REST door, over aiohttp: requests, retries where they are safe, errors."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import aiohttp
from aiohttp import ClientTimeout
from yarl import URL

from taskpush.client.credential import Credential
from taskpush.client.errors import BadAnswer, QueueFull, RequestRefused, ServerUnreachable
from taskpush.client.later import retry_after_s
from taskpush.client.patience import Contact, Patience
from taskpush.client.proxies import proxy_for
from taskpush.client.unanswered import why_unanswered
from taskpush.core.backoff import full_jitter_s
from taskpush.errors import FieldProblem

_NOTHING_DONE: Final = frozenset({429, 503})
"""The server, or a proxy that finds none, takes no (more) requests: nothing took effect."""
_FOR_THE_MOMENT: Final = _NOTHING_DONE | {502, 504}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered."""

    status: int
    # The JSON value; None when an error came without one.
    body: Any
    # Whether an earlier try of the same call may have taken effect.
    repeated: bool = False
    # When to try again, as the server said; None when it did not.
    retry_after_s: float | None = None

    def accepted(self) -> Any:
        """The body; raises `RequestRefused` when the answer is an error."""
        if self.status >= 400:
            raise self.refusal()
        return self.body

    def refusal(self) -> RequestRefused:
        """The error that the answer is: a problem as RFC 9457 has it, with a code."""
        problem = self.problem
        if self.is_full:
            return QueueFull(
                retry_after=_seconds(problem.get("retry_after")), detail=problem.get("detail")
            )
        return RequestRefused(
            str(problem.get("code") or f"http_{self.status}"),
            status=self.status,
            detail=problem.get("detail") or problem.get("title"),
            errors=[
                _field_problem(found)
                for found in problem.get("errors") or ()
                if isinstance(found, dict)
            ],
            retry_after=self.retry_after_s,
        )

    @property
    def is_full(self) -> bool:
        """Whether there was no room in the kind's queue, which the caller is to know at once."""
        return self.problem.get("code") == "queue_full"

    @property
    def problem(self) -> dict[str, Any]:
        """The body when it is an object, else an empty one."""
        return self.body if isinstance(self.body, dict) else {}


@dataclass(frozen=True, slots=True)
class _NoAnswer:
    why: str
    # Whether the server may have acted all the same.
    maybe_done: bool


class Rest:
    """Calls below `<server_url>/api`, over one pool of connections."""

    def __init__(
        self, server_url: str, patience: Patience, contact: Contact, credential: Credential
    ) -> None:
        self._server_url = server_url
        self._proxy = proxy_for(server_url)
        self._credential = credential
        self._patience = patience
        self._contact = contact
        # None until the first call, since a session belongs to a running loop.
        self._http: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Make a call; `path` starts below `/api`.

        It is tried again for `patience.retry_for_s` when it certainly did not take effect, or
        when it is `repeatable`. Raises `ServerUnreachable` when nothing answers, `BadAnswer`
        when what answers is no taskpush server.
        """
        url = self._url(path, query)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience.retry_for_s
        sent = {"json": body, "timeout": ClientTimeout(total=self._patience.request_timeout_s)}
        outcome = await self._try(method, url, sent, repeated=False)
        repeated = False
        for failures in itertools.count(1):
            # When the server said, and not all at once.
            pause_s = _told_s(outcome) + full_jitter_s(failures, random.random)
            if not self._try_again(outcome, repeatable) or loop.time() + pause_s > deadline:
                break
            repeated = repeated or _maybe_done(outcome)
            await asyncio.sleep(pause_s)
            outcome = await self._try(method, url, sent, repeated=repeated)
        return self._answer(outcome)

    async def send_file(
        self,
        method: str,
        path: str,
        content: AsyncIterable[bytes] | bytes | BinaryIO,
        media_type: str,
        *,
        query: Mapping[str, str],
    ) -> Answer:
        """Send a file, once; it may take as long as it takes while bytes go out.

        Raises as `call`.
        """
        silence_s = self._patience.request_timeout_s
        sent = {
            "data": content,
            "headers": {"Content-Type": media_type},
            "timeout": ClientTimeout(total=None, sock_connect=silence_s, sock_read=silence_s),
        }
        return self._answer(await self._try(method, self._url(path, query), sent, repeated=False))

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        return URL(f"{self._server_url}/api{path}").update_query(query or {})

    def _answer(self, outcome: Answer | _NoAnswer) -> Answer:
        if isinstance(outcome, _NoAnswer):
            raise ServerUnreachable(f"no answer from {self._server_url}: {outcome.why}")
        return outcome

    def _try_again(self, outcome: Answer | _NoAnswer, repeatable: bool) -> bool:
        if isinstance(outcome, Answer) and (
            outcome.status not in _FOR_THE_MOMENT or outcome.is_full
        ):
            return False
        return self._contact.made and (repeatable or not _maybe_done(outcome))

    async def _try(
        self, method: str, url: URL, sent: Mapping[str, Any], *, repeated: bool
    ) -> Answer | _NoAnswer:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        try:
            headers = {**sent.get("headers", {}), **self._credential.headers}
            async with self._http.request(
                method, url, proxy=self._proxy, **{**sent, "headers": headers}
            ) as response:
                raw = await response.read()
        except aiohttp.ClientConnectorError as error:
            return _NoAnswer(why_unanswered(error), maybe_done=False)
        except TimeoutError:
            silence_s = self._patience.request_timeout_s
            return _NoAnswer(f"none within {silence_s:g} s", maybe_done=True)
        except aiohttp.ClientError as error:
            return _NoAnswer(why_unanswered(error), maybe_done=True)
        self._contact.made = True
        later_s = retry_after_s(response.headers)
        return Answer(response.status, _parsed(raw, response), repeated, later_s)


def _field_problem(found: dict[str, Any]) -> FieldProblem:
    kind, ctx = found.get("type"), found.get("ctx")
    return FieldProblem(
        str(found.get("loc", "")),
        str(found.get("message", "")),
        type=kind if isinstance(kind, str) else None,
        ctx=ctx if isinstance(ctx, dict) else {},
    )


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 1.0


def _told_s(outcome: Answer | _NoAnswer) -> float:
    told_s = outcome.retry_after_s if isinstance(outcome, Answer) else None
    return 0.0 if told_s is None else told_s


def _maybe_done(outcome: Answer | _NoAnswer) -> bool:
    if isinstance(outcome, Answer):
        return outcome.status not in _NOTHING_DONE
    return outcome.maybe_done


def _parsed(raw: bytes, response: aiohttp.ClientResponse) -> Any:
    if "json" in response.content_type:
        try:
            return json.loads(raw)
        except ValueError:
            pass
    if response.status >= 400 or not raw:
        return None
    raise BadAnswer(f"{response.url} answered {response.content_type}, not JSON")
