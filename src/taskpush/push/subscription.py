"""One task watched over one connection: from a cursor through the log into the live stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from taskpush.core.replay import Splice
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.outbox import Outbox
from taskpush.store.base import LogPage


class Subscription:
    """A cursor in one task's log, and what keeps it moving.

    Until it is activated it only notes what is committed, so that attaching comes first and
    reading second, and nothing falls between.
    """

    def __init__(self, task_id: str, outbox: Outbox, wake: Callable[[], None]) -> None:
        self.task_id = task_id
        self.active = False
        # Something was committed while it waited for the task to be created.
        self.stirred = False
        self._outbox = outbox
        self._wake = wake
        self._splice = Splice(0)

    @property
    def cursor(self) -> int:
        """The seq of the last logged event that was put into the outbox."""
        return self._splice.cursor

    @property
    def behind(self) -> bool:
        """Whether the store must be read for it."""
        return self.active and not self._splice.live

    def activate(self, cursor: int) -> None:
        """Go on from `cursor`: the next events come from the store, then live."""
        self._splice.move(cursor)
        self.active = True
        self._wake()

    def pause(self) -> None:
        """Send nothing until it is activated again; what is committed is noted."""
        self.active = False
        self._splice.fall_behind()

    def on_logged(self, event: LoggedEvent) -> None:
        due = self._splice.offer(event, room=self._outbox.has_room)
        if due is not None:
            self._outbox.put(due)
        self.stirred = True
        self._wake()

    def on_volatile(self, event: VolatileEvent) -> None:
        due = self._splice.offer_volatile(event)
        if due is not None and not self._outbox.put_volatile(due):
            self._splice.fall_behind()
            self._splice.offer_volatile(due)
        self._wake()

    def on_deleted(self) -> None:
        """The store is read once more, and says that there is nothing."""
        self._splice.fall_behind()
        self.stirred = True
        self._wake()

    def replayed(self, page: LogPage) -> None:
        """Put a page that was read after the cursor into the outbox."""
        due: Iterable[LoggedEvent | VolatileEvent] = self._splice.replayed(
            page.events, end=page.end, final=page.final, latest=page.latest
        )
        for event in due:
            self._outbox.put(event)
