"""The feeds of a process: who is told what, once for all, at the feed's pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from taskpush.core import lifecycle
from taskpush.core.feeds import Pace
from taskpush.models.feed import Cursor, FeedFilter
from taskpush.push.feed import FeedHub, FeedNews
from taskpush.store.memory.store import MemoryStore
from tests.store.harness import Harness, progress

ALL = FeedFilter("local")


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness(lambda clock, telemetry: MemoryStore(clock=clock, telemetry=telemetry))
    await harness.store.open()
    yield harness
    await harness.store.close()


def make_hub(harness: Harness, pace: Pace | None = None) -> FeedHub:
    hub = FeedHub(harness.store, pace or Pace(interval_s=0))
    harness.store.follow(hub.announce)
    return hub


async def test_each_watcher_is_told_what_changes_in_its_feed(harness: Harness) -> None:
    hub = make_hub(harness)
    watchers = {
        name: Watcher()
        for name in ("all", "kind:train", "tag:x", "owner:me", "kind:layout", "another tenant's")
    }
    for name, where in {
        "all": ALL,
        "kind:train": FeedFilter("local", kind="train"),
        "tag:x": FeedFilter("local", tag="x"),
        "owner:me": FeedFilter("local", owner="bob"),
        "kind:layout": FeedFilter("local", kind="layout"),
        "another tenant's": FeedFilter("other"),
    }.items():
        hub.attach(name, where, watchers[name])
    await harness.create(owner="bob", kind="train", tags=("x", "y"))
    await watchers["all"].told_of(1)
    await watchers["owner:me"].told_of(1)
    assert {name for name, watcher in watchers.items() if watcher.said} == {
        "all",
        "kind:train",
        "tag:x",
        "owner:me",
    }


async def test_a_state_is_encoded_once_for_all_who_watch(harness: Harness) -> None:
    hub = make_hub(harness)
    first, second = Watcher(), Watcher()
    hub.attach("all", ALL, first)
    hub.attach("all", ALL, second)
    await harness.create()
    await first.told_of(1)
    assert first.news[0].message is second.news[0].message


async def test_creation_change_and_deletion_have_their_shapes(harness: Harness) -> None:
    hub = make_hub(harness)
    watcher = Watcher()
    hub.attach("all", ALL, watcher)
    task = await harness.create_running()
    await watcher.told_of(1)
    harness.store.publish(task.task_id, 1, progress(40))
    await watcher.told_of(2)
    await harness.store.write(task.task_id, harness.complete())
    await watcher.told_of(3)
    await harness.store.delete(task.task_id, lifecycle.delete())
    await watcher.told_of(4)
    names = [name for name, _ in watcher.said]
    assert names == ["task_created", "feed_update", "feed_update", "feed_update"]
    states = [payload["task"] for _, payload in watcher.said]
    assert [state.get("status") for state in states] == ["running", "running", "completed", None]
    assert states[1]["latest"]["progress"]["progress_percent"] == 40
    assert states[3] == {"task_id": task.task_id, "deleted": True}
    assert {"params", "result"}.isdisjoint(states[2])
    cursor = watcher.said[-1][1]["cursor"]
    assert hub.seal.open(cursor) == str(Cursor(harness.store.mark))
    assert {payload["feed"] for _, payload in watcher.said} == {"all"}


async def test_a_flood_is_told_at_the_pace_with_the_last_state_of_every_task(
    harness: Harness,
) -> None:
    hub = make_hub(harness, Pace(interval_s=0.01, batch=10))
    watcher = Watcher()
    hub.attach("all", ALL, watcher)
    tasks = [await harness.create_running() for _ in range(40)]
    for percent in range(100):
        for task in tasks:
            harness.store.publish(task.task_id, 1, progress(percent))
    for task in tasks:
        await harness.store.write(task.task_id, harness.complete())
    async with asyncio.timeout(60):
        while sum(state["final"] for state in watcher.states().values()) < 40:
            await watcher.more()
    # 4,080 changes.
    assert len(watcher.said) <= 160
    assert max(watcher.batches) <= 10


async def test_an_agenda_that_is_full_is_left_to_the_store(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskpush.core.feeds.MAX_WAITING", 5)
    hub = make_hub(harness)
    watcher = Watcher()
    hub.attach("all", ALL, watcher)
    records = [harness.new_record() for _ in range(7)]
    await harness.store.create(records)
    assert watcher.overflows == 1
    await watcher.told_of(1)
    assert len(watcher.said) == 1


async def test_nobody_is_told_after_detaching_and_nothing_is_kept(harness: Harness) -> None:
    hub = make_hub(harness)
    watcher, leaver = Watcher(), Watcher()
    hub.attach("all", ALL, watcher)
    hub.attach("all", ALL, leaver)
    await harness.create()
    hub.detach("all", ALL, leaver)
    hub.detach("all", ALL, leaver)
    await watcher.told_of(1)
    assert leaver.said == []
    await harness.create()
    hub.detach("all", ALL, watcher)
    assert hub._feeds == {}


class Watcher:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.news: list[FeedNews] = []
        self.said: list[tuple[str, Any]] = []
        self.batches: list[int] = []
        self.overflows = 0
        self._told = asyncio.Event()

    def on_news(self, news: Sequence[FeedNews]) -> None:
        self.news += news
        self.said += [(each.message.name, orjson.loads(each.message.body)) for each in news]
        self.batches.append(len(news))
        self._told.set()

    def on_overflow(self) -> None:
        self.overflows += 1

    def states(self) -> dict[str, Any]:
        return {payload["task"]["task_id"]: payload["task"] for _, payload in self.said}

    async def more(self) -> None:
        self._told.clear()
        await self._told.wait()

    async def told_of(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.said) < count:
                await self.more()


async def test_what_is_told_is_counted_for_each_who_is_told(harness: Harness) -> None:
    hub = make_hub(harness)
    first, second = Watcher(), Watcher()
    hub.attach("all", ALL, first)
    hub.attach("all", ALL, second)
    hub.attach("tag:x", FeedFilter("local", tag="x"), Watcher())
    assert len(hub) == 2
    await harness.create()
    await first.told_of(1)
    assert hub.told == 2
