"""The connection that a client's watches share: opened when needed, reopened when lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

from taskpush.client.credential import Credential
from taskpush.client.door import Link, LinkFailed
from taskpush.client.doors import Door
from taskpush.client.errors import ClientError, RequestRefused, ServerUnreachable
from taskpush.client.health import Health
from taskpush.client.later import seconds
from taskpush.client.opening import Opener
from taskpush.client.patience import Contact, Patience
from taskpush.client.session import Subscribe, Unsubscribe
from taskpush.client.watching import Item_co, Session, Watch
from taskpush.core.backoff import full_jitter_s

MAX_WATCHES: Final = 100
"""Watches per connection; below the server's limit of subscriptions."""
ANSWER_WITHIN_S: Final = 20.0
"""A server that does not answer `subscribe` for so long is treated as lost."""
BARREN_LINKS: Final = 2
"""Links in a row that were lost before anything came: the door is not passed."""
STEADY_AFTER_S: Final = 5.0
"""A connection that lasted so long was a good one: the next failure is the first in a row."""

OnChange = Callable[[bool], None]
"""Is told whether there is a connection now. Must not block or raise."""


class Connection:
    """One link at a time to the server, and the watches that use it, one per task or feed.

    It stays open while anything is watched and is then left as it is. Its one asyncio task ends
    with `close`.
    """

    def __init__(
        self,
        opener: Opener,
        patience: Patience,
        contact: Contact,
        credential: Credential,
        health: Health,
        on_change: OnChange,
    ) -> None:
        self._opener = opener
        self._credential = credential
        self._patience = patience
        self._contact = contact
        self._health = health
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
        self._closing = False
        # How many links in a row were lost before anything came over them.
        self._barren = 0
        # The door that was not passed last time; None when there is none.
        self._avoid: Door | None = None
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
                    pause_s = told_s + full_jitter_s(max(failures, watch.cuts), random.random)
                    later = partial(self._subscribe, link, watch, request)
                    loop.call_later(pause_s, later)

    async def close(self) -> None:
        """End the connection and every watch on it."""
        self._closing = True
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)

    def _on_keeper_done(self, keeper: asyncio.Task[None]) -> None:
        # It ends by `close`; anything else is a bug, which must not leave watches waiting.
        self._health.ended(self)
        error = ClientError("the client was closed")
        error.__cause__ = None if keeper.cancelled() else keeper.exception()
        self._fail_all(error)

    # ------------------------------------------------------------ keeping it up

    async def _keep(self) -> None:
        while True:
            await self._needed.wait()
            try:
                link: Link | None = await self._reach()
                while link is not None:
                    link = await self._serve(link)
            except ClientError as error:
                self._health.ended(self)
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
                return await self._opener.open(self, avoid=self._avoid)
            except LinkFailed as error:
                self._failures += 1
                self._avoid = None
                if error.retry_after_s is not None:
                    # It is there, and takes no more for the moment.
                    self._contact.made = True
                later_s = error.retry_after_s or 0.0
                if not self._contact.made or self._waited_enough(loop.time() - began):
                    raise ServerUnreachable(
                        f"no connection to {self._opener.server_url}: {error}"
                    ) from error

    def _waited_enough(self, elapsed_s: float) -> bool:
        limit_s = self._patience.reconnect_for_s
        return limit_s is not None and elapsed_s >= limit_s

    async def _serve(self, link: Link) -> Link | None:
        """Use the link until it is lost, or a better one is there, which is given.

        Raises when the server said not to come back.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        better: Link | None = None
        try:
            self._begin(link)
            better = await self._until_better(link)
        finally:
            self._link = None
            for watch in self._watches.values():
                watch.session.link_down()
            if better is None:
                if not self._closing:
                    self._health.lost(self)
                self._on_change(False)
            await link.close()
        if better is not None:
            return better
        self._failures = 0 if loop.time() - began >= STEADY_AFTER_S else self._failures + 1
        self._barren = self._barren + 1 if link.barren else 0
        blocked = link.blocked or self._barren >= BARREN_LINKS
        self._avoid = link.door if blocked else None
        if link.blocked:
            # What comes next is another door, not a server that has to recover.
            self._failures = 0
        if link.dismissed and not self._may_come_back:
            raise self._refusal or RequestRefused("disconnected", detail="The server hung up")
        return None

    async def _until_better(self, link: Link) -> Link | None:
        """Until the link is lost, or a better door has opened, whose link is given."""
        lost = asyncio.create_task(link.lost.wait(), name="taskpush-link-lost")
        try:
            while not lost.done():
                pause_s = self._opener.better_in_s(link.door)
                await asyncio.wait({lost}, timeout=pause_s)
                if not lost.done():
                    better = await self._climb(link, lost)
                    if better is not None:
                        return better
        finally:
            lost.cancel()
        return None

    async def _climb(self, link: Link, lost: asyncio.Task[Literal[True]]) -> Link | None:
        """Try the better doors, unless the link is lost first."""
        sample = next((watch.session.subscription for watch in self._watches.values()), None)
        trial = asyncio.create_task(
            self._opener.open_better(link.door, self, sample), name="taskpush-better-door"
        )
        try:
            await asyncio.wait({lost, trial}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _dismiss(trial)
            raise
        if trial.done():
            return trial.result()
        await _dismiss(trial)
        return None

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
        self._health.live(self, link.door)
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

    def on_event(self, name: str, payload: object) -> None:
        if not isinstance(payload, dict):
            return
        if name == "error" and "task_id" not in payload:
            message = str(payload.get("message") or "")
            self._refusal = RequestRefused(str(payload.get("code")), detail=message)
        watch = self._watches.get(str(payload.get("task_id") or payload.get("feed")))
        if watch is None:
            return
        watch.cuts = 0
        watch.session.receive(name, payload)
        self._moved(watch)

    def on_cut(self, key: str) -> None:
        watch = self._watches.get(key)
        if watch is not None:
            watch.cuts += 1
            watch.session.link_down()
            watch.session.link_up()
            self._moved(watch)

    def on_failed(self, key: str, error: ClientError) -> None:
        watch = self._watches.get(key)
        if watch is None:
            return
        ended = isinstance(error, RequestRefused) and error.code == "access_ended"
        if ended and self._credential.renewable:
            self.on_cut(key)
        else:
            watch.session.fail(error)
            self._moved(watch)

    def _moved(self, watch: Watch[Any]) -> None:
        self.flush(watch)
        watch.changed.set()


async def _dismiss(trial: asyncio.Task[Link | None]) -> None:
    """End a trial that is not wanted any more, and what it may have opened."""
    trial.cancel()
    opened = (await asyncio.gather(trial, return_exceptions=True))[0]
    if opened is not None and not isinstance(opened, BaseException):
        await opened.close()
