"""The door of Server-Sent Events: a stream for each subscription. Protocol section 3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Final
from urllib.parse import quote

import aiohttp
from typing_extensions import override

from taskpush.client.doors import Door
from taskpush.client.errors import ClientError, RequestRefused
from taskpush.client.event_stream import Block, BlockReader
from taskpush.client.events import parse_text, position_text
from taskpush.client.http_link import (
    Blocked,
    Cut,
    HttpLink,
    Payload,
    Refused,
    Reply,
    Subscription,
    refused,
)
from taskpush.client.later import seconds
from taskpush.models.position import START, WirePosition

BUFFERED_AFTER_S: Final = 2.0
"""A stream that has not caught up and is silent for so long is held back on its way."""
LOST_AFTER_S: Final = 40.0
"""The server says something every 15 s."""
_FOR_EVER: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)


class SseLink(HttpLink):
    """Streams, each of which has to show that nothing holds it back."""

    door: ClassVar[Door] = "sse"

    async def passes(self, payload: Payload) -> bool:
        """Whether a stream of this subscription catches up; what it says is not passed on."""
        trial = Subscription("", payload, _ignore, _Nobody())
        following = asyncio.create_task(self.follow(trial), name="taskpush-sse-trial")
        steady = asyncio.create_task(trial.steady.wait(), name="taskpush-sse-trial-steady")
        try:
            await asyncio.wait(
                {following, steady},
                timeout=self._timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            following.cancel()
            steady.cancel()
            # How it ended does not matter.
            await asyncio.gather(following, steady, return_exceptions=True)
        return trial.steady.is_set()

    @override
    async def follow(self, subscription: Subscription) -> None:
        if "feed" in subscription.payload:
            await self._follow_feed(subscription)
        else:
            await self._follow_task(subscription)

    async def _follow_feed(self, subscription: Subscription) -> None:
        def take(block: Block) -> None:
            subscription.answer()
            if block.name is not None:
                subscription.pass_on(block.name, block.data)
                if block.name != "active_tasks" or _member(block, "more") is False:
                    subscription.steady.set()

        payload = subscription.payload
        query = {"feed": str(payload["feed"])} | _after(payload.get("after"))
        await self._read("/stream", query, subscription, take)

    async def _follow_task(self, subscription: Subscription) -> None:
        task_id = str(subscription.payload["task_id"])
        snapshot = await self.snapshot(task_id)
        head = snapshot["position"]
        after = subscription.payload.get("after")
        asked = position_text(head if after == "now" else after)

        def take(block: Block) -> None:
            if not subscription.answered:
                _answer(subscription, block, snapshot)
            if block.name == "resync" or _reached(block) >= head["seq"]:
                subscription.steady.set()
            if block.name is not None:
                subscription.pass_on(block.name, block.data)

        path = f"/tasks/{quote(task_id, safe='')}/stream"
        if not await self._read(path, _after(asked), subscription, take):
            subscription.answer(_position(asked), snapshot)

    async def _read(
        self,
        path: str,
        query: dict[str, str],
        subscription: Subscription,
        take: Callable[[Block], None],
    ) -> bool:
        """Read a stream until it breaks off, which raises; False when there is nothing to come."""
        reader, loop = BlockReader(), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(BUFFERED_AFTER_S) as silence:
                async with self.request(path, query, _FOR_EVER) as response:
                    if response.status == 204:
                        return False
                    if response.status != 200 or response.content_type != "text/event-stream":
                        raise await _no_stream(response)
                    while chunk := await response.content.readany():
                        for block in reader.feed(chunk):
                            if block.name == "error":
                                raise Refused(_said(block.data))
                            take(block)
                        steady = subscription.steady.is_set()
                        limit_s = LOST_AFTER_S if steady else BUFFERED_AFTER_S
                        silence.reschedule(loop.time() + limit_s)
        except TimeoutError:
            raise Cut("silence") if subscription.steady.is_set() else Blocked() from None
        raise Cut("the stream ended")


class _Nobody:
    """Is told what a trial says."""

    def on_event(self, name: str, payload: object) -> None:
        pass

    def on_cut(self, key: str) -> None:
        pass

    def on_failed(self, key: str, error: ClientError) -> None:
        pass


def _ignore(answer: object) -> None:
    del answer


async def _no_stream(response: aiohttp.ClientResponse) -> Exception:
    reply = await Reply.of(response)
    cause = refused(reply)
    # Nothing that takes a stream for what it is answers so.
    return cause if isinstance(cause, Refused) or reply.status in {502, 504} else Blocked()


def _answer(subscription: Subscription, block: Block, snapshot: dict[str, Any]) -> None:
    """Tell where the stream begins, as its first block does."""
    seq = _member(block, "seq")
    if block.name == "resync":
        subscription.answer(snapshot=snapshot, mode="resync")
    elif block.name is None and block.id is not None:
        subscription.answer(_position(block.id), snapshot)
    elif isinstance(seq, int):
        # Without an epoch: what had it may be gone.
        subscription.answer({"epoch": "", "seq": seq - 1}, snapshot)


def _reached(block: Block) -> int:
    """The seq that the block brings the reader to; -1 when it does not say."""
    return -1 if block.id is None else parse_text(block.id).seq


def _after(after: object) -> dict[str, str]:
    return {} if after is None else {"after": str(after)}


def _position(text: str | None) -> dict[str, Any]:
    return WirePosition.of(START if text is None else parse_text(text)).model_dump()


def _member(block: Block, name: str) -> Any:
    return block.data.get(name) if isinstance(block.data, dict) else None


def _said(data: Any) -> RequestRefused:
    said = data if isinstance(data, dict) else {}
    message = said.get("message")
    return RequestRefused(
        str(said.get("code")),
        detail=None if message is None else str(message),
        retry_after=seconds(said.get("retry_after_s")),
    )
