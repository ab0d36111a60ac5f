"""Opening a link by the best door that opens. Source of the rules: docs/adr/0011."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from taskpush.client.credential import Credential
from taskpush.client.door import Link, LinkFailed, Told
from taskpush.client.doors import Door, Ladder
from taskpush.client.errors import RequestRefused
from taskpush.client.poll_link import LongPollLink, PollLink
from taskpush.client.socket_link import open_socket
from taskpush.client.sse_link import SseLink

CONNECT_WITHIN_S: Final = 10.0
SOCKET_WITHIN_S: Final = 2.5
"""For a WebSocket, where there are other doors."""

_HTTP: Final = {link.door: link for link in (SseLink, LongPollLink, PollLink)}


class Opener:
    """Opens links to one server; shared by a client's connections, for what works for one does."""

    def __init__(self, server_url: str, credential: Credential, ladder: Ladder) -> None:
        self.server_url = server_url
        self.ladder = ladder
        self._credential = credential

    async def open(self, told: Told, *, avoid: Door | None = None) -> Link:
        """A link by the door that worked last, or else by the first other one that opens.

        Raises `LinkFailed` when none does, and what `RequestRefused` the server says.
        """
        failures = []
        for door in self.ladder.candidates(avoid):
            try:
                link = await self._open(door, told)
            except LinkFailed as error:
                failures.append(f"{door}: {error}")
                if not error.blocked:
                    said_s = error.retry_after_s
                    raise LinkFailed("; ".join(failures), retry_after_s=said_s) from error
            else:
                self.ladder.opened(door, _now())
                return link
        raise LinkFailed("; ".join(failures))

    def better_in_s(self, door: Door) -> float | None:
        """How long to use this door before the better ones are tried; None for ever."""
        return self.ladder.wait_s(door, _now())

    async def open_better(
        self, door: Door, told: Told, sample: Mapping[str, Any] | None
    ) -> Link | None:
        """A link by a better door than this one; None when none opens.

        `sample` is a subscription that a stream is tried with; None when there is none.
        """
        for better in self.ladder.better_than(door):
            link = await self._try(better, told, sample)
            if link is not None:
                self.ladder.opened(better, _now())
                return link
        self.ladder.tried_in_vain(_now())
        return None

    async def _try(self, door: Door, told: Told, sample: Mapping[str, Any] | None) -> Link | None:
        if door == "sse" and sample is None:
            return None
        try:
            link = await self._open(door, told)
        except (LinkFailed, RequestRefused):
            return None
        try:
            if not isinstance(link, SseLink) or (sample and await link.passes(sample)):
                return link
        except BaseException:
            await link.close()
            raise
        await link.close()
        return None

    async def _open(self, door: Door, told: Told) -> Link:
        if door == "socketio":
            return await self._open_socket(told)
        link = _HTTP[door](self.server_url, self._credential, told, timeout_s=CONNECT_WITHIN_S)
        try:
            await link.open()
        except BaseException:
            await link.close()
            raise
        return link

    async def _open_socket(self, told: Told) -> Link:
        url, auth = self.server_url, self._credential.auth
        if len(self.ladder.doors) > 1:
            return await open_socket(url, told, auth=auth, timeout_s=SOCKET_WITHIN_S)
        try:
            return await open_socket(url, told, auth=auth, timeout_s=CONNECT_WITHIN_S)
        except LinkFailed as error:
            if error.retry_after_s is not None:
                # It is no matter of the transport.
                raise
            websocket = error
        try:
            return await open_socket(
                url, told, auth=auth, timeout_s=CONNECT_WITHIN_S, transport="polling"
            )
        except LinkFailed as polling:
            why = f"websocket: {websocket}; polling: {polling}"
            raise LinkFailed(why, retry_after_s=polling.retry_after_s) from polling


def _now() -> float:
    return asyncio.get_running_loop().time()
