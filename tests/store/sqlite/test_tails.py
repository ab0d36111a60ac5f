"""Reports of running tasks lie together until there are enough of one task."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import apsw
import pytest

from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.models.events import EventType
from taskpush.models.feed import FeedFilter
from taskpush.models.position import START
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord
from taskpush.store.base import TaskFilter
from taskpush.store.sqlite.store import SqliteStore
from taskpush.store.sqlite.tails import FILLING, MAX_BODY_BYTES, RecentEvents
from taskpush.telemetry.bus import Telemetry
from tests.store.harness import Harness, say

MAX_RECENT = 40
STEP = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
async def harness(path: Path) -> AsyncIterator[Harness]:
    """With room for few."""
    harness = Harness(lambda clock, telemetry: SqliteStore(path, clock=clock, telemetry=telemetry))
    await harness.store.open()
    recent = RecentEvents(max_recent=MAX_RECENT, max_tail=8, step=STEP)
    assert isinstance(harness.store, SqliteStore)
    assert harness.store._state is not None
    harness.store._state.files.recent = recent
    yield harness
    await harness.store.close()


@pytest.fixture
def file(path: Path, harness: Harness) -> apsw.Connection:
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)


def in_log(file: apsw.Connection) -> int:
    return int(file.execute("SELECT count(*) FROM events").get)


def recent(file: apsw.Connection) -> int:
    return int(file.execute("SELECT count(*) FROM recent_events").get)


async def after_a_crash(
    path: Path, task_ids: Sequence[str]
) -> dict[str, tuple[TaskRecord, Sequence[LoggedEvent]] | None]:
    """What a server finds that opens what is on disk at this moment."""
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    store = SqliteStore(copy, clock=ManualClock(), telemetry=Telemetry())
    await store.open()
    found: dict[str, tuple[TaskRecord, Sequence[LoggedEvent]] | None] = dict.fromkeys(task_ids)
    for task_id in task_ids:
        record = await store.get(task_id)
        if record is not None:
            found[task_id] = (record, (await store.read(task_id, START, 10_000)).events)
    await store.close()
    return found


async def test_a_report_is_not_in_its_log_until_the_task_ends(
    harness: Harness, file: apsw.Connection
) -> None:
    task_id = (await harness.create_running()).task_id
    await harness.store.write(task_id, say("a"))
    await harness.store.write(task_id, say("b", "c"))
    assert (in_log(file), recent(file)) == (2, 3)
    assert [event.seq for event in await harness.log(task_id)] == [1, 2, 3, 4, 5]
    assert (await harness.store.usage()).events == 5
    await harness.store.write(task_id, harness.complete())
    assert in_log(file) == 6
    assert (await harness.store.usage()).events == 6


async def test_many_events_of_one_task_go_to_its_log_at_once(
    harness: Harness, file: apsw.Connection
) -> None:
    task_id = (await harness.create_running()).task_id
    await harness.store.write(task_id, say("a"))
    await harness.store.write(task_id, say(*"b" * FILLING))
    assert in_log(file) == 3 + FILLING
    assert len(await harness.log(task_id)) == 3 + FILLING


@pytest.mark.parametrize(
    "event",
    [
        NewEvent(EventType.ARTIFACT, {"name": "a"}),
        NewEvent(EventType.LOG, {"message": "x" * MAX_BODY_BYTES}),
    ],
)
async def test_what_is_sought_by_its_type_or_large_goes_to_the_log_with_all_before_it(
    harness: Harness, file: apsw.Connection, event: NewEvent
) -> None:
    task_id = (await harness.create_running()).task_id
    await harness.store.write(task_id, say("a"))
    await harness.store.write(task_id, lifecycle.report(1, [event]))
    assert in_log(file) == 4
    await harness.store.write(task_id, say("b"))
    assert in_log(file) == 4
    assert [event.seq for event in await harness.log(task_id)] == [1, 2, 3, 4, 5]


async def test_a_trim_takes_what_was_just_said_too(harness: Harness, path: Path) -> None:
    def anyway(record: TaskRecord | None) -> lifecycle.Decision:
        assert record is not None
        return lifecycle.Decision(record)

    task_id = (await harness.create_running()).task_id
    await harness.store.write(task_id, say("a", "b", "c"))
    assert await harness.store.trim(task_id, anyway, keep_last=2) > 0
    await harness.store.write(task_id, say("d"))
    log = await harness.log(task_id)
    assert [event.seq for event in log] == [4, 5, 6]
    found = (await after_a_crash(path, [task_id]))[task_id]
    assert found is not None
    assert found[1] == log


async def test_what_was_deleted_is_gone_after_a_crash(harness: Harness, path: Path) -> None:
    task_id = (await harness.create_running()).task_id
    await harness.store.write(task_id, say("a"))
    await harness.store.write(task_id, harness.complete())
    await harness.store.delete(task_id, lifecycle.delete())
    assert await after_a_crash(path, [task_id]) == {task_id: None}


async def test_lists_and_feeds_know_where_a_log_ends(harness: Harness) -> None:
    task_id = (await harness.create_running()).task_id
    harness.clock.wind(5)
    await harness.store.write(task_id, say("a"))
    record = await harness.store.get(task_id)
    page = await harness.store.tasks(TaskFilter("local"), limit=10)
    assert page.records == [record]
    active = await harness.store.changes(FeedFilter("local"), after=None, limit=10)
    assert active.tasks == [record]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_order_nothing_is_lost_and_little_waits(
    harness: Harness, file: apsw.Connection, path: Path, seed: int
) -> None:
    random = Random(seed)
    tasks = [(await harness.create_running()).task_id for _ in range(20)]
    running = list(tasks)
    logs: dict[str, list[LoggedEvent]] = {
        task_id: list(await harness.log(task_id)) for task_id in tasks
    }
    for _ in range(300):
        # A few talk much, most talk little.
        task_id = running[min(random.randrange(len(running)), random.randrange(len(running)))]
        ends = len(running) > 5 and random.random() < 0.03
        decide = harness.complete() if ends else say(*("x" * random.randrange(1, 4)))
        commit = await harness.store.write(task_id, decide)
        logs[task_id] += commit.events
        if ends:
            running.remove(task_id)
        assert recent(file) <= 5 * MAX_RECENT
    for task_id in tasks:
        assert await harness.log(task_id) == logs[task_id]
    assert (await harness.store.usage()).events == sum(map(len, logs.values()))
    waiting = sum(map(len, logs.values())) - in_log(file)
    assert 0 < waiting <= MAX_RECENT + STEP
    found = await after_a_crash(path, tasks)
    for task_id in tasks:
        assert found[task_id] == (await harness.store.get(task_id), logs[task_id])
