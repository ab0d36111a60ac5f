"""How a client's connection is, for those who show it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from taskpush.client.doors import Door

STALE_AFTER_S: Final = 10.0
"""After so long without a connection, what is shown may be out of date."""


class ConnectionStatus(StrEnum):
    """In one word."""

    # What is shown is what is.
    LIVE = "live"
    # Lost a moment ago; nothing is missed, and nobody has to be told.
    RECOVERING = "recovering"
    # Lost for longer than `STALE_AFTER_S`.
    STALE = "stale"
    # Not wanted yet, given up, or closed.
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """The status, and the way that events take."""

    status: ConnectionStatus
    # None while there is no connection.
    door: Door | None = None


OnState = Callable[[ConnectionState], None]
"""Is told each change. Must not block or raise."""

OFFLINE: Final = ConnectionState(ConnectionStatus.OFFLINE)


class Health:
    """The state of all connections of a client together: that of the worst."""

    def __init__(self, on_state: OnState) -> None:
        self.state = OFFLINE
        self._on_state = on_state
        # By connection: the door, or None while it is lost.
        self._doors: dict[object, Door | None] = {}
        self._stale = False
        # None unless one was lost lately.
        self._timer: asyncio.TimerHandle | None = None

    def live(self, connection: object, door: Door) -> None:
        """The connection goes through this door now."""
        self._doors[connection] = door
        self._tell()

    def lost(self, connection: object) -> None:
        """The connection was lost, and is being restored."""
        self._doors[connection] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STALE_AFTER_S, self._on_stale)
        self._tell()

    def ended(self, connection: object) -> None:
        """The connection was given up or closed."""
        self._doors.pop(connection, None)
        self._tell()

    def _on_stale(self) -> None:
        self._stale = True
        self._tell()

    def _tell(self) -> None:
        doors = tuple(self._doors.values())
        if None not in doors and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._stale = False
        state = self._present(doors)
        if state != self.state:
            self.state = state
            self._on_state(state)

    def _present(self, doors: tuple[Door | None, ...]) -> ConnectionState:
        if not doors:
            return OFFLINE
        if None in doors:
            return ConnectionState(
                ConnectionStatus.STALE if self._stale else ConnectionStatus.RECOVERING
            )
        return ConnectionState(ConnectionStatus.LIVE, doors[-1])
