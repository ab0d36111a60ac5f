"""Whether the server can do its work: the store commits, and the hub delivers."""

from __future__ import annotations

import asyncio
from asyncio import Task
from typing import Final

from taskpush.clock import Clock
from taskpush.errors import TaskPushError
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.hub import Hub
from taskpush.store.base import Store

_PROBE: Final = "readiness-probe"  # Not a UUID, so no task can have it.

FRESH_S: Final = 1.0
"""For so long what a commit has shown is told to whoever asks: anybody may, and as often."""


class Readiness:
    """Checks by doing: a commit a second at most, however many ask, and the rest each time."""

    def __init__(self, store: Store, hub: Hub, clock: Clock) -> None:
        self._store = store
        self._hub = hub
        self._clock = clock
        self._stopping = False
        # The newest commit, and when it began; None before the first.
        self._commit: Task[str] | None = None
        self._began_s = 0.0

    def stop(self) -> None:
        """It takes no work from now on."""
        self._stopping = True

    async def check(self) -> dict[str, str]:
        """`ok` or what is wrong, for each part."""
        checks = {"store": await self._newest_commit(), "push": self._check_push()}
        return checks | {"server": "it is stopping"} if self._stopping else checks

    @property
    def code(self) -> str:
        """The error code of a server that is not ready."""
        return "shutting_down" if self._stopping else "store_unavailable"

    async def _newest_commit(self) -> str:
        """One at a time; who asks meanwhile waits for the same."""
        now_s = self._clock.monotonic()
        commit = self._commit
        if commit is None or (commit.done() and now_s - self._began_s >= FRESH_S):
            self._began_s = now_s
            commit = self._commit = asyncio.create_task(self._check_store(), name="readiness")
        # Who goes away does not end it for the others.
        return await asyncio.shield(commit)

    async def _check_store(self) -> str:
        try:
            await self._store.probe()
        except TaskPushError as error:
            return error.detail
        return "ok"

    def _check_push(self) -> str:
        witness = _Witness()
        self._hub.attach(_PROBE, witness)
        self._hub.announce([VolatileEvent(_PROBE, 1, 1, EventType.STATS, b"{}")])
        self._hub.detach(_PROBE, witness)
        return "ok" if witness.saw else "the hub does not deliver"


class _Witness:
    def __init__(self) -> None:
        self.saw = False

    def on_logged(self, event: LoggedEvent) -> None:
        self.saw = True

    def on_volatile(self, event: VolatileEvent) -> None:
        self.saw = True

    def on_deleted(self) -> None:
        self.saw = True
