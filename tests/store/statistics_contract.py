"""What `Store` promises of statistics."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from taskpush.core import lifecycle
from taskpush.models.task import TaskError
from taskpush.store.base import TaskFilter
from taskpush.store.daystats import DayStats
from tests.store.harness import LOCAL, Harness


class StatisticsContract:
    """How long tasks took and waited."""

    async def test_a_duration_is_never_negative(self, harness: Harness) -> None:
        await _take(harness, -5)
        (day,) = await harness.store.daily(LOCAL, 1)
        assert (day.median_s, day.p95_s) == (0, 0)

    async def test_a_day_counts_what_ended_on_it(self, harness: Harness) -> None:
        today = harness.clock.now().date()
        await _take(harness, 100, kind="train")
        for seconds in range(1, 21):
            await _take(harness, seconds)
        ends = {
            "failed": lifecycle.fail(
                1, harness.clock.now(), TaskError(error="no", error_type="E", code="raised")
            ),
            "interrupted": lifecycle.interrupt(
                1, harness.clock.now(), reason="worker_lost", message="gone"
            ),
            "cancelled": lifecycle.stop(1, harness.clock.now()),
        }
        for decide in ends.values():
            task_id = (await harness.create_running()).task_id
            await harness.store.write(task_id, decide)
        await harness.create_running()
        first = DayStats(
            day=today,
            kind="layout",
            completed=20,
            failed=1,
            cancelled=1,
            interrupted=1,
            median_s=10,
            p95_s=19,
            median_wait_s=0,
        )
        train = DayStats(today, "train", 1, 0, 0, 0, median_s=100, p95_s=100, median_wait_s=0)
        assert list(await harness.store.daily(LOCAL, 1)) == [first, train]
        harness.clock.wind(24 * 3600)
        await _take(harness, 4, owner="bob", tags=("x",), title="Some")
        second = DayStats(
            today + timedelta(days=1), "layout", 1, 0, 0, 0, median_s=4, p95_s=4, median_wait_s=0
        )
        for where, days, expected in (
            (LOCAL, 2, [first, train, second]),
            (LOCAL, 1, [second]),
            (replace(LOCAL, kind="train"), 2, [train]),
            (replace(LOCAL, owner="bob"), 2, [second]),
            (replace(LOCAL, tag="x"), 2, [second]),
            (replace(LOCAL, q="SOME"), 2, [second]),
            (TaskFilter("other"), 2, []),
        ):
            assert list(await harness.store.daily(where, days)) == expected, where

    async def test_a_task_waits_from_when_it_was_due(self, harness: Harness) -> None:
        due = harness.clock.now() + timedelta(seconds=60)
        delayed = await harness.create(run_at=due)
        plain = await harness.create(kind="plain")
        harness.clock.wind(75)
        for record in (delayed, plain):
            await harness.store.write(record.task_id, harness.start())
            await harness.store.write(record.task_id, harness.complete())
        days = await harness.store.daily(LOCAL, 1)
        assert [(day.kind, day.median_wait_s) for day in days] == [("layout", 15), ("plain", 75)]

    async def test_a_retry_by_hand_has_no_known_wait(self, harness: Harness) -> None:
        record = await harness.create_running()
        await harness.store.write(record.task_id, lifecycle.stop(1, harness.clock.now()))
        await harness.store.write(record.task_id, lifecycle.retry(1))
        assert list(await harness.store.daily(LOCAL, 1)) == []
        await harness.store.write(record.task_id, harness.start())
        harness.clock.wind(2)
        await harness.store.write(
            record.task_id, lifecycle.complete(2, harness.clock.now(), result=None)
        )
        (day,) = await harness.store.daily(LOCAL, 1)
        assert (day.completed, day.median_s, day.median_wait_s) == (1, 2, None)


async def _take(harness: Harness, seconds: float, **fields: Any) -> None:
    """Run a task that takes so long."""
    task_id = (await harness.create_running(**fields)).task_id
    harness.clock.wind(seconds)
    await harness.store.write(task_id, harness.complete())
    harness.clock.wind(-seconds)
    # So that no two end at once.
    harness.clock.wind(0.001 + seconds * 0.001)
