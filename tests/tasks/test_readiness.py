"""Whether the server is ready, asked by anybody as often as they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from taskpush.clock import ManualClock
from taskpush.push.hub import Hub
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.readiness import FRESH_S, Readiness
from taskpush.telemetry.bus import Telemetry

READY = {"store": "ok", "push": "ok"}


class _Counted(MemoryStore):
    """Says how often it was to commit for the question alone."""

    probes = 0

    @override
    async def probe(self) -> None:
        self.probes += 1
        await super().probe()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[_Counted]:
    opened = _Counted(clock=clock, telemetry=Telemetry())
    await opened.open()
    yield opened
    await opened.close()


async def test_however_many_ask_it_commits_once_a_second(
    store: _Counted, clock: ManualClock
) -> None:
    readiness = Readiness(store, Hub(lambda: None), clock)
    for second in (1, 2, 3):
        answers = await asyncio.gather(*(readiness.check() for _ in range(500)))
        assert answers == [READY] * 500
        assert await readiness.check() == READY
        assert store.probes == second
        clock.wind(FRESH_S)


async def test_who_goes_away_takes_the_answer_from_nobody(
    store: _Counted, clock: ManualClock
) -> None:
    readiness = Readiness(store, Hub(lambda: None), clock)
    first = asyncio.create_task(readiness.check())
    second = asyncio.create_task(readiness.check())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == READY
    assert store.probes == 1


async def test_a_store_that_fails_is_found_out_within_a_second(
    store: _Counted, clock: ManualClock
) -> None:
    readiness = Readiness(store, Hub(lambda: None), clock)
    assert await readiness.check() == READY
    await store.close()
    clock.wind(FRESH_S)
    assert (await readiness.check())["store"] != "ok"
    assert readiness.code == "store_unavailable"


async def test_that_it_stops_is_said_at_once(store: _Counted, clock: ManualClock) -> None:
    readiness = Readiness(store, Hub(lambda: None), clock)
    assert await readiness.check() == READY
    readiness.stop()
    assert (await readiness.check())["server"] == "it is stopping"
    assert readiness.code == "shutting_down"
