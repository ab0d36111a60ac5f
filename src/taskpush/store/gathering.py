"""When the next commit begins: soon, but together with others.

One event costs a commit of its own as much as several together, and so does what every commit is
followed by. Where many tasks report all the time, each waits some milliseconds for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from taskpush.store.base import Append
from taskpush.store.calls import Call, Write

GATHER_S: Final = 0.008
"""From one commit to the next, while many report."""
FEW: Final = 4
"""When so few came meanwhile, there was no use in waiting."""
FORGO_S: Final = 0.25
"""How long it is not tried again then, so that who writes to many tasks by turns is not held up."""

# Calls that are about one task. Not a union, which would be made anew for each call.
_TO_ONE: Final = (Append, Write)


class Gathering:
    """Calls `commit` when what waits should be committed.

    At once: what has to be synced, what comes later than `GATHER_S` after the last commit, and
    when all tasks of that commit have written again, for then nobody else may come.
    """

    def __init__(
        self,
        commit: Callable[[], None],
        *,
        gather_s: float = GATHER_S,
        forgo_s: float = FORGO_S,
    ) -> None:
        self._commit = commit
        self._loop = asyncio.get_running_loop()
        self._gather_s = gather_s
        self._forgo_s = forgo_s
        # Tasks of the last commit that have not written since.
        self._awaited: set[str] = set()
        self._until = 0.0
        self._forgone_until = 0.0
        # None while nothing waits for others.
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Call) -> None:
        """A call waits."""
        if isinstance(call, _TO_ONE):
            self._awaited.discard(call.task_id)
        if call.synced or not self._awaited:
            self._commit()
        elif self._timer is None:
            if self._loop.time() >= self._until:
                self._commit()
            else:
                self._timer = self._loop.call_at(self._until, self._commit)

    def end(self, count: int) -> None:
        """What waits, so many calls, is about to be committed."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        if count < FEW:
            self._forgone_until = self._loop.time() + self._forgo_s

    def begin(self, told: Iterable[Call]) -> None:
        """These calls were committed: gather the next ones."""
        now = self._loop.time()
        self._until = now + self._gather_s if now >= self._forgone_until else now
        self._awaited = {call.task_id for call in told if isinstance(call, _TO_ONE)}
