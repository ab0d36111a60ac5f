"""Joining the stored log to the live stream: what a subscription sends, and when it is live.

A subscription that is not live reads the log from its cursor, while what is committed meanwhile
is held in a small buffer. `Splice` merges both by seq; what the buffer cannot hold is simply read
from the store in the next page, so nothing is lost and nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent

BUFFER_EVENTS: Final = 64
"""How many live events a subscription holds while it reads; older ones are read again."""


class Splice:
    """The state of one subscription between its cursor and the head of the log."""

    __slots__ = ("_held", "_held_volatile", "_seen", "cursor", "live")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.live = False
        self._held: list[LoggedEvent] = []
        # Highest seq that was committed while this subscription was not live.
        self._seen = cursor
        self._held_volatile: dict[EventType, VolatileEvent] = {}

    @property
    def lag(self) -> int:
        """So many events at least were committed after the cursor while it was not live."""
        return 0 if self.live else max(0, self._seen - self.cursor)

    def move(self, cursor: int) -> None:
        """Start again from `cursor`; the next pages come from the store."""
        self.cursor = cursor
        self.fall_behind()

    def fall_behind(self) -> None:
        """Stop being live: the store is read from the cursor on."""
        self.live = False
        self._seen = max(self._seen, self.cursor)

    def offer(self, event: LoggedEvent, *, room: bool = True) -> LoggedEvent | None:
        """A live event arrived: the event when it is to be sent now, None when it is not.

        An event that is not the cursor's next, or that finds no `room` in the outbox, sends the
        subscription back to replay.
        """
        # What happens to nearly every event of nearly every subscription comes first.
        if self.live and room and event.seq == self.cursor + 1:
            self.cursor = event.seq
            return event
        if event.event_type is EventType.STATUS_CHANGE:
            # Whatever it is now, it stands no more where it stood in the queue.
            self._held_volatile.pop(EventType.QUEUE, None)
        if event.seq > self.cursor:
            self.live = False
            self._held.append(event)
            if len(self._held) > BUFFER_EVENTS:
                del self._held[0]
            self._seen = max(self._seen, event.seq)
        return None

    def offer_volatile(self, event: VolatileEvent) -> VolatileEvent | None:
        """A volatile event arrived: sent now when live, else the newest of its type is held."""
        if self.live:
            return event
        held = self._held_volatile.get(event.event_type)
        if held is None or held.order < event.order:
            self._held_volatile[event.event_type] = event
        return None

    def replayed(
        self,
        page: Sequence[LoggedEvent],
        *,
        end: bool,
        final: bool,
        latest: Mapping[EventType, VolatileEvent],
    ) -> list[LoggedEvent | VolatileEvent]:
        """A page after the cursor was read: what to send, in order.

        `end` says that the page reached the head of the log as the reader saw it, `final` that
        the event there is final, and `latest` are the newest volatile events as of that moment.
        When nothing newer is missing the subscription is live afterwards. Volatile events come
        after the log, but before a final event and never after one.
        """
        due: list[LoggedEvent | VolatileEvent] = list(page)
        if page:
            self.cursor = page[-1].seq
        if end:
            since = list(self._contiguous())
            if any(event.event_type is EventType.STATUS_CHANGE for event in since):
                latest = {key: latest[key] for key in latest if key is not EventType.QUEUE}
            due += since
            self.live = self.cursor >= self._seen
        if self.live:
            self._held.clear()
            if due or not final:
                _insert_volatile(due, self._newest(latest, due))
            self._held_volatile.clear()
        return due

    def _contiguous(self) -> Iterable[LoggedEvent]:
        """The held events that follow the cursor without a hole; the cursor moves with them."""
        held, self._held = self._held, []
        for event in held:
            if event.seq > self.cursor + 1:
                return
            if event.seq == self.cursor + 1:
                self.cursor = event.seq
                yield event

    def _newest(
        self,
        latest: Mapping[EventType, VolatileEvent],
        due: Sequence[LoggedEvent | VolatileEvent],
    ) -> list[VolatileEvent]:
        """The newest of each type, but none of an attempt that `due` shows to be replaced."""
        newest = dict(latest)
        for event_type, event in self._held_volatile.items():
            if event_type not in newest or newest[event_type].order < event.order:
                newest[event_type] = event
        attempt = due[-1].attempt if due else 0
        return [event for event in newest.values() if event.attempt >= attempt]


def _insert_volatile(
    due: list[LoggedEvent | VolatileEvent], volatile: Iterable[VolatileEvent]
) -> None:
    last = due[-1] if due else None
    before_final = isinstance(last, LoggedEvent) and last.final
    at = len(due) - 1 if before_final else len(due)
    due[at:at] = volatile
