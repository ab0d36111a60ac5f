"""A restart: what was running is interrupted, and what may go on by itself does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.models.events import Status
from taskpush.models.task import TaskRecord
from taskpush.runner.context import TaskContext
from taskpush.runner.registry import Registry
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.recovery import resume_interrupted, settle_abandoned
from taskpush.telemetry.bus import Telemetry

CLOCK = ManualClock()


async def job(ctx: TaskContext) -> None:
    """Does nothing."""


@pytest.fixture
def registry() -> Registry:
    kinds = Registry()
    kinds.register("auto", job, resume="auto")
    kinds.register("manual", job)
    return kinds


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    opened = MemoryStore(clock=CLOCK, telemetry=Telemetry(lambda _: None))
    await opened.open()
    yield opened
    await opened.close()


async def running(store: MemoryStore, task_id: str, kind: str = "auto", priority: int = 0) -> None:
    record = TaskRecord(task_id, kind, "t", "o", {}, CLOCK.now(), priority=priority)
    await store.write(task_id, lifecycle.create(record))
    await store.write(task_id, lifecycle.start(store.epoch, CLOCK.now()))


async def restart(store: MemoryStore, registry: Registry) -> list[str]:
    """Returns what waits then."""
    await store.close()
    await store.open()
    await settle_abandoned(store, CLOCK)
    await resume_interrupted(store, registry)
    return [each.task_id for each in await store.waiting()]


async def test_abandoned_tasks_of_auto_kinds_go_on_in_their_old_order(
    store: MemoryStore, registry: Registry
) -> None:
    for number in range(3):
        await running(store, f"t{number}")
    await running(store, "urgent", priority=1)
    await running(store, "by-hand", "manual")
    assert await restart(store, registry) == ["urgent", "t0", "t1", "t2"]
    resumed, kept = await store.get("t0"), await store.get("by-hand")
    assert resumed is not None
    assert kept is not None
    assert (resumed.attempt, resumed.interruptions) == (2, 1)
    assert kept.status is Status.INTERRUPTED


@pytest.mark.parametrize("reason", ["server_stopped", "worker_lost"])
async def test_what_a_graceful_stop_interrupted_goes_on_too(
    store: MemoryStore, registry: Registry, reason: str
) -> None:
    await running(store, "t1")
    await store.write("t1", lifecycle.interrupt(1, CLOCK.now(), reason=reason, message="gone"))
    assert await restart(store, registry) == ["t1"]


async def test_what_somebody_stopped_stays_as_it_is(store: MemoryStore, registry: Registry) -> None:
    await running(store, "t1")
    await store.write("t1", lifecycle.cancel(1, CLOCK.now(), keep=True))
    await store.write("t1", lifecycle.stop(1, CLOCK.now()))
    assert await restart(store, registry) == []


async def test_the_third_time_without_a_new_checkpoint_is_the_last(
    store: MemoryStore, registry: Registry
) -> None:
    await running(store, "t1")
    for _ in range(2):
        assert await restart(store, registry) == ["t1"]
        await store.write("t1", lifecycle.start(store.epoch, CLOCK.now()))
    assert await restart(store, registry) == []
    record = await store.get("t1")
    assert record is not None
    assert record.status is Status.FAILED
