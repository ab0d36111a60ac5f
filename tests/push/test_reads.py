"""Readers share a page only while it cannot lack what one of them knows of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from typing_extensions import override

from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.errors import NotFound
from taskpush.models.events import EventType
from taskpush.models.position import Position
from taskpush.models.task import NewEvent, TaskRecord
from taskpush.push.plane import PushPlane
from taskpush.store.base import MAX_PAGE_BYTES, LogPage
from taskpush.store.memory.store import MemoryStore
from taskpush.telemetry.bus import Telemetry

TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


class _SlowStore(MemoryStore):
    """Reads at once, and answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(clock=SystemClock(), telemetry=Telemetry())
        self.reads = 0
        self.has_read = asyncio.Event()
        self.answer = asyncio.Event()

    @override
    async def read(
        self, task_id: str, after: Position, limit: int, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> LogPage:
        self.reads += 1
        page = await super().read(task_id, after, limit, max_bytes=max_bytes)
        self.has_read.set()
        await self.answer.wait()
        return page

    async def say(self) -> None:
        line = NewEvent(EventType.LOG, {"level": "info", "message": "x"})
        await self.write(TASK, lifecycle.report(1, [line]))


@pytest.fixture
async def store() -> AsyncIterator[_SlowStore]:
    store = _SlowStore()
    await store.open()
    now = datetime.now(UTC)
    await store.write(TASK, lifecycle.create(TaskRecord(TASK, "k", "t", "o", {}, now)))
    await store.write(TASK, lifecycle.start(store.epoch, now))
    yield store
    await store.close()


async def test_many_who_ask_for_the_same_page_cost_one_reading(store: _SlowStore) -> None:
    reader = PushPlane(store).reader
    asking = [asyncio.create_task(reader.page(TASK, 0)) for _ in range(100)]
    await asyncio.sleep(0)
    store.answer.set()
    pages = await asyncio.gather(*asking)
    assert store.reads == 1
    assert {len(page.events) for page in pages} == {2}
    assert reader._reading == {}


async def test_who_asks_after_an_event_reads_anew_and_sees_it(store: _SlowStore) -> None:
    reader = PushPlane(store).reader
    early = asyncio.create_task(reader.page(TASK, 0))
    await store.has_read.wait()
    await store.say()
    late = asyncio.create_task(reader.page(TASK, 0))
    await asyncio.sleep(0)
    store.answer.set()
    assert [len((await page).events) for page in (early, late)] == [2, 3]
    assert reader._reading == {}


async def test_other_positions_are_read_for_themselves(store: _SlowStore) -> None:
    reader = PushPlane(store).reader
    store.answer.set()
    pages = await asyncio.gather(reader.page(TASK, 0), reader.page(TASK, 1))
    assert [len(page.events) for page in pages] == [2, 1]


async def test_who_goes_away_does_not_take_the_page_from_the_others(store: _SlowStore) -> None:
    reader = PushPlane(store).reader
    leaving, staying = (asyncio.create_task(reader.page(TASK, 0)) for _ in range(2))
    await store.has_read.wait()
    leaving.cancel()
    store.answer.set()
    assert len((await staying).events) == 2


async def test_what_the_store_raises_reaches_everybody(store: _SlowStore) -> None:
    reader = PushPlane(store).reader
    store.answer.set()
    results = await asyncio.gather(
        *(reader.page("unknown", 0) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [NotFound] * 3
    assert reader._reading == {}
