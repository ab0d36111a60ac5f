"""Between the job's threads and the one that delivers: a backlog behind a lock."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from taskpush.reporter.backlog import Backlog, Batch, File, Read, Said

MANY: Final = 200
"""When so many wait, they are not kept waiting for more."""
LOOK_S: Final = 0.02
"""So often who delivers looks. Why it is not woken: see `Mailbox.news`."""

PAUSE_LOOK_S: Final = 0.1


class Mailbox:
    """Takes what the job says without waiting for anybody; who delivers looks into it by itself.

    The job's side may be called from any thread. In a forked child nothing is taken: the parent
    reports.
    """

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        # Reentrant: the garbage collector may close a forgotten reporter in the midst of a call.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._pid = os.getpid()
        # Whether what waits, waits no longer.
        self._urgent = False
        self.closing = False
        # Whether the task is known, so that anything can be sent.
        self._begun = False
        # Why nothing more is delivered; None while something may be, and when all was.
        self.lost: str | None = None
        self.over = False

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child, which shares nothing with who delivers."""
        return os.getpid() != self._pid

    @property
    def _open(self) -> bool:
        return not (self.over or self.closing or self.backlog.ended)

    # ------------------------------------------------------------ the job's side

    def say(self, said: Said) -> None:
        """A logged event."""
        if not self.foreign:
            with self._lock:
                if self._open:
                    self.backlog.say(said)

    def show(self, event_type: str, read: Read) -> None:
        """There is a newer volatile state."""
        if not self.foreign:
            with self._lock:
                if self._open:
                    self.backlog.show(event_type, read)

    def hand_over(self, file: File) -> bool:
        """A file; False when there is no room for it. What is not kept is closed."""
        kept, taking = False, not self.foreign
        if taking:
            with self._lock:
                taking = self._open
                kept = taking and self.backlog.hand_over(file)
        if not kept:
            dispose(file)
        return kept or not taking

    def end(self, said: Said) -> None:
        """How the attempt ended: nothing follows."""
        if not self.foreign:
            with self._lock:
                if self._open:
                    self.backlog.end(said)
                self._urgent = True

    def close(self) -> None:
        """Nothing follows, whether the job has said how it ended or not."""
        if not self.foreign:
            with self._lock:
                self.closing = self._urgent = True

    def hurry(self) -> None:
        """Deliver now what waits."""
        self._urgent = True

    def wait_empty(self, within_s: float) -> bool:
        """Whether everything was taken, in time."""
        if self.foreign:
            return True
        with self._changed:
            self._changed.wait_for(lambda: self.over or self._all_taken, timeout=within_s)
            return self._all_taken and self.lost is None

    @property
    def _all_taken(self) -> bool:
        return self._begun and self.backlog.empty

    def wait_over(self, within_s: float) -> bool:
        """Whether who delivers has stopped, in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.over, timeout=within_s)

    # ------------------------------------------------------------ who delivers

    def begin(self, start: Said) -> None:
        """An attempt begins: from now on there is something to send."""
        with self._changed:
            self._begun = True
            self.backlog.begin_anew(start)

    def next(self) -> Batch | File | None:
        """What is to be sent now."""
        with self._changed:
            return self.backlog.next()

    @contextmanager
    def changing(self) -> Iterator[Backlog]:
        """Tell the backlog what the server said; who waits for that is woken."""
        with self._changed:
            yield self.backlog
            self._changed.notify_all()

    def finish(self, lost: str | None) -> None:
        """Nothing more is delivered, and why if anything was left."""
        with self._changed:
            self.over = True
            self.lost = self.lost or lost
            files = self.backlog.over() if lost is not None else ()
            self._changed.notify_all()
        for file in files:
            dispose(file)

    async def pause(self, until_s: float) -> None:
        """Wait, to `until_s` of the monotonic clock; when the program ends meanwhile, no longer.

        So whoever delivers tries once more before the program is gone.
        """
        waited_for_the_end = self.closing
        while (now_s := time.monotonic()) < until_s:
            if self.closing is not waited_for_the_end:
                return
            await asyncio.sleep(min(PAUSE_LOOK_S, until_s - now_s))

    async def news(self, until_s: float, merge_until_s: float) -> None:
        """Wait for something to send, to `until_s` at most; what may wait is merged a while.

        Both are of the monotonic clock. It is looked for, and not waited for: to be woken, this
        thread would have to be told by each call of the job, which takes longer than the call
        itself does. A look takes microseconds, fifty times a second.
        """
        while (now_s := time.monotonic()) < until_s:
            with self._lock:
                urgent, self._urgent = self._urgent, False
                waiting = self.backlog.waiting
            if urgent or (waiting and now_s >= merge_until_s) or waiting >= MANY:
                return
            await asyncio.sleep(LOOK_S)


def dispose(file: File) -> None:
    """Close what a file is read from."""
    if isinstance(file.source, int):
        os.close(file.source)
