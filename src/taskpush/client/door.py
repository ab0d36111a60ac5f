"""What a door's link to the server does, whichever door it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from taskpush.client.doors import Door
from taskpush.client.errors import ClientError

OnAnswer = Callable[[object], None]
"""Is given what was answered, in the shape of Socket.IO's acknowledgement."""


class Told(Protocol):
    """Who is told what comes over a link. None of it raises or blocks."""

    def on_event(self, name: str, payload: object) -> None:
        """An event of the protocol, in the order of arrival."""
        ...

    def on_cut(self, key: str) -> None:
        """This one subscription was lost; the link stands."""
        ...

    def on_failed(self, key: str, error: ClientError) -> None:
        """This one subscription has ended for good, by the server's word or by a broken answer."""
        ...


class Link(Protocol):
    """An open link, which is never reused."""

    # Set when the link is gone, whoever ended it.
    lost: asyncio.Event
    # Whether the server sent the client away for good.
    dismissed: bool
    # Whether it was lost because something between does not let this door's way of talking pass.
    blocked: bool

    @property
    def door(self) -> Door: ...

    @property
    def barren(self) -> bool:
        """Whether nothing has come over it."""
        ...

    def send(self, name: str, payload: object, on_answer: OnAnswer | None = None) -> None:
        """Send `subscribe` or `unsubscribe`; does nothing once the link is gone."""
        ...

    def abort(self) -> None:
        """Give the link up, as if the network had."""
        ...

    async def close(self) -> None:
        """End the link and everything that belongs to it."""
        ...


class LinkFailed(Exception):
    """No link could be opened; trying again may help."""

    def __init__(
        self, why: str, *, retry_after_s: float | None = None, blocked: bool = False
    ) -> None:
        super().__init__(why)
        # When the server said that it may help; None when it said nothing.
        self.retry_after_s = retry_after_s
        # Whether another door may open, for something answers.
        self.blocked = blocked
