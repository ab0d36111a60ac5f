"""Retention at work: what goes, what stays, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.core.retention import Fate, Judge, Keep, Retention
from taskpush.errors import NotFound
from taskpush.models.audit import Action, AuditEntry, AuditFilter, Door
from taskpush.models.events import EventType, Status
from taskpush.models.position import START
from taskpush.models.task import NewEvent, TaskError, TaskRecord
from taskpush.store.base import MAX_FORGOTTEN_ENTRIES, Announcement, Store, TaskDeleted
from taskpush.store.blobs import Blobs
from taskpush.store.memory.store import MemoryStore
from taskpush.store.sqlite.store import SqliteStore
from taskpush.tasks.retention import RetentionRounds, carry_out, verdicts
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AuditForgotten, RetentionPruned, TelemetryEvent

DAY = timedelta(days=1)


class _Scene:
    """A store with its files, on a clock that stands."""

    def __init__(self, adapter: str, folder: Path) -> None:
        self.clock = ManualClock()
        self.said: list[TelemetryEvent] = []
        self.told: list[Announcement] = []
        self.path = folder / "taskpush.db"
        telemetry = Telemetry(self.said.append)
        self.store: Store = (
            MemoryStore(clock=self.clock, telemetry=telemetry)
            if adapter == "memory"
            else SqliteStore(self.path, clock=self.clock, telemetry=telemetry)
        )
        self.store.listen(self._note)
        self.blobs = Blobs(folder)
        self._stirred = asyncio.Event()
        self._telemetry = telemetry

    def _note(self, events: Sequence[Announcement]) -> None:
        self.told += events
        self._stirred.set()

    async def until_deleted(self, task_id: str) -> None:
        async with asyncio.timeout(10):
            while TaskDeleted(task_id) not in self.told:
                self._stirred.clear()
                await self._stirred.wait()

    def rounds(
        self, retention: Retention, *, audit_age: timedelta | None = None, **of_kinds: Retention
    ) -> RetentionRounds:
        return RetentionRounds(
            self.store,
            self.blobs,
            self.clock,
            self._telemetry,
            retention=retention,
            of_kinds=of_kinds,
            audit_age=audit_age,
            interval_s=0.01,
        )

    async def create(
        self, task_id: str, kind: str = "layout", *, lines: int = 3, size: int = 1000
    ) -> str:
        """A running task that has said something."""
        record = TaskRecord(task_id, kind, "local", "local", {}, self.clock.now())
        await self.store.create([record])
        await self.store.write(task_id, lifecycle.start(self.store.epoch, self.clock.now()))
        line = NewEvent(EventType.LOG, {"level": "info", "message": "x" * size})
        await self.store.write(task_id, lifecycle.report(1, [line] * lines))
        return task_id

    async def end(self, task_id: str) -> None:
        await self.store.write(task_id, lifecycle.complete(1, self.clock.now(), result=task_id))

    async def create_ended(
        self, *task_ids: str, kind: str = "layout", lines: int = 3, size: int = 1000
    ) -> None:
        """One after the other, a day apart; it is a day later afterwards."""
        for task_id in task_ids:
            await self.end(await self.create(task_id, kind, lines=lines, size=size))
            self.clock.wind(DAY.total_seconds())

    async def entries(self) -> int:
        """How many the audit trail has."""
        return len(await self.store.audit(AuditFilter("local"), limit=10_000))

    async def state(self) -> dict[str, int]:
        """How many events each finished task has, oldest first."""
        found = await self.store.finished(limit=1000)
        return {task.task_id: task.events for task in reversed(found)}


@asynccontextmanager
async def _opened(adapter: str, folder: Path) -> AsyncIterator[_Scene]:
    scene = _Scene(adapter, folder)
    await scene.store.open()
    try:
        yield scene
    finally:
        await scene.store.close()


@pytest.fixture(params=["memory", "sqlite"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[_Scene]:
    async with _opened(request.param, tmp_path) as opened:
        yield opened


async def test_old_tasks_are_deleted_and_old_logs_trimmed(scene: _Scene) -> None:
    await scene.create_ended("a", "b", "c", "d")
    retention = Retention(tasks=Keep(max_age=3 * DAY), logs=Keep(max_age=2 * DAY))
    await scene.rounds(retention).round()
    assert await scene.state() == {"b": 1, "c": 6, "d": 6}
    assert [each for each in scene.told if isinstance(each, TaskDeleted)] == [TaskDeleted("a")]
    record = await scene.store.get("b")
    assert record is not None
    assert (record.status, record.result) == (Status.COMPLETED, "b")
    (said,) = [event for event in scene.said if isinstance(event, RetentionPruned)]
    assert (said.deleted, said.trimmed) == (1, 1)
    assert said.freed_bytes > 6000
    await scene.rounds(retention).round()
    assert len([event for event in scene.said if isinstance(event, RetentionPruned)]) == 1


async def test_a_kind_keeps_what_it_says(scene: _Scene) -> None:
    await scene.create_ended("a", "b")
    await scene.create_ended("own-a", "own-b", kind="train")
    rounds = scene.rounds(Retention(tasks=Keep(max_count=1)), train=Retention())
    await rounds.round()
    assert list(await scene.state()) == ["b", "own-a", "own-b"]


async def test_what_is_not_over_for_good_stays(scene: _Scene) -> None:
    await scene.store.create([TaskRecord("p", "k", "local", "local", {}, scene.clock.now())])
    await scene.create("running")
    await scene.create("interrupted")
    stop = lifecycle.interrupt(1, scene.clock.now(), reason="server_stopped", message="gone")
    await scene.store.write("interrupted", stop)
    scene.clock.wind(1000 * DAY.total_seconds())
    nothing = Keep(max_age=timedelta(0), max_count=0, max_bytes=0)
    await scene.rounds(Retention(nothing, nothing, spare=timedelta(0))).round()
    for task_id, events in (("p", 1), ("running", 5), ("interrupted", 6)):
        assert len((await scene.store.read(task_id, START, 100)).events) == events


async def test_what_was_retried_since_it_was_judged_is_left_alone(scene: _Scene) -> None:
    for task_id in ("retried", "gone", "old"):
        await scene.create(task_id)
        error = TaskError(error="no", error_type="E", code="raised")
        await scene.store.write(task_id, lifecycle.fail(1, scene.clock.now(), error))
    scene.clock.wind(DAY.total_seconds())
    for keep in (
        Retention(logs=Keep(max_age=timedelta(0))),
        Retention(tasks=Keep(max_age=timedelta(0))),
    ):
        judge = Judge(scene.clock.now(), keep)
        (page,) = [page async for page in verdicts(scene.store.finished, scene.blobs, judge)]
        if keep.logs.max_age is not None:
            assert len(page) == 3
            await scene.store.write("retried", lifecycle.retry(1))
            await scene.store.delete("gone", lifecycle.delete())
        done = [each async for some in carry_out(scene.store, scene.blobs, page) for each in some]
        assert [each.task.task_id for each in done] == ["old"]
    assert len((await scene.store.read("retried", START, 100)).events) == 8


async def test_files_count_and_go_with_their_task(scene: _Scene, tmp_path: Path) -> None:
    await scene.create_ended("a", "b", "c")
    for task_id in "abc":
        await scene.blobs.put(task_id, task_id.encode() * 1_000_000)
        await scene.blobs.put_checkpoint(task_id, b"checkpoint")
    await scene.rounds(Retention(tasks=Keep(max_bytes=2_100_000))).round()
    assert list(await scene.state()) == ["b", "c"]
    assert sorted(path.name for path in (tmp_path / "artifacts").iterdir()) == ["b", "c"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["b", "c"]
    (said,) = [event for event in scene.said if isinstance(event, RetentionPruned)]
    assert said.freed_bytes > 1_000_000


async def test_files_go_with_their_tasks_also_when_the_caller_goes_away(
    scene: _Scene, tmp_path: Path
) -> None:
    await scene.create_ended("a", "b")
    for task_id in "ab":
        await scene.blobs.put(task_id, b"content")

    async def prune() -> None:
        judge = Judge(scene.clock.now(), Retention(tasks=Keep(max_age=timedelta(0))))
        async for page in verdicts(scene.store.finished, scene.blobs, judge):
            async for _ in carry_out(scene.store, scene.blobs, page):
                pass

    pruning = asyncio.create_task(prune())
    await scene.until_deleted("a")
    pruning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pruning
    assert await scene.state() == {}
    assert not any((tmp_path / "artifacts").iterdir())


async def test_more_than_a_page_is_gone_through(scene: _Scene) -> None:
    records = [
        TaskRecord(f"t{n:03}", "k", "local", "local", {}, scene.clock.now()) for n in range(450)
    ]
    await scene.store.create(records)
    decide = [lifecycle.cancel(None, scene.clock.now()) for _ in records]
    await asyncio.gather(
        *(scene.store.write(r.task_id, d) for r, d in zip(records, decide, strict=True))
    )
    scene.clock.wind(DAY.total_seconds())
    await scene.rounds(Retention(tasks=Keep(max_count=7))).round()
    assert list(await scene.state()) == [f"t{n:03}" for n in range(443, 450)]


async def test_rounds_follow_one_another_until_they_are_closed(scene: _Scene) -> None:
    rounds = scene.rounds(Retention(tasks=Keep(max_age=DAY)))
    rounds.start()
    await scene.create_ended("a", "b")
    await scene.until_deleted("a")
    await scene.create_ended("c")
    await scene.until_deleted("b")
    await rounds.close()
    scene.clock.wind(DAY.total_seconds())
    await asyncio.sleep(0.05)  # Nothing is to happen, some rounds long.
    assert list(await scene.state()) == ["c"]


async def test_nothing_is_done_when_everything_is_kept(scene: _Scene) -> None:
    rounds = scene.rounds(Retention(), train=Retention())
    rounds.start()
    assert "retention" not in {task.get_name() for task in asyncio.all_tasks()}
    await rounds.close()


async def test_a_round_ends_early_when_it_is_closed(scene: _Scene) -> None:
    await scene.create_ended(*(f"t{n:03}" for n in range(120)), lines=1)
    rounds = scene.rounds(Retention(tasks=Keep(max_age=timedelta(0))))
    rounds.start()
    await scene.until_deleted("t119")
    await rounds.close()
    left = await scene.state()
    assert 0 < len(left) < 120
    for task_id in left:
        assert len((await scene.store.read(task_id, START, 9)).events) == 4


async def test_a_store_that_fails_is_tried_again(tmp_path: Path) -> None:
    async with _opened("memory", tmp_path) as scene:
        rounds = scene.rounds(Retention(tasks=Keep(max_age=timedelta(0))))
        await scene.store.close()
        rounds.start()
        await asyncio.sleep(0.05)  # For some rounds, of which nothing is seen.
        await scene.store.open()
        await scene.create_ended("a")
        await scene.until_deleted("a")
        await rounds.close()


@pytest.mark.parametrize("fate", [Fate.TRIM, Fate.DELETE])
async def test_the_file_becomes_smaller(fate: Fate, tmp_path: Path) -> None:
    async with _opened("sqlite", tmp_path) as scene:
        await scene.create_ended(*(f"t{n}" for n in range(40)), lines=40, size=30_000)
        await scene.store.close()
        full = scene.path.stat().st_size
        await scene.store.open()
        keep = Keep(max_age=5 * DAY)
        retention = Retention(logs=keep) if fate is Fate.TRIM else Retention(tasks=keep)
        await scene.rounds(retention).round()
        (said,) = [event for event in scene.said if isinstance(event, RetentionPruned)]
        assert {Fate.TRIM: said.trimmed, Fate.DELETE: said.deleted}[fate] == 35
        assert said.given_back_bytes > 35_000_000
        await scene.store.close()
        small = scene.path.stat().st_size
        assert full > 45_000_000
        assert small < full / 4
        await scene.store.open()
        assert sum(events > 1 for events in (await scene.state()).values()) == 5
        if fate is Fate.DELETE:
            with pytest.raises(NotFound):
                await scene.store.read("t0", START, 1)
    print(f"{fate.name}: {full / 1e6:.1f} MB before, {small / 1e6:.1f} MB after")


async def test_the_audit_trail_is_forgotten_by_its_age_alone(scene: _Scene) -> None:
    await scene.create_ended("a")
    for _ in range(3):
        await scene.store.note(_entry(scene))
        scene.clock.wind(DAY.total_seconds())
    rounds = scene.rounds(Retention(), audit_age=2 * DAY)
    rounds.start()
    async with asyncio.timeout(10):
        while AuditForgotten(1) not in scene.said:  # noqa: ASYNC110 - who is told has no event
            await asyncio.sleep(0.01)
    await rounds.close()
    assert (await scene.entries(), await scene.state()) == (2, {"a": 6})


async def test_without_an_age_the_audit_trail_is_kept_for_ever(scene: _Scene) -> None:
    await scene.store.note(_entry(scene))
    scene.clock.wind(1000 * DAY.total_seconds())
    await scene.rounds(Retention(tasks=Keep(max_age=DAY))).round()
    assert await scene.entries() == 1


async def test_all_that_is_too_old_goes_in_one_round(scene: _Scene) -> None:
    entry, count = _entry(scene), 2 * MAX_FORGOTTEN_ENTRIES + 1
    await asyncio.gather(*(scene.store.note(entry, synced=False) for _ in range(count)))
    scene.clock.wind(DAY.total_seconds())
    await scene.rounds(Retention(), audit_age=timedelta(hours=1)).round()
    assert await scene.entries() == 0


def _entry(scene: _Scene) -> AuditEntry:
    return AuditEntry(
        at=scene.clock.now(),
        tenant="local",
        owner="ann",
        credential="key:1",
        door=Door.REST,
        address=None,
        action=Action.CANCEL,
    )
