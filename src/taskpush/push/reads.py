"""Pages of the log for replays: many who want the same one share the reading of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from taskpush.models.position import Position
from taskpush.store.base import Announcement, LogPage, Store

PAGE_EVENTS: Final = 100
PAGE_BYTES: Final = 64 * 1024


class ReplayReader:
    """Reads pages from the store; a page that is being read is given to all who ask for it.

    Only as long as nothing of its task was announced since the reading began: whoever asks later
    may already know of more than the page can hold, and would take its end for the log's.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading: dict[str, dict[int, asyncio.Task[LogPage]]] = {}

    async def page(self, task_id: str, cursor: int) -> LogPage:
        """The page after `cursor`; raises as `Store.read` does."""
        pages = self._reading.setdefault(task_id, {})
        reading = pages.get(cursor)
        if reading is None:
            read = self._store.read(task_id, Position(cursor), PAGE_EVENTS, max_bytes=PAGE_BYTES)
            reading = pages[cursor] = asyncio.create_task(read, name="taskpush-page")
            reading.add_done_callback(lambda done: self._done(task_id, pages, done))
        # Whoever goes away does not take the page from the others.
        return await asyncio.shield(reading)

    def on_commit(self, announcements: Sequence[Announcement]) -> None:
        """Something was committed: who asks from now on reads anew."""
        if self._reading:
            for announcement in announcements:
                self._reading.pop(announcement.task_id, None)

    def _done(
        self, task_id: str, pages: dict[int, asyncio.Task[LogPage]], done: asyncio.Task[LogPage]
    ) -> None:
        if not done.cancelled():
            done.exception()  # Whoever still waits raises it; nobody has to.
        if self._reading.get(task_id) is pages and all(page.done() for page in pages.values()):
            del self._reading[task_id]
