"""When connections are sent what waits for them, and which of them are given up.

No connection has a task or a timer of its own while it only listens: those with something to send
are gone through together, so that several events become one write, and one look a second at those
that were written to finds those whose peer takes nothing. Whoever only listens costs nothing.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, Protocol

SHORTEST_PAUSE_S: Final = 0.001
"""Timers of the event loop are no finer."""
LOOK_EVERY_S: Final = 1.0
STALLED_AFTER_S: Final = 10.0
OUTBOXES_BYTES: Final = 256 * 1024 * 1024
"""What may wait for all connections together, unless the settings say otherwise."""


class Backlog(Protocol):
    """A connection, as far as it has to be sent something.

    Something waits for it only after it was marked.
    """

    @property
    def waiting_bytes(self) -> int:
        """What was committed to the peer and not taken by it."""
        ...

    @property
    def taken_bytes(self) -> int:
        """What the peer has taken since it came; grows as long as it reads."""
        ...

    def flush(self) -> None: ...

    def abort(self) -> None: ...


class _Progress:
    """How far a peer had come, and since when."""

    __slots__ = ("since", "taken")

    def __init__(self, taken: int, since: float) -> None:
        self.taken = taken
        self.since = since


class Dispatcher:
    """Flushes connections that have something to send, and aborts those that take nothing.

    They are flushed in rounds: the next one waits as long as the last one took. A round of few is
    followed at once; one that writes to thousands leaves half of the time to those who produce, and
    what they say meanwhile is sent in one write each: the more there is to send, the less each
    event costs. Where nothing has to wait, a part of a round may be flushed before its turn.

    A peer that has taken nothing for `stalled_after_s` although something waits is aborted. When
    more than `outboxes_bytes` wait for all together, those go first that have stood still longest.
    """

    def __init__(
        self,
        *,
        stalled_after_s: float = STALLED_AFTER_S,
        outboxes_bytes: int = OUTBOXES_BYTES,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._stalled_after_s = stalled_after_s
        self.outboxes_bytes = outboxes_bytes
        self._look_every_s = min(look_every_s, stalled_after_s / 2)
        self._marked: list[Backlog] = []
        self._not_before = 0.0
        # Whether the next round is planned, and whether it waits for nothing but its turn.
        self._planned = False
        self._due = False
        # What flushing has taken since the last round.
        self._took_s = 0.0
        self._members: set[Backlog] = set()
        # Those that were flushed since the last look: something may wait for them.
        self._flushed: set[Backlog] = set()
        # Those that had something waiting when they were last looked at.
        self._progress: dict[Backlog, _Progress] = {}
        # What waited for all of them then.
        self._waiting_bytes = 0
        # None while there is nobody to look at.
        self._look: asyncio.TimerHandle | None = None
        # How many were given up.
        self.cut_off = 0

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._members)

    @property
    def waiting(self) -> int:
        """For how many something waited at the last look, a second ago at most."""
        return len(self._progress)

    @property
    def waiting_bytes(self) -> int:
        """What waited for all together then."""
        return self._waiting_bytes if self._progress else 0

    def stalled_for_s(self, member: Backlog) -> float | None:
        """For how long a peer has taken nothing of what waits; None when nothing did so far."""
        seen = self._progress.get(member)
        return None if seen is None else asyncio.get_running_loop().time() - seen.since

    def add(self, member: Backlog) -> None:
        """Begin to look after a connection."""
        self._members.add(member)

    def discard(self, member: Backlog) -> None:
        """The connection is closed."""
        self._members.discard(member)
        self._flushed.discard(member)
        self._progress.pop(member, None)
        if not self._members and self._look is not None:
            self._look.cancel()
            self._look = None

    def mark(self, member: Backlog) -> None:
        """Flush `member` in the next round; a member marks itself once per flush."""
        if not self._planned:
            self._plan()
        self._marked.append(member)

    def flush_early(self) -> None:
        """Flush those that are marked so far, unless the next round is put off."""
        if self._due:
            self._flush_marked()

    def flush(self) -> None:
        """Flush those that are marked, without waiting for the next round."""
        # First, since whoever is marked meanwhile belongs to the next round.
        self._planned = self._due = False
        self._flush_marked()
        self._not_before = monotonic() + self._took_s
        self._took_s = 0.0

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self._not_before - monotonic()
        self._planned = True
        self._due = pause < SHORTEST_PAUSE_S
        if self._due:
            loop.call_soon(self.flush)
        else:
            loop.call_later(pause, self.flush)

    def _flush_marked(self) -> None:
        marked, self._marked = self._marked, []
        began = monotonic()
        for member in marked:
            try:
                member.flush()
            except Exception as error:  # noqa: BLE001 - it must not keep the others from theirs
                told = {"message": "a connection could not be flushed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)
                member.abort()
        self._flushed.update(marked)
        if self._look is None:
            self._look_later()
        self._took_s += monotonic() - began

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._look = loop.call_later(self._look_every_s, self._look_around)

    def _look_around(self) -> None:
        # First, so that nothing which goes wrong below ends the looking.
        self._look_later()
        # Whoever was closed may have been flushed afterwards.
        flushed, self._flushed = self._flushed & self._members, set()
        now = asyncio.get_running_loop().time()
        total = 0
        for member in flushed.union(self._progress):
            waiting = member.waiting_bytes
            if waiting:
                total += waiting
                seen = self._progress.get(member)
                if seen is None or seen.taken != member.taken_bytes:
                    self._progress[member] = _Progress(member.taken_bytes, now)
            else:
                self._progress.pop(member, None)
        self._waiting_bytes = total
        self._give_up(now, total)
        if not (self._progress or self._flushed) and self._look is not None:
            self._look.cancel()
            self._look = None

    def _give_up(self, now: float, total: int) -> None:
        """Abort whoever stands still for too long, and more while too much waits."""
        slowest = sorted(self._progress.items(), key=lambda item: item[1].since)
        for member, seen in slowest:
            stalled = now - seen.since >= self._stalled_after_s
            if not stalled and total <= self.outboxes_bytes:
                return
            total -= member.waiting_bytes
            self.cut_off += 1
            member.abort()
