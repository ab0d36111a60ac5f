"""Producers outside the server: leases, times and what is told, on a clock that is wound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from taskpush.access.principal import LOCAL
from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.errors import (
    IllegalTransition,
    InvalidRequest,
    ProducerGap,
    StaleAttempt,
    TaskPushError,
)
from taskpush.ids import new_task_id
from taskpush.models.events import EventType, Status
from taskpush.models.position import START
from taskpush.models.producing import ReportBatch, ReportsTaken
from taskpush.models.task import TaskRecord
from taskpush.runner.producing.attempts import ReportedAttempts
from taskpush.runner.recorder import LogBudget
from taskpush.runner.registry import Registry
from taskpush.runner.workshop import Workshop
from taskpush.store.blobs import Blobs
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.producing import Producers, SentFile
from taskpush.tasks.recovery import reported_tasks, settle_abandoned
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import TelemetryEvent

LEASE_S = 15.0
START_EVENT = ("status_change", {"status": "running"})
END_EVENT = ("status_change", {"status": "completed", "result": None})


class Studio:
    """A server's part for producers, and one producer."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.said: list[TelemetryEvent] = []
        self.telemetry = Telemetry(self.said.append)
        self.store = MemoryStore(clock=self.clock, telemetry=self.telemetry)
        self.blobs = Blobs(folder)
        self.registry = Registry()
        self.registry.declare("render", params=dict[str, Any], max_attempts=1)
        self.seq = 0

    async def open(self) -> None:
        await self.store.open()
        workshop = Workshop(
            self.store, self.blobs, self.telemetry, self.clock, log_budget=LogBudget(records=3)
        )
        self.attempts = ReportedAttempts(workshop, self.registry, lease_s=LEASE_S)
        self.producers = Producers(self.store, self.registry, self.blobs, self.attempts)
        self.attempts.start(await reported_tasks(self.store))

    async def close(self) -> None:
        await self.attempts.close()
        await self.store.close()

    async def create(self, **fields: Any) -> str:
        record = TaskRecord(
            task_id=new_task_id(),
            kind="render",
            tenant=LOCAL.tenant,
            owner=LOCAL.owner,
            params={},
            created_at=self.clock.now(),
            **fields,
        )
        await self.store.write(record.task_id, lifecycle.create(record))
        return record.task_id

    async def say(self, task_id: str, *events: tuple[str, dict[str, Any]]) -> ReportsTaken:
        batch = {
            "attempt": 1,
            "producer_id": "p1",
            "events": [
                {"producer_seq": self.seq + n, "event_type": event_type, "data": data}
                for n, (event_type, data) in enumerate(events, 1)
            ],
        }
        answer = await self.producers.report(LOCAL, task_id, ReportBatch.model_validate(batch))
        self.seq += len(events)
        return answer

    async def pass_time(self, seconds: int) -> None:
        """As the server sees it: it looks every second."""
        for _ in range(seconds):
            self.clock.wind(1)
            await self.attempts.look()

    async def record(self, task_id: str) -> TaskRecord:
        record = await self.store.get(task_id)
        assert record is not None
        return record

    async def latest(self, task_id: str, event_type: EventType) -> dict[str, Any]:
        volatile = (await self.record(task_id)).latest[event_type]
        data: dict[str, Any] = orjson.loads(volatile.body)["data"]
        return data

    async def log(self, task_id: str) -> list[dict[str, Any]]:
        page = await self.store.read(task_id, START, 1000)
        return [orjson.loads(event.body) for event in page.events]


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    studio = Studio(tmp_path)
    await studio.open()
    yield studio
    await studio.close()


async def test_whoever_is_not_heard_of_is_lost(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)
    await studio.pass_time(14)
    assert (await studio.record(task_id)).status is Status.RUNNING
    await studio.pass_time(2)
    record = await studio.record(task_id)
    assert (record.status, record.reason) == (Status.INTERRUPTED, "producer_lost")
    assert [event.name for event in studio.said] == ["task.started", "producer.lost", "task.ended"]
    with pytest.raises(IllegalTransition):
        await studio.say(task_id, END_EVENT)


async def test_any_sign_of_life_renews_the_lease(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)
    for sign in ((), (("log", {"message": "a"}),), (("stats", {"a": 1}),)) * 2:
        await studio.pass_time(14)
        await studio.say(task_id, *sign)
    # Also what is wrong was said by somebody.
    await studio.pass_time(14)
    await studio.say(task_id, ("progress", {"progress_percent": 50.0}))
    await studio.pass_time(14)
    with pytest.raises(InvalidRequest):
        await studio.say(task_id, ("progress", {"progress_percent": 40.0}))
    await studio.pass_time(14)
    studio.seq += 1
    with pytest.raises(ProducerGap):
        await studio.say(task_id, ("log", {"message": "too far"}))
    await studio.pass_time(14)
    assert (await studio.record(task_id)).status is Status.RUNNING


async def test_a_file_that_takes_long_renews_the_lease_while_it_comes(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(4):
            await studio.pass_time(10)
            yield b"x"

    sent = SentFile(1, "p1", "a.txt", None)
    taken, fresh = await studio.producers.keep(LOCAL, task_id, sent, slowly())
    assert (taken.size_bytes, taken.media_type, fresh) == (4, "text/plain", True)


async def test_a_server_that_stood_still_loses_nobody(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)
    await studio.pass_time(5)
    studio.clock.wind(90)
    await studio.attempts.look()
    await studio.pass_time(5)
    assert (await studio.record(task_id)).status is Status.RUNNING
    await studio.pass_time(6)
    assert (await studio.record(task_id)).status is Status.INTERRUPTED


async def test_the_wall_clock_ends_no_lease(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)
    studio.clock.set_back(3600)
    await studio.pass_time(10)
    studio.clock.set_back(-7200)
    await studio.pass_time(4)
    assert (await studio.record(task_id)).status is Status.RUNNING


async def test_a_restart_counts_anew_and_goes_on_where_it_was(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT, ("progress", {"completed": 30, "total": 60}))
    await studio.say(task_id, ("stats", {"rays": 7}))
    await studio.pass_time(10)
    await studio.close()
    studio.clock.wind(20)
    await studio.open()
    assert await settle_abandoned(studio.store, studio.clock) == 0
    await studio.pass_time(14)
    with pytest.raises(InvalidRequest, match=r"events\.0: progress went back from 50 to 40"):
        await studio.say(task_id, ("progress", {"completed": 24}))
    await studio.say(task_id, ("progress", {"completed": 45}), ("stats", {"hits": 2}), END_EVENT)
    progress = await studio.latest(task_id, EventType.PROGRESS)
    assert (progress["progress_percent"], progress["total"]) == (75, 60)
    assert progress["elapsed_seconds"] == 44
    stats = await studio.latest(task_id, EventType.STATS)
    assert stats == {"elapsed_seconds": 44, "rays": 7, "hits": 2}


async def test_a_task_that_takes_too_long_has_failed(studio: Studio) -> None:
    task_id = await studio.create(timeout_s=5.0)
    await studio.say(task_id, START_EVENT)
    await studio.pass_time(4)
    assert (await studio.record(task_id)).status is Status.RUNNING
    await studio.pass_time(1)
    record = await studio.record(task_id)
    assert (record.status, record.reason) == (Status.FAILED, "timeout")


async def test_a_lost_producer_that_was_to_stop_is_cancelled(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)
    await studio.store.write(task_id, lifecycle.cancel(None, studio.clock.now()))
    assert (await studio.say(task_id)).cancel_wanted is True
    await studio.pass_time(16)
    assert (await studio.record(task_id)).status is Status.CANCELLED


async def test_a_cancel_to_keep_ends_interrupted(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)
    await studio.store.write(task_id, lifecycle.cancel(None, studio.clock.now(), keep=True))
    answer = await studio.say(task_id, ("status_change", {"status": "cancelled"}))
    assert answer.status is Status.INTERRUPTED


async def test_what_is_refused_leaves_the_attempt_as_it_was(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)
    with pytest.raises(IllegalTransition):
        await studio.say(task_id, START_EVENT, END_EVENT)
    await studio.say(task_id, ("progress", {"progress_percent": 10.0}))
    assert (await studio.latest(task_id, EventType.PROGRESS))["progress_percent"] == 10
    # And its lease runs.
    await studio.pass_time(16)
    assert (await studio.record(task_id)).status is Status.INTERRUPTED


async def test_a_start_that_was_refused_leaves_the_task_to_others(studio: Studio) -> None:
    task_id = await studio.create()
    with pytest.raises(InvalidRequest, match=r"events\.1"):
        await studio.say(task_id, START_EVENT, ("preview", {"media_type": "x", "content": ""}))
    with pytest.raises(IllegalTransition):
        await studio.say(task_id)
    await studio.pass_time(20)
    assert (await studio.record(task_id)).status is Status.PENDING
    assert (await studio.say(task_id, START_EVENT)).status is Status.RUNNING


async def test_what_the_log_does_not_take_any_more_is_counted_at_the_end(studio: Studio) -> None:
    task_id = await studio.create()
    lines = [("log", {"message": f"line {n}"}) for n in range(5)]
    answer = await studio.say(task_id, START_EVENT, *lines)
    assert [it is not None for it in answer.positions] == [True] * 4 + [False] * 2
    await studio.say(task_id, END_EVENT)
    said = [e["data"] for e in await studio.log(task_id) if e["event_type"] == "log"]
    assert [each["message"] for each in said[:3]] == ["line 0", "line 1", "line 2"]
    assert said[3]["fields"] == {"left_out": 2}


async def test_nothing_follows_the_end_of_an_attempt(studio: Studio) -> None:
    task_id = await studio.create()
    with pytest.raises(InvalidRequest, match=r"events\.2: nothing follows"):
        await studio.say(task_id, START_EVENT, END_EVENT, ("log", {"message": "more"}))


async def test_files_of_an_attempt_that_is_over_are_refused(studio: Studio) -> None:
    task_id = await studio.create()
    await studio.say(task_id, START_EVENT)

    async def content() -> AsyncIterator[bytes]:
        await studio.say(task_id, END_EVENT)
        yield b"late"

    with pytest.raises(IllegalTransition):
        await studio.producers.keep(LOCAL, task_id, SentFile(1, "p1", "a", None), content())
    with pytest.raises(StaleAttempt):
        await studio.producers.keep(LOCAL, task_id, SentFile(2, "p1", "a", None), content())
    with pytest.raises(TaskPushError) as caught:
        await studio.producers.keep(LOCAL, new_task_id(), SentFile(1, "p1", "a", None), content())
    assert caught.value.code == "not_found"
