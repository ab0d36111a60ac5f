"""What waits for one connection: ordered, bounded in bytes, volatile states merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent

OUTBOX_BYTES: Final = 256 * 1024
"""What may wait for one connection, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event of the protocol beside `task_update`; `body` is its one argument as JSON."""

    name: str
    body: bytes
    # Whether others are sent the same object.
    shared: bool = False
    # Where whoever has it goes on; None when it moves nobody.
    position: str | None = None
    # Whether nothing follows it, as things are.
    final: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the client's event that asked for acknowledgement `to`."""

    to: int
    body: bytes


Outgoing = LoggedEvent | VolatileEvent | Message | Reply


class _Slot:
    """The place of a volatile state in the queue, which may be replaced until it is taken."""

    __slots__ = ("item",)

    def __init__(self, item: VolatileEvent) -> None:
        self.item = item


class Outbox:
    """An ordered queue that says when it is full instead of growing.

    Only what must be said whatever happens (`put`) goes in beyond the limit: answers to the
    client, of which it can only have as many as it asks for.
    """

    __slots__ = ("_limit_bytes", "_queue", "_volatile", "link_bytes", "size_bytes")

    def __init__(self, limit_bytes: int = OUTBOX_BYTES) -> None:
        self._limit_bytes = limit_bytes
        # A list, since an empty deque takes ten times as much memory, and mostly it is empty.
        self._queue: list[LoggedEvent | Message | Reply | _Slot] = []
        self._volatile: dict[tuple[str, EventType], _Slot] = {}
        self.size_bytes = 0
        # What was taken and still waits on the link; it counts towards the limit.
        self.link_bytes = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def has_room(self) -> bool:
        """Whether events may be put: a full outbox stops being filled."""
        return self.size_bytes + self.link_bytes < self._limit_bytes

    @property
    def wants_replay(self) -> bool:
        """Whether it has drained enough for another page of replay."""
        return self.size_bytes + self.link_bytes <= self._limit_bytes // 2

    def put(self, item: Outgoing) -> None:
        """Append."""
        if isinstance(item, VolatileEvent):
            self.size_bytes += item.size_bytes
            # The newest place of its type: an older one further ahead is left as it is.
            slot = self._volatile[item.task_id, item.event_type] = _Slot(item)
            self._queue.append(slot)
        else:
            self.size_bytes += len(item.body)
            self._queue.append(item)

    def put_volatile(self, event: VolatileEvent) -> bool:
        """Replace the waiting state of the same task and type, or append when there is room."""
        slot = self._volatile.get((event.task_id, event.event_type))
        # Not across attempts: between them stands the status change that parts them.
        if slot is not None and slot.item.attempt == event.attempt:
            self.size_bytes += event.size_bytes - slot.item.size_bytes
            slot.item = event
            return True
        if not self.has_room:
            return False
        self.put(event)
        return True

    def take(self, up_to_bytes: int) -> list[Outgoing]:
        """Remove and return the oldest items: at least one, then as many as fit."""
        if self.size_bytes <= up_to_bytes and not self._volatile:
            # What happens at nearly every flush: all of it, with no state that could be replaced.
            queue: list[Any] = self._queue
            self._queue = []
            self.size_bytes = 0
            return queue
        taken: list[Outgoing] = []
        size = 0
        for head in self._queue:
            item: Outgoing
            if isinstance(head, _Slot):
                item = head.item
                item_bytes = head.item.size_bytes
            else:
                item = head
                item_bytes = len(head.body)
            if taken and size + item_bytes > up_to_bytes:
                break
            size += item_bytes
            taken.append(item)
            if isinstance(head, _Slot):
                key = (head.item.task_id, head.item.event_type)
                if self._volatile.get(key) is head:
                    del self._volatile[key]
        del self._queue[: len(taken)]
        self.size_bytes -= size
        return taken
