"""What is sent in the bytes of a door; each event is framed once per door, whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from taskpush.models.task import LoggedEvent
from taskpush.push.outbox import Message, Outgoing, Reply

CACHE_BYTES: Final = 4 * 1024 * 1024


def _is_for_one(item: Outgoing) -> bool:
    return isinstance(item, Reply) or (isinstance(item, Message) and not item.shared)


class FrameCache:
    """Frames of outgoing items; those of events are kept while they are likely to be sent again.

    Two generations: when the younger one holds half of `cache_bytes`, the older one is let go.
    """

    def __init__(
        self, build: Callable[[Outgoing], bytes], *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._build = build
        self._half = cache_bytes // 2
        # By identity; the event is kept with its frame, so that no other can have its id.
        self._young: dict[int, tuple[Outgoing, bytes]] = {}
        self._old: dict[int, tuple[Outgoing, bytes]] = {}
        self._young_bytes = 0
        self._last: tuple[Sequence[Outgoing], bytes] = ((), b"")

    def join(self, batch: Sequence[Outgoing]) -> bytes:
        """The bytes to write for all of `batch`; watchers of one task mostly get the same."""
        # Comparing costs nothing as long as the items are the same ones.
        if batch != self._last[0]:
            joined = self.of(batch[0]) if len(batch) == 1 else b"".join(map(self.of, batch))
            self._last = (batch, joined)
        return self._last[1]

    def of(self, item: Outgoing) -> bytes:
        """The bytes to write for `item`."""
        known = self._young.get(id(item)) or self._old.get(id(item))
        if known is not None:
            return known[1]
        frame = self._build(item)
        if isinstance(item, LoggedEvent) or not _is_for_one(item):
            self._keep(item, frame)
        return frame

    def _keep(self, item: Outgoing, frame: bytes) -> None:
        if self._young_bytes + len(frame) > self._half:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[id(item)] = (item, frame)
        self._young_bytes += len(frame)
