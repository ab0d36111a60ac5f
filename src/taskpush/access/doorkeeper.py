"""What stays open, and is closed when the credential that opened it is good no more.

The policy is asked when something is opened, not for each event that is delivered: so what is open
is gone through every few seconds, and what would not be let in any more is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from taskpush.access.admission import Admission
from taskpush.errors import AccessEnded, TaskPushError

LOOK_EVERY_S: Final = 5.0
"""Well below the 30 s that somebody may stay for whose credential has ended."""

End = Callable[[TaskPushError], None]
"""Ends something that is open, telling its peer why."""


class Judge(Protocol):
    """Who knows whether an admission still holds."""

    def lets_in(self, admission: Admission) -> bool: ...


class OpenDoor:
    """Something that is open: a socket, a stream, a poll that waits."""

    __slots__ = ("admission", "end")

    def __init__(self, admission: Admission, end: End) -> None:
        self.admission = admission
        self.end = end


class Doorkeeper:
    """Goes through what is open, and ends it where its credential has."""

    def __init__(self, judge: Judge, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._judge = judge
        self._look_every_s = look_every_s
        self._open: dict[OpenDoor, None] = {}
        # None while nothing is open.
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How much is open."""
        return len(self._open)

    def opened(self, admission: Admission, end: End) -> OpenDoor:
        """Call `end` once when the admission holds no more, unless it is closed before."""
        door = OpenDoor(admission, end)
        self._open[door] = None
        if self._timer is None:
            self._later()
        return door

    def closed(self, door: OpenDoor) -> None:
        """It has ended, by whatever; telling it twice is the same as once."""
        self._open.pop(door, None)
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @asynccontextmanager
    async def open_while(self, admission: Admission) -> AsyncIterator[None]:
        """End what happens inside when the admission holds no more: raises `AccessEnded`."""
        limit = asyncio.timeout(None)
        ended: list[TaskPushError] = []

        def end(error: TaskPushError) -> None:
            ended.append(error)
            limit.reschedule(asyncio.get_running_loop().time())

        door = self.opened(admission, end)
        try:
            async with limit:
                yield
        except TimeoutError:
            if ended:
                raise ended[0] from None
            raise
        finally:
            self.closed(door)

    def _later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._look_every_s, self._look_around)

    def _look_around(self) -> None:
        # First, so that nothing which goes wrong below ends the looking.
        self._later()
        # Many may be open by one credential.
        judged: dict[tuple[str, float | None], bool] = {}
        for door in tuple(self._open):
            key = (door.admission.credential, door.admission.expires_at)
            holds = judged.get(key)
            if holds is None:
                holds = judged[key] = self._judge.lets_in(door.admission)
            if not holds and door in self._open:
                self.closed(door)
                self._end(door)

    def _end(self, door: OpenDoor) -> None:
        try:
            door.end(AccessEnded())
        except Exception as error:  # noqa: BLE001 - the others have to end all the same
            told = {"message": "what is open could not be ended", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
