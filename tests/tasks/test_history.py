"""Statistics show a principal what is its own, and nothing of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from taskpush.access.principal import LOCAL, Principal
from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.models.task import TaskError, TaskRecord
from taskpush.runner.context import TaskContext
from taskpush.runner.registry import Registry
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.history import History
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.telemetry.bus import Telemetry

CLOCK = ManualClock()
ANN, BOB = Principal("acme", "ann"), Principal("acme", "bob")


async def job(ctx: TaskContext) -> None:
    """Does nothing."""


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    opened = MemoryStore(clock=CLOCK, telemetry=Telemetry(lambda _: None))
    await opened.open()
    yield opened
    await opened.close()


def history(store: MemoryStore) -> History:
    registry = Registry()
    registry.register("bake", job)
    registry.register("fry", job)
    return History(store, registry, QueueKeeper(store, registry, CLOCK, Telemetry()))


async def ran(
    store: MemoryStore, owner: Principal, number: int, *, kind: str = "bake", fails: bool = False
) -> None:
    """A task that waited 2 s and took 10 s for each of its number."""
    task_id = f"{owner.tenant}-{owner.owner}-{kind}-{number}"
    record = TaskRecord(task_id, kind, owner.tenant, owner.owner, {}, CLOCK.now())
    await store.create([record])
    CLOCK.wind(2)
    await store.write(task_id, lifecycle.start(store.epoch, CLOCK.now()))
    CLOCK.wind(10 * number)
    error = TaskError(error="no", error_type="E", code="raised")
    end = (
        lifecycle.fail(1, CLOCK.now(), error)
        if fails
        else lifecycle.complete(1, CLOCK.now(), result=None)
    )
    await store.write(task_id, end)


async def test_each_day_says_what_became_of_the_principals_tasks(store: MemoryStore) -> None:
    for number in (1, 2, 3):
        await ran(store, ANN, number)
    await ran(store, ANN, 4, fails=True)
    await ran(store, BOB, 100)
    await ran(store, Principal("other", "ann"), 200)
    await ran(store, ANN, 5, kind="gone")
    answer = await history(store).stats(ANN, kind=None, days=1)
    baked, other = answer.days
    assert (baked.day, baked.kind) == (CLOCK.now().date(), "bake")
    assert (baked.completed, baked.failed, baked.cancelled, baked.interrupted) == (3, 1, 0, 0)
    assert (baked.failure_rate, baked.median_seconds, baked.p95_seconds) == (0.25, 20, 30)
    assert baked.median_wait_seconds == 2
    assert (other.kind, other.completed, other.failure_rate) == ("gone", 1, 0.0)
    assert [(each.kind, each.accuracy.count) for each in answer.estimates] == [
        ("bake", 0),
        ("fry", 0),
    ]
    assert answer.store is None


async def test_one_kind_and_so_many_days(store: MemoryStore) -> None:
    await ran(store, ANN, 1)
    CLOCK.wind(timedelta(days=1).total_seconds())
    await ran(store, ANN, 2)
    await ran(store, ANN, 1, kind="fry")
    looked = history(store)
    assert len((await looked.stats(ANN, kind=None, days=2)).days) == 3
    assert len((await looked.stats(ANN, kind="bake", days=2)).days) == 2
    (today,) = (await looked.stats(ANN, kind="bake", days=1)).days
    assert today.day == CLOCK.now().date()
    answer = await looked.stats(ANN, kind="fry", days=1)
    assert [each.kind for each in answer.estimates] == ["fry"]
    assert (await looked.stats(ANN, kind="unknown", days=9)).estimates == []


async def test_the_size_of_the_store_is_for_those_who_may_see_all(store: MemoryStore) -> None:
    await ran(store, ANN, 1)
    answer = await history(store).stats(LOCAL, kind=None, days=1)
    assert answer.days == []
    assert answer.store is not None
    assert (answer.store.tasks, answer.store.events) == (1, 3)
