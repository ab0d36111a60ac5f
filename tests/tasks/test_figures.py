"""How the server is: what is counted once for all who ask, and what is told when it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from taskpush.access.principal import LOCAL, Principal
from taskpush.access.turnstile import Turnstile
from taskpush.clock import ManualClock
from taskpush.core.limits import DEFAULT_LIMITS
from taskpush.errors import Forbidden, StoreUnavailable
from taskpush.models.server import ServerFigures
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll
from taskpush.runner.registry import Registry
from taskpush.store.base import StoreUsage
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks import figures as module
from taskpush.tasks.figures import FRESH_S, Figures
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.lag import LoopLag
from tests.store.harness import Harness, progress, say


class _Counted(MemoryStore):
    """Says how often it was counted, and may take its time or fail."""

    def __init__(self, *, clock: ManualClock, telemetry: Telemetry) -> None:
        super().__init__(clock=clock, telemetry=telemetry)
        self.counts = 0
        self.fails = False
        self.answers = asyncio.Event()
        self.answers.set()

    @override
    async def usage(self) -> StoreUsage:
        self.counts += 1
        await self.answers.wait()
        if self.fails:
            raise StoreUnavailable("gone")
        return await super().usage()


class _Scene:
    def __init__(self) -> None:
        self.harness = Harness(lambda clock, telemetry: _Counted(clock=clock, telemetry=telemetry))
        assert isinstance(self.harness.store, _Counted)
        self.store = self.harness.store
        self.clock = self.harness.clock
        telemetry, plane = Telemetry(), PushPlane(self.store)
        self.figures = Figures(
            self.store,
            plane,
            Roll(plane.dispatcher, self.clock.now),
            QueueKeeper(self.store, Registry(), self.clock, telemetry),
            Turnstile(DEFAULT_LIMITS, telemetry, self.clock.monotonic),
            LoopLag(),
            self.clock,
            limits=DEFAULT_LIMITS,
            version="1",
        )
        self.store.listen(self.figures.on_commit)

    async def read(self) -> ServerFigures:
        return await self.figures.read(LOCAL)


@pytest.fixture
async def scene() -> AsyncIterator[_Scene]:
    scene = _Scene()
    await scene.store.open()
    yield scene
    await scene.figures.close()
    await scene.store.close()


async def test_however_many_ask_the_store_is_counted_once_a_minute(scene: _Scene) -> None:
    await scene.harness.create()
    for minute in (1, 2):
        told = await asyncio.gather(*(scene.read() for _ in range(100)))
        assert {each.store and each.store.tasks for each in told} == {minute}
        assert scene.store.counts == minute
        await scene.harness.create()
        scene.clock.wind(FRESH_S)


async def test_an_answer_does_not_wait_for_long_and_has_the_count_before(
    scene: _Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    scene.store.answers.clear()
    assert (await scene.read()).store is None
    scene.store.answers.set()
    while (first := (await scene.read()).store) is None:
        pass
    scene.store.answers.clear()
    scene.clock.wind(FRESH_S)
    assert (await scene.read()).store == first
    assert scene.store.counts == 2


async def test_who_goes_away_takes_the_count_from_nobody(scene: _Scene) -> None:
    scene.store.answers.clear()
    first, second = (asyncio.create_task(scene.read()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    scene.store.answers.set()
    assert (await second).store is not None
    assert scene.store.counts == 1


async def test_of_a_store_that_fails_all_the_rest_is_told(scene: _Scene) -> None:
    scene.store.fails = True
    told = await scene.read()
    assert told.store is None
    assert told.rss_bytes > 0


async def test_what_was_committed_and_published_is_counted_by_type(scene: _Scene) -> None:
    task = await scene.harness.create_running()
    await scene.store.write(task.task_id, say("one", "two"))
    scene.store.publish(task.task_id, 1, progress(40))
    told = (await scene.read()).events
    assert {name: count for name, count in told.items() if count} == {
        "status_change": 2,
        "log": 2,
        "progress": 1,
    }


async def test_time_since_the_start_is_told(scene: _Scene) -> None:
    started = scene.clock.now()
    scene.clock.wind(90)
    told = await scene.read()
    assert (told.started_at, told.uptime_seconds) == (started, 90)


async def test_they_are_not_for_everybody(scene: _Scene) -> None:
    with pytest.raises(Forbidden):
        await scene.figures.read(Principal("acme", "ann"))
    assert scene.store.counts == 0
