"""The connection that a client's watches share: opened when needed, reopened when lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from taskpush.client.credential import Credential
from taskpush.client.errors import ClientError, RequestRefused, ServerUnreachable
from taskpush.client.later import seconds
from taskpush.client.link import Link, LinkFailed, open_link
from taskpush.client.patience import Contact, Patience
from taskpush.client.session import Subscribe, Unsubscribe
from taskpush.core.backoff import full_jitter_s

MAX_WATCHES: Final = 100
"""Watches per connection; below the server's limit of subscriptions."""
ANSWER_WITHIN_S: Final = 20.0
"""A server that does not answer `subscribe` for so long is treated as lost."""
CONNECT_WITHIN_S: Final = 10.0
STEADY_AFTER_S: Final = 5.0
"""A connection that lasted so long was a good one: the next failure is the first in a row."""

Item_co = TypeVar("Item_co", covariant=True)

OnChange = Callable[[bool], None]
"""Is told whether there is a connection now. Must not block or raise."""


class Session(Protocol[Item_co]):
    """What is watched, as a value that knows neither the link nor the clock."""

    failure: ClientError | None

    @property
    def key(self) -> str: ...

    @property
    def farewell(self) -> dict[str, Any]: ...

    @property
    def over(self) -> bool: ...

    def take(self) -> Item_co | None: ...

    def next_request(self) -> Subscribe | Unsubscribe | None: ...

    def awaits(self, number: int) -> bool: ...

    def link_up(self) -> None: ...

    def link_down(self) -> None: ...

    def answered(self, number: int, answer: object) -> None: ...

    def receive(self, name: str, payload: dict[str, Any]) -> None: ...

    def fail(self, error: ClientError) -> None: ...


class Watch(Generic[Item_co]):
    """An asynchronous iterator over one session's items; ends when the session is over.

    Raises what ended the session when that was an error.
    """

    def __init__(self, session: Session[Item_co], connection: Connection) -> None:
        self.session = session
        self.changed = asyncio.Event()
        self._connection = connection

    def __aiter__(self) -> Watch[Item_co]:
        return self

    async def __anext__(self) -> Item_co:
        while True:
            item = self.session.take()
            if item is not None:
                self._connection.flush(self)
                return item
            if self.session.failure is not None:
                raise self.session.failure
            if self.session.over:
                raise StopAsyncIteration
            self.changed.clear()
            await self.changed.wait()

    def close(self) -> None:
        """Stop watching; closing twice is the same as once."""
        self._connection.remove(self)


class Connection:
    """One link at a time to the server, and the watches that use it, one per task or feed.

    It stays open while anything is watched and is then left as it is. Its one asyncio task ends
    with `close`.
    """

    def __init__(
        self,
        server_url: str,
        patience: Patience,
        contact: Contact,
        credential: Credential,
        on_change: OnChange,
    ) -> None:
        self._server_url = server_url
        self._credential = credential
        self._patience = patience
        self._contact = contact
        self._on_change = on_change
        # By what their sessions are found by.
        self._watches: dict[str, Watch[Any]] = {}
        self._openers: list[asyncio.Future[None]] = []
        self._needed = asyncio.Event()
        # None while there is no connection.
        self._link: Link | None = None
        # What the server said last about the connection as a whole; None when nothing.
        self._refusal: RequestRefused | None = None
        self._failures = 0
        # Until when the server wants to be asked for nothing over this link.
        self._hushed_until = 0.0
        self._keeper = asyncio.create_task(self._keep(), name="taskpush-connection")
        self._keeper.add_done_callback(self._on_keeper_done)

    def has_room_for(self, key: str) -> bool:
        """Whether it can be watched here: the server keeps one cursor per connection."""
        return key not in self._watches and len(self._watches) < MAX_WATCHES

    async def open(self) -> None:
        """Wait for the connection; raises `ServerUnreachable` or `RequestRefused`."""
        if self._link is not None:
            return
        opener: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._openers.append(opener)
        self._needed.set()
        await opener

    def add(self, session: Session[Item_co]) -> Watch[Item_co]:
        """Watch what the session wants."""
        watch = Watch(session, self)
        self._watches[session.key] = watch
        self._needed.set()
        if self._link is not None:
            session.link_up()
            self.flush(watch)
        return watch

    def remove(self, watch: Watch[Any]) -> None:
        """Forget a watch, and tell the server."""
        key = watch.session.key
        if self._watches.get(key) is watch:
            del self._watches[key]
            if self._link is not None:
                self._link.send("unsubscribe", watch.session.farewell)

    def flush(self, watch: Watch[Any]) -> None:
        """Send what the watch's session asks for."""
        link = self._link
        while link is not None and (request := watch.session.next_request()) is not None:
            match request:
                case Unsubscribe(payload):
                    link.send("unsubscribe", payload)
                case Subscribe(failures=failures):
                    loop = asyncio.get_running_loop()
                    told_s = max(0.0, self._hushed_until - loop.time())
                    pause_s = told_s + full_jitter_s(failures, random.random)
                    later = partial(self._subscribe, link, watch, request)
                    loop.call_later(pause_s, later)

    async def close(self) -> None:
        """End the connection and every watch on it."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)

    def _on_keeper_done(self, keeper: asyncio.Task[None]) -> None:
        # It ends by `close`; anything else is a bug, which must not leave watches waiting.
        error = ClientError("the client was closed")
        error.__cause__ = None if keeper.cancelled() else keeper.exception()
        self._fail_all(error)

    # ------------------------------------------------------------ keeping it up

    async def _keep(self) -> None:
        while True:
            await self._needed.wait()
            try:
                await self._serve(await self._reach())
            except ClientError as error:
                self._fail_all(error)
            if not self._watches:
                self._needed.clear()

    async def _reach(self) -> Link:
        """Open a link, trying as long as the client's patience lasts."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        later_s = 0.0
        while True:
            await asyncio.sleep(later_s + full_jitter_s(self._failures, random.random))
            try:
                return await open_link(
                    self._server_url,
                    self._on_event,
                    auth=self._credential.auth,
                    timeout_s=CONNECT_WITHIN_S,
                )
            except LinkFailed as error:
                self._failures += 1
                if error.retry_after_s is not None:
                    # It is there, and takes no more for the moment.
                    self._contact.made = True
                later_s = error.retry_after_s or 0.0
                if not self._contact.made or self._waited_enough(loop.time() - began):
                    raise ServerUnreachable(
                        f"no connection to {self._server_url}: {error}"
                    ) from error

    def _waited_enough(self, elapsed_s: float) -> bool:
        limit_s = self._patience.reconnect_for_s
        return limit_s is not None and elapsed_s >= limit_s

    async def _serve(self, link: Link) -> None:
        """Use the link until it is lost; raises when the server said not to come back."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            self._begin(link)
            await link.lost.wait()
        finally:
            self._link = None
            for watch in self._watches.values():
                watch.session.link_down()
            self._on_change(False)
            await link.close()
        self._failures = 0 if loop.time() - began >= STEADY_AFTER_S else self._failures + 1
        if link.dismissed and not self._may_come_back:
            raise self._refusal or RequestRefused("disconnected", detail="The server hung up")

    @property
    def _may_come_back(self) -> bool:
        """Whether there may be another token now than the one that has ended."""
        ended = self._refusal is not None and self._refusal.code == "access_ended"
        return ended and self._credential.renewable

    def _begin(self, link: Link) -> None:
        self._contact.made = True
        self._refusal = None
        self._hushed_until = 0.0
        self._link = link
        self._on_change(True)
        for opener in self._openers:
            if not opener.done():
                opener.set_result(None)
        self._openers.clear()
        for watch in tuple(self._watches.values()):
            watch.session.link_up()
            self.flush(watch)

    def _fail_all(self, error: ClientError) -> None:
        for opener in self._openers:
            if not opener.done():
                opener.set_exception(error)
        self._openers.clear()
        for watch in self._watches.values():
            watch.session.fail(error)
            watch.changed.set()
        self._watches.clear()

    # ------------------------------------------------------------ what is said over it

    def _subscribe(self, link: Link, watch: Watch[Any], request: Subscribe) -> None:
        if not self._waits_for(link, watch, request.number):
            return
        link.send("subscribe", request.payload, partial(self._on_answer, watch, request.number))
        give_up = partial(self._give_up, link, watch, request.number)
        asyncio.get_running_loop().call_later(ANSWER_WITHIN_S, give_up)

    def _on_answer(self, watch: Watch[Any], number: int, answer: object = None) -> None:
        told_s = seconds(answer.get("retry_after_s")) if isinstance(answer, dict) else None
        if told_s is not None:
            self._hushed_until = asyncio.get_running_loop().time() + told_s
        watch.session.answered(number, answer)
        self._moved(watch)

    def _give_up(self, link: Link, watch: Watch[Any], number: int) -> None:
        if self._waits_for(link, watch, number):
            link.abort()

    def _waits_for(self, link: Link, watch: Watch[Any], number: int) -> bool:
        present = self._watches.get(watch.session.key) is watch and self._link is link
        return present and watch.session.awaits(number)

    def _on_event(self, name: str, payload: object) -> None:
        if not isinstance(payload, dict):
            return
        if name == "error" and "task_id" not in payload:
            message = str(payload.get("message") or "")
            self._refusal = RequestRefused(str(payload.get("code")), detail=message)
        watch = self._watches.get(str(payload.get("task_id") or payload.get("feed")))
        if watch is None:
            return
        watch.session.receive(name, payload)
        self._moved(watch)

    def _moved(self, watch: Watch[Any]) -> None:
        self.flush(watch)
        watch.changed.set()
