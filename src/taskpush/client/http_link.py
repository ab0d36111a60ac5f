"""What the three doors of plain HTTP share: requests, and a task for each subscription."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from taskpush.client.credential import Credential
from taskpush.client.door import LinkFailed, OnAnswer, Told
from taskpush.client.doors import Door
from taskpush.client.errors import BadAnswer, ClientError, RequestRefused
from taskpush.client.later import retry_after_s
from taskpush.client.proxies import proxy_for
from taskpush.client.unanswered import why_unanswered

PENDING_FOR_S: Final = 60.0
"""How long a task that does not exist is waited for. Source: protocol section 2."""
PENDING_PAUSE_S: Final = 1.0
_COME_BACK: Final = frozenset({429, 503})

Payload = Mapping[str, Any]


class Cut(Exception):
    """A request came to nothing, or an answer broke off."""


class Blocked(Exception):
    """What answers is something between, or it holds back what the server says."""


class Refused(Exception):
    """The server said no."""

    def __init__(self, error: RequestRefused) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request was answered."""

    status: int
    # The JSON object; empty when it was none.
    body: dict[str, Any]
    retry_after_s: float | None = None

    @classmethod
    async def of(cls, response: aiohttp.ClientResponse) -> Reply:
        """Read an answer."""
        later_s = retry_after_s(response.headers)
        return cls(response.status, _object(await response.read()), later_s)

    @property
    def code(self) -> str | None:
        """The code of a problem document; None for an answer that is not taskpush's."""
        code = self.body.get("code")
        return code if isinstance(code, str) else None

    def refusal(self) -> RequestRefused:
        """The error that it is."""
        return RequestRefused(
            self.code or ("server_full" if self.status in _COME_BACK else f"http_{self.status}"),
            status=self.status,
            detail=self.body.get("detail") or self.body.get("title"),
            retry_after=self.retry_after_s,
        )


class HttpLink(ABC):
    """A door whose subscriptions are requests of their own, each in an asyncio task."""

    door: ClassVar[Door]

    def __init__(
        self, server_url: str, credential: Credential, told: Told, *, timeout_s: float
    ) -> None:
        self.lost = asyncio.Event()
        self.dismissed = False
        self.blocked = False
        self._told = told
        self._timeout_s = timeout_s
        self._server_url = server_url
        self._credential = credential
        # No limit: every subscription holds a connection of its own.
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._proxy = proxy_for(server_url)
        # By what the subscription is for.
        self._running: dict[str, asyncio.Task[None]] = {}
        self._heard = False

    @property
    def barren(self) -> bool:
        return not self._heard

    async def open(self) -> None:
        """Look whether the server is there; raises `LinkFailed` and `RequestRefused`."""
        try:
            reply = await self.get("/limits")
        except Cut as cut:
            raise LinkFailed(str(cut)) from cut
        if reply.status in _COME_BACK:
            raise LinkFailed(str(reply.refusal()), retry_after_s=reply.retry_after_s or 0.0)
        if reply.status >= 400 and reply.code is not None:
            raise reply.refusal()
        if reply.status != 200 or "subscriptions" not in reply.body:
            raise LinkFailed(f"no taskpush answers there (status {reply.status})", blocked=True)

    def send(self, name: str, payload: object, on_answer: OnAnswer | None = None) -> None:
        if self.lost.is_set() or not isinstance(payload, Mapping):
            return
        key = str(payload.get("task_id") or payload.get("feed"))
        running = self._running.pop(key, None)
        if running is not None:
            running.cancel()
        if name == "subscribe" and on_answer is not None:
            subscription = Subscription(key, payload, on_answer, self._told)
            task = asyncio.create_task(self._run(subscription), name=f"taskpush-{self.door}-{key}")
            task.add_done_callback(partial(self._on_done, key))
            self._running[key] = task

    def abort(self) -> None:
        self.lost.set()

    async def close(self) -> None:
        self.lost.set()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        # What went wrong has been told.
        await asyncio.gather(*running, return_exceptions=True)
        await self._http.close()

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, *, wait_s: float = 0.0
    ) -> Reply:
        """Ask for JSON; raises `Cut` when no answer comes."""
        limits = aiohttp.ClientTimeout(total=self._timeout_s + wait_s)
        async with self.request(path, query, limits) as response:
            return await Reply.of(response)

    @asynccontextmanager
    async def request(
        self, path: str, query: Mapping[str, str] | None, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer to be read inside, where `Cut` is raised when it breaks off."""
        url = URL(f"{self._server_url}/api{path}").update_query(query or {})
        try:
            async with self._http.get(
                url, timeout=limits, headers=self._credential.headers, proxy=self._proxy
            ) as response:
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise Cut(why_unanswered(error)) from error

    async def snapshot(self, task_id: str) -> dict[str, Any]:
        """The task, which is waited for when it does not exist; raises `Refused` and `Cut`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PENDING_FOR_S
        while True:
            reply = await self.get(f"/tasks/{quote(task_id, safe='')}")
            if reply.status == 200 and isinstance(reply.body.get("position"), dict):
                return reply.body
            if reply.status != 404 or reply.code != "not_found" or loop.time() >= until:
                raise refused(reply)
            await asyncio.sleep(PENDING_PAUSE_S)

    @abstractmethod
    async def follow(self, subscription: Subscription) -> None:
        """Answer the subscription, and pass on what comes, until it is over."""

    async def _run(self, subscription: Subscription) -> None:
        try:
            await self.follow(subscription)
        except Refused as refusal:
            subscription.refuse(refusal.error)
        except Blocked:
            self.blocked = True
            self.lost.set()
        except Cut:
            if subscription.steady.is_set():
                self._told.on_cut(subscription.key)
            else:
                self.lost.set()
        finally:
            self._heard = self._heard or subscription.steady.is_set()

    def _on_done(self, key: str, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BadAnswer):
            self._told.on_failed(key, error)
        elif error is not None:
            # A bug, which must not leave a watch waiting.
            failure = ClientError(f"the client failed: {error!r}")
            failure.__cause__ = error
            self._told.on_failed(key, failure)


class Subscription:
    """What one subscription says, and to whom."""

    def __init__(self, key: str, payload: Payload, on_answer: OnAnswer, told: Told) -> None:
        self.key = key
        self.payload = payload
        self.answered = False
        # Whether the door has shown that it lets this through.
        self.steady = asyncio.Event()
        self._on_answer = on_answer
        self._told = told

    def answer(
        self, position: object = None, snapshot: object = None, *, mode: str = "replay"
    ) -> None:
        """Accept it, once."""
        if not self.answered:
            self.answered = True
            accepted = {"ok": True, "mode": mode, "position": position, "snapshot": snapshot}
            self._on_answer(accepted)

    def refuse(self, error: RequestRefused) -> None:
        """Say why it ends."""
        if self.answered:
            self._told.on_failed(self.key, error)
        else:
            self.answered = True
            said = {"ok": False, "code": error.code, "message": error.detail}
            self._on_answer(said | {"retry_after_s": error.retry_after})

    def pass_on(self, name: str, payload: object) -> None:
        """An event arrived."""
        self._told.on_event(name, payload)


def refused(reply: Reply) -> Exception:
    """What to raise for an answer that is not what was asked for."""
    if reply.code is not None or reply.status in _COME_BACK:
        return Refused(reply.refusal())
    # 502, 504: a proxy that finds no server; anything else is no word of taskpush's.
    return Cut(f"status {reply.status}")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
