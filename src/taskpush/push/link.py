"""The way from a channel to its peer, whatever door the peer came through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from taskpush.push.outbox import Outgoing


class Link(Protocol):
    """The way to one peer. It calls its channel's `flush` when there is room again."""

    @property
    def room(self) -> int:
        """How many bytes of bodies it would take now; 0 while the peer has to catch up."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """What was written and not taken by the peer, as far as this process can see."""
        ...

    @property
    def taken_bytes(self) -> int:
        """What the peer has taken since it came; grows as long as it reads."""
        ...

    def write(self, batch: Sequence[Outgoing]) -> None:
        """Take everything, in order, at once."""
        ...

    def abort(self) -> None:
        """Cut the connection, without waiting for the peer."""
        ...
