"""One task watched over one connection: from a cursor through the log into the live stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from taskpush.core.replay import Splice
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.outbox import Outbox
from taskpush.store.base import LogPage


class Keeper(Protocol):
    """Whose subscription it is."""

    def wake(self) -> None: ...

    def fall_behind(self, subscription: Subscription) -> None: ...


class Subscription:
    """A cursor in one task's log, and what keeps it moving.

    Until it is activated it only notes what is committed, so that attaching comes first and
    reading second, and nothing falls between.
    """

    __slots__ = ("_keeper", "_outbox", "_splice", "active", "previews", "stirred", "task_id")

    def __init__(self, task_id: str, outbox: Outbox, keeper: Keeper) -> None:
        self.task_id = task_id
        self.active = False
        # Whether the peer asked for previews.
        self.previews = False
        # Something was committed while it waited for the task to be created.
        self.stirred = False
        self._outbox = outbox
        self._keeper = keeper
        self._splice = Splice(0)

    @property
    def cursor(self) -> int:
        """The seq of the last logged event that was put into the outbox."""
        return self._splice.cursor

    @property
    def behind(self) -> bool:
        """Whether the store must be read for it."""
        return self.active and not self._splice.live

    @property
    def lag_events(self) -> int:
        """So many logged events at least are still to be read from the store."""
        return self._splice.lag

    def activate(self, cursor: int) -> None:
        """Go on from `cursor`: the next events come from the store, then live."""
        self._splice.move(cursor)
        self.active = True
        self._keeper.fall_behind(self)

    def pause(self) -> None:
        """Send nothing until it is activated again; what is committed is noted."""
        self.active = False
        self._splice.fall_behind()

    def on_logged(self, event: LoggedEvent) -> None:
        due = self._splice.offer(event, room=self._outbox.has_room)
        if due is not None:
            self._outbox.put(due)
            self._keeper.wake()
        else:
            self._stir()

    def on_volatile(self, event: VolatileEvent) -> None:
        if not self._wants(event):
            return
        due = self._splice.offer_volatile(event)
        if due is None:
            return
        if self._outbox.put_volatile(due):
            self._keeper.wake()
        else:
            self._splice.fall_behind()
            self._splice.offer_volatile(due)
            self._stir()

    def on_deleted(self) -> None:
        """The store is read once more, and says that there is nothing."""
        self._splice.fall_behind()
        self._stir()

    def _stir(self) -> None:
        """Something was committed that the store must be asked for."""
        self.stirred = True
        if self.behind or not self.active:
            self._keeper.fall_behind(self)

    def replayed(self, page: LogPage) -> None:
        """Put a page that was read after the cursor into the outbox."""
        due: Iterable[LoggedEvent | VolatileEvent] = self._splice.replayed(
            page.events, end=page.end, final=page.final, latest=page.latest
        )
        for event in due:
            if self._wants(event):
                self._outbox.put(event)
        self._keeper.wake()

    def _wants(self, event: LoggedEvent | VolatileEvent) -> bool:
        return self.previews or event.event_type is not EventType.PREVIEW
