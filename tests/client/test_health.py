"""The state that a client shows of its connections."""

from __future__ import annotations

import asyncio

import pytest

from taskpush.client import ConnectionState, ConnectionStatus, health
from taskpush.client.health import OFFLINE, Health

LIVE = ConnectionStatus.LIVE
RECOVERING = ConnectionState(ConnectionStatus.RECOVERING)
STALE = ConnectionState(ConnectionStatus.STALE)


class Shown:
    """What was told, in order."""

    def __init__(self) -> None:
        self.states: list[ConnectionState] = []
        self.changed = asyncio.Event()

    def __call__(self, state: ConnectionState) -> None:
        self.states.append(state)
        self.changed.set()


async def test_a_connection_is_live_recovering_and_offline() -> None:
    shown = Shown()
    state = Health(shown)
    assert state.state == OFFLINE
    state.live("a", "socketio")
    state.lost("a")
    state.live("a", "sse")
    state.ended("a")
    assert shown.states == [
        ConnectionState(LIVE, "socketio"),
        RECOVERING,
        ConnectionState(LIVE, "sse"),
        OFFLINE,
    ]


async def test_a_connection_that_stays_away_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STALE_AFTER_S", 0.05)
    shown = Shown()
    state = Health(shown)
    state.live("a", "socketio")
    state.lost("a")
    async with asyncio.timeout(10):
        while state.state != STALE:
            shown.changed.clear()
            await shown.changed.wait()
    state.live("a", "socketio")
    # The next loss begins anew.
    state.lost("a")
    assert shown.states[1:] == [RECOVERING, STALE, ConnectionState(LIVE, "socketio"), RECOVERING]
    state.ended("a")


async def test_several_connections_are_as_good_as_the_worst() -> None:
    shown = Shown()
    state = Health(shown)
    state.live("a", "socketio")
    state.live("b", "socketio")
    state.lost("b")
    state.live("a", "socketio")
    assert state.state == RECOVERING
    state.ended("b")
    assert state.state == ConnectionState(LIVE, "socketio")
    assert len(shown.states) == 3
