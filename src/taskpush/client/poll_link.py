"""The doors of polls, which wait at the server or here. Protocol section 3."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import quote

from typing_extensions import override

from taskpush.client.doors import Door
from taskpush.client.errors import BadAnswer
from taskpush.client.events import position_text
from taskpush.client.http_link import Blocked, Cut, HttpLink, Reply, Subscription, refused

WAIT_S: Final = 20.0
"""Shorter than the 30 s after which many proxies cut."""
EVERY_S: Final = 1.0
GATHER_S: Final = 0.25
"""Between the beginnings of two polls that wait: what comes meanwhile comes together."""
PAGE_ITEMS: Final = 200
_CUT_BY_A_PROXY: Final = frozenset({408, 502, 504})
_CUTS_IN_A_ROW: Final = 2


class PollLink(HttpLink):
    """Polls that are answered at once, each some time after the last."""

    door: ClassVar[Door] = "poll"

    @override
    async def follow(self, subscription: Subscription) -> None:
        if "feed" in subscription.payload:
            await self._follow_feed(subscription)
        else:
            await self._follow_task(subscription)

    async def next_page(self, path: str, query: dict[str, str]) -> Reply:
        """What there is after everything was read; raises `Cut` and `Blocked`."""
        return await self.get(path, query)

    async def rest(self, asked_at_s: float) -> None:
        """Wait before the next page, when the last was asked for at `asked_at_s` on the loop."""
        await asyncio.sleep(EVERY_S)

    async def _page(self, path: str, query: dict[str, str], last: _Last) -> Reply:
        """The next page: at once while there is more."""
        if last.more:
            return await self.get(path, query)
        await self.rest(last.asked_at_s)
        last.asked_at_s = asyncio.get_running_loop().time()
        return await self.next_page(path, query)

    async def _follow_feed(self, subscription: Subscription) -> None:
        feed = str(subscription.payload["feed"])
        after = subscription.payload.get("after")
        last = _Last()
        while True:
            query = {"feed": feed, "limit": str(PAGE_ITEMS)}
            if after is not None:
                query["after"] = str(after)
            reply = await self._page("/feed", query, last)
            if reply.status != 200:
                raise refused(reply)
            subscription.answer()
            subscription.steady.set()
            page = reply.body
            if page.get("tasks") or page.get("reset") or after is None:
                subscription.pass_on("active_tasks", {**page, "feed": feed})
            after, last.more = page.get("cursor"), page.get("more") is True

    async def _follow_task(self, subscription: Subscription) -> None:
        task_id = str(subscription.payload["task_id"])
        path = f"/tasks/{quote(task_id, safe='')}/events"
        snapshot = await self.snapshot(task_id)
        after = subscription.payload.get("after")
        at = position_text(snapshot["position"] if after == "now" else after)
        rev, last = 0, _Last()
        while True:
            query = {"limit": str(PAGE_ITEMS), "after": at or "0", "after_rev": str(rev)}
            reply = await self._page(path, query, last)
            if reply.status == 410:
                snapshot = await self.snapshot(task_id)
                at = position_text(snapshot["position"])
                _resync(subscription, task_id, snapshot, reply)
                continue
            if reply.status == 404 and subscription.answered:
                subscription.pass_on("task_deleted", {"task_id": task_id})
                return
            if reply.status != 200:
                raise refused(reply)
            page = reply.body
            items, volatile = _list(page, "items"), _list(page, "volatile")
            if not subscription.answered:
                subscription.answer(_start(at, items, snapshot), snapshot)
            subscription.steady.set()
            last.more = page.get("next") is not None
            for envelope in items if last.more else _merged(items, volatile):
                subscription.pass_on("task_update", envelope)
            at = position_text(page.get("position")) or at
            rev = max([rev, *(int(envelope.get("rev") or 0) for envelope in volatile)])


@dataclass(slots=True)
class _Last:
    """The page that a subscription was told last."""

    # Whether there is more at once; so there is before the first.
    more: bool = True
    # When it was asked for that waited, on the loop's clock.
    asked_at_s: float = -math.inf


class LongPollLink(PollLink):
    """Polls that wait at the server for the next event."""

    door: ClassVar[Door] = "long_poll"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cuts = 0

    @override
    async def rest(self, asked_at_s: float) -> None:
        # A poll that has waited longer is followed by the next one at once: who was idle is told
        # at once, and of what comes thick and fast several at a time.
        left_s = asked_at_s + GATHER_S - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)

    @override
    async def next_page(self, path: str, query: dict[str, str]) -> Reply:
        try:
            reply = await self.get(path, query | {"wait_s": f"{WAIT_S:g}"}, wait_s=WAIT_S)
        except Cut:
            return await self._after_cut(path, query)
        if reply.status in _CUT_BY_A_PROXY and reply.code is None:
            return await self._after_cut(path, query)
        self._cuts = 0
        return reply

    async def _after_cut(self, path: str, query: dict[str, str]) -> Reply:
        """Ask without waiting, which tells whether it was the waiting."""
        reply = await self.get(path, query)
        self._cuts += 1
        if self._cuts >= _CUTS_IN_A_ROW:
            raise Blocked
        return reply


def _start(
    at: str | None, items: list[dict[str, Any]], snapshot: dict[str, Any]
) -> dict[str, Any] | None:
    """Where the events of the first page begin; None where the session knows it."""
    if at is not None or not items:
        return snapshot["position"] if at is not None else None
    # Without an epoch: what had it may be gone.
    return {"epoch": "", "seq": int(items[0].get("seq") or 1) - 1}


def _resync(
    subscription: Subscription, task_id: str, snapshot: dict[str, Any], gone: Reply
) -> None:
    subscription.answer(snapshot=snapshot, mode="resync")
    told = {
        "task_id": task_id,
        "reason": str(gone.body.get("detail") or gone.code),
        "snapshot": snapshot,
        "position": snapshot["position"],
        "oldest": gone.body.get("oldest"),
    }
    subscription.pass_on("resync", told)


def _merged(items: list[dict[str, Any]], volatile: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Newest states come after the log, and before what ends the task."""
    if items and _ends(items[-1]):
        return [*items[:-1], *volatile, items[-1]]
    return [*items, *volatile]


def _ends(envelope: dict[str, Any]) -> bool:
    data = envelope.get("data")
    return isinstance(data, dict) and (
        data.get("final") is True or data.get("status") == "interrupted"
    )


def _list(page: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = page.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadAnswer(f"the server sent {name} that are none: {found!r:.80}")
    return found
