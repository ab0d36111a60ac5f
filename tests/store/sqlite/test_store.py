"""The store in a file keeps the promises of the port, and those that only a file can break."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.errors import PositionGone, StoreLocked, StoreUnavailable
from taskpush.models.events import EventType
from taskpush.models.feed import Cursor, FeedFilter
from taskpush.models.position import START
from taskpush.models.task import NewEvent, TaskRecord
from taskpush.store.base import KEY_LIFETIME, Announcement, IdempotencyKey, TaskFilter
from taskpush.store.sqlite.database import Database
from taskpush.store.sqlite.files import Files
from taskpush.store.sqlite.store import SqliteStore
from taskpush.store.sqlite.surveyor import Surveyor
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import StoreFailed
from tests.store.append_contract import Line
from tests.store.contract import StoreContract
from tests.store.harness import Harness, progress, say, texts_of

LOCAL = TaskFilter(tenant="local")
FEED = FeedFilter(tenant="local")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
async def harness(path: Path) -> AsyncIterator[Harness]:
    harness = Harness(
        lambda clock, telemetry: SqliteStore(
            path, clock=clock, telemetry=telemetry, flush_after_s=0
        )
    )
    await harness.store.open()
    yield harness
    await harness.store.close()


def make_store(path: Path) -> SqliteStore:
    return SqliteStore(path, clock=ManualClock(), telemetry=Telemetry())


def write_diary(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def size_of(path: Path) -> int:
    return path.stat().st_size


def files_of(harness: Harness) -> Files:
    assert isinstance(harness.store, SqliteStore)
    assert harness.store._state is not None
    return harness.store._state.files


def database_of(harness: Harness) -> Database:
    assert isinstance(harness.store, SqliteStore)
    assert harness.store._state is not None
    return harness.store._state.files._database


def look_for_ever(surveyor: Surveyor) -> None:
    surveyor._connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    ).fetchall()


def delete_anyway(record: TaskRecord | None) -> lifecycle.Decision:
    assert record is not None
    return lifecycle.Decision(record)


class TestSqliteStore(StoreContract):
    """A restart is a new object on the same file."""

    @pytest.fixture
    async def harness(self, path: Path) -> AsyncIterator[Harness]:
        harness = Harness(
            lambda clock, telemetry: SqliteStore(path, clock=clock, telemetry=telemetry)
        )
        await harness.store.open()
        yield harness
        await harness.store.close()


class TestOpening:
    """Whose file it is."""

    async def test_a_second_server_is_refused_until_the_first_lets_go(self, path: Path) -> None:
        first, second = make_store(path), make_store(path)
        await first.open()
        with pytest.raises(StoreLocked, match=r"process \d+"):
            await second.open()
        await first.close()
        await second.open()
        await second.close()

    async def test_a_file_under_another_name_is_locked_too(self, path: Path) -> None:
        first = make_store(path)
        await first.open()
        alias = path.with_name("alias.db")
        alias.symlink_to(path)
        with pytest.raises(StoreLocked):
            await make_store(alias).open()
        await first.close()

    async def test_a_file_of_a_newer_version_is_refused(self, path: Path) -> None:
        store = make_store(path)
        await store.open()
        await store.close()
        with apsw.Connection(str(path)) as connection:
            connection.pragma("user_version", 99)
        connection.close()
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"newer version .*schema 99"):
                await store.open()
        with pytest.raises(StoreUnavailable):
            await store.get("x")

    async def test_a_database_of_another_program_is_left_alone(self, path: Path) -> None:
        with apsw.Connection(str(path)) as connection:
            connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.close()
        before = digest_of(path)
        with pytest.raises(StoreUnavailable, match="another program"):
            await make_store(path).open()
        assert digest_of(path) == before

    async def test_a_file_that_is_no_database_is_refused(self, path: Path) -> None:
        write_diary(path)
        before = digest_of(path)
        with pytest.raises(StoreUnavailable, match="not a database"):
            await make_store(path).open()
        assert digest_of(path) == before

    async def test_a_place_where_no_file_can_be_is_refused_without_naming_it(
        self, tmp_path: Path
    ) -> None:
        for path in (tmp_path / "missing" / "tasks.db", tmp_path):
            with pytest.raises(StoreUnavailable) as caught:
                await make_store(path).open()
            assert str(tmp_path) not in caught.value.detail

    async def test_a_refused_opening_leaves_the_lock_free(self, path: Path) -> None:
        write_diary(path)
        store = make_store(path)
        with pytest.raises(StoreUnavailable):
            await store.open()
        os.unlink(path)
        await store.open()
        await store.close()

    async def test_closing_cuts_long_looks_at_many_tasks_short(self, harness: Harness) -> None:
        assert isinstance(harness.store, SqliteStore)
        assert harness.store._state is not None
        files = harness.store._state.files
        looks = [asyncio.create_task(files.survey(look_for_ever)) for _ in range(3)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await harness.store.close()
        for look in looks:
            with pytest.raises(StoreUnavailable):
                await look

    async def test_closing_leaves_one_file_with_everything_in_it(self, path: Path) -> None:
        store = make_store(path)
        await store.open()
        await store.close()
        assert {file.name for file in path.parent.iterdir()} == {"tasks.db", "tasks.db.lock"}


class TestFailingCommits:
    """The disk is full, or worse: nothing took effect, everybody is told, and life goes on."""

    @pytest.mark.parametrize("synced", [False, True])
    async def test_a_full_disk_fails_the_whole_batch_and_leaves_the_store_usable(
        self, harness: Harness, synced: bool
    ) -> None:
        before = await harness.create_running()
        told: list[Sequence[Announcement]] = []
        harness.store.listen(told.append)
        fill_disk(harness)
        new = harness.new_record()
        results = await asyncio.gather(
            harness.store.write(before.task_id, say("x" * 50_000), synced=synced),
            harness.store.write(new.task_id, lifecycle.create(new)),
            # It was refused because of a task that now never was.
            harness.store.write(new.task_id, lifecycle.create(new)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [StoreUnavailable] * 3
        assert told == []
        assert await harness.store.get(before.task_id) == before
        assert await harness.store.get(new.task_id) is None
        (failed,) = harness.said
        assert isinstance(failed, StoreFailed)
        assert failed.writes == 3

        empty_disk(harness)
        commit = await harness.store.write(before.task_id, say("after"), synced=synced)
        assert commit.events[0].seq == before.head.seq + 1
        assert texts_of(await harness.log(before.task_id)) == ["after"]

    @pytest.mark.parametrize("texts", [("one statement",), ()], ids=["alone", "among others"])
    async def test_a_commit_that_fails_at_its_end_leaves_nothing(
        self, harness: Harness, texts: tuple[str, ...]
    ) -> None:
        before = await harness.create_running()
        connection = database_of(harness)._connection
        connection.set_commit_hook(lambda: True)
        decide = say(*texts) if texts else harness.complete()
        with pytest.raises(StoreUnavailable):
            await harness.store.write(before.task_id, decide)
        connection.set_commit_hook(None)
        assert await harness.store.get(before.task_id) == before
        ended = await harness.store.write(before.task_id, harness.complete())
        await harness.reopen()
        assert await harness.store.get(before.task_id) == ended.record

    async def test_an_append_that_cannot_be_committed_is_refused(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        connection = database_of(harness)._connection
        connection.set_commit_hook(lambda: True)
        lost, wrong, kept = Line(task_id, "a"), Line(task_id, "b", attempt=2), Line(task_id, "c")
        harness.store.append(lost)
        harness.store.append(wrong)
        await wrong.answered.wait()
        connection.set_commit_hook(None)
        harness.store.append(kept)
        await kept.answered.wait()
        # Both: the decision about the second may have been made on what now never was.
        assert [type(line.answers[0]) for line in (lost, wrong)] == [StoreUnavailable] * 2
        assert kept.answers == [None]
        assert texts_of(await harness.log(task_id)) == ["c"]

    async def test_a_creation_that_cannot_be_committed_leaves_no_task_and_no_key(
        self, harness: Harness
    ) -> None:
        kept = await harness.create_completed()
        connection = database_of(harness)._connection
        connection.set_commit_hook(lambda: True)
        key = IdempotencyKey("local", "ann", "order-1", "hash-1")
        records = [harness.new_record() for _ in range(2)]
        with pytest.raises(StoreUnavailable):
            await harness.store.create(records, key=key)
        with pytest.raises(StoreUnavailable):
            await harness.store.delete(kept.task_id, lifecycle.delete())
        connection.set_commit_hook(None)
        assert await harness.store.get(kept.task_id) == kept
        assert (await harness.store.tasks(LOCAL, limit=9)).records == [kept]
        assert (await harness.store.create(records, key=key)).fresh

    async def test_a_probe_of_a_store_that_cannot_commit_fails(self, harness: Harness) -> None:
        connection = database_of(harness)._connection
        connection.set_commit_hook(lambda: True)
        with pytest.raises(StoreUnavailable):
            await harness.store.probe()
        connection.set_commit_hook(None)
        await harness.store.probe()

    async def test_volatile_events_wait_for_a_disk_that_takes_them(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        connection = database_of(harness)._connection
        failing = asyncio.Event()

        def refuse() -> bool:
            failing.set()
            return True

        connection.set_commit_hook(refuse)
        event = harness.store.publish(task_id, 1, progress(40))
        await failing.wait()
        record = await harness.store.get(task_id)
        assert record is not None
        assert record.latest == {EventType.PROGRESS: event}
        connection.set_commit_hook(None)
        await harness.reopen()
        assert await harness.store.get(task_id) == record

    async def test_a_file_that_cannot_be_read_is_said_so(self, harness: Harness) -> None:
        task_id = (await harness.create_completed()).task_id
        assert isinstance(harness.store, SqliteStore)
        assert harness.store._state is not None
        harness.store._state.files._reader.close()
        for call in (harness.store.get(task_id), harness.store.read(task_id, START, 1)):
            with pytest.raises(StoreUnavailable):
                await call


class TestDisk:
    """What is where."""

    async def test_a_told_event_is_committed(self, harness: Harness, path: Path) -> None:
        other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        seen: list[int] = []
        harness.store.listen(
            lambda _: seen.append(
                other.execute(
                    "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM recent_events)"
                ).get
            )
        )
        task_id = (await harness.create()).task_id
        await harness.store.write(task_id, harness.start(), synced=True)
        await harness.store.write(task_id, say("a", "b"))
        assert seen == [1, 2, 4]
        other.close()

    async def test_a_volatile_event_reaches_the_disk_without_another_write(
        self, harness: Harness, path: Path
    ) -> None:
        task_id = (await harness.create_running()).task_id
        other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        event = harness.store.publish(task_id, 1, progress(40))
        assert event is not None
        # The timer of the flush is due at once: before the second of them.
        await harness.store.probe()
        await harness.store.probe()
        assert other.execute("SELECT body FROM latest").get == event.body
        other.close()

    async def test_revs_are_reserved_on_disk_before_one_is_handed_out(
        self, harness: Harness, path: Path
    ) -> None:
        task_id = (await harness.create_running()).task_id
        harness.clock.wind(10)
        await harness.reopen()
        event = harness.store.publish(task_id, 1, progress(40))
        assert event is not None
        other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        assert other.execute("SELECT value FROM meta WHERE name = 'rev'").get > event.rev
        other.close()

    async def test_the_log_of_changes_does_not_grow_for_ever(
        self, harness: Harness, path: Path
    ) -> None:
        task_id = (await harness.create_running()).task_id
        for _ in range(400):
            await harness.store.write(task_id, say("x" * 60_000, "y" * 60_000))
        # 48 MB were written; a checkpoint is due every 8 MB, and lets the file start anew.
        assert path.with_name("tasks.db-wal").stat().st_size < 24_000_000

    async def test_only_running_tasks_stay_in_memory(self, harness: Harness) -> None:
        await harness.create()
        running = (await harness.create_running()).task_id
        ended = (await harness.create_running()).task_id
        harness.store.publish(ended, 1, progress(99))
        await harness.store.write(ended, harness.complete())
        assert isinstance(harness.store, SqliteStore)
        assert harness.store._state is not None
        assert set(harness.store._state.ledger._live) == {running}

    async def test_positions_past_a_cut_are_gone_and_those_before_it_stay_valid(
        self, harness: Harness, path: Path
    ) -> None:
        kept = (await harness.create_running()).head
        task_id = (await harness.store.tasks(LOCAL, limit=1)).records[0].task_id
        await harness.store.close()
        shutil.copy(path, path.with_name("copy"))
        await harness.store.open()
        lost = (await harness.store.write(task_id, say("lost", "lost too"))).record.head
        await harness.store.close()
        shutil.move(path.with_name("copy"), path)

        await harness.store.open()
        with pytest.raises(PositionGone, match="ends at 2"):
            await harness.store.read(task_id, lost, 10)
        await harness.store.write(task_id, say("other", "story", "now"))
        with pytest.raises(PositionGone, match="another event"):
            await harness.store.read(task_id, lost, 10)
        page = await harness.store.read(task_id, kept, 10)
        assert texts_of(page.events) == ["other", "story", "now"]

    async def test_a_cursor_past_a_cut_is_unknown_and_one_before_it_stays_known(
        self, harness: Harness, path: Path
    ) -> None:
        record = await harness.create_running()
        kept = str(Cursor(harness.store.mark))
        shutil.copy(path, path.with_name("copy"))
        shutil.copy(f"{path}-wal", path.with_name("copy-wal"))
        await harness.store.write(record.task_id, harness.complete())
        lost = str(Cursor(harness.store.mark))
        await harness.store.close()
        shutil.move(path.with_name("copy"), path)
        shutil.move(path.with_name("copy-wal"), f"{path}-wal")

        await harness.store.open()
        for _ in range(3):
            page = await harness.store.changes(FEED, after=lost, limit=10)
            assert (page.reset, [task.task_id for task in page.tasks]) == (True, [record.task_id])
            await harness.create_completed()
        page = await harness.store.changes(FEED, after=kept, limit=10)
        assert (page.reset, len(page.tasks)) == (False, 3)

    async def test_what_changed_is_one_range_of_an_index(self, harness: Harness) -> None:
        asked: list[str] = []
        files = files_of(harness)
        files._lister._connection.trace_v2(
            apsw.SQLITE_TRACE_STMT, lambda event: asked.append(event["sql"])
        )
        for where in (FEED, FeedFilter("local", owner="ann", kind="layout", tag="x")):
            cursor = str(Cursor(harness.store.mark))
            await harness.store.changes(where, after=cursor, limit=10)
            plan = files._peeker._connection.execute(
                f"EXPLAIN QUERY PLAN {asked[-1]}",
                {"tenant": "", "owner": "", "kind": "", "tag": "", "changed_after": 0, "limit": 1},
            ).fetchall()
            steps = [str(step) for *_, step in plan]
            assert "SEARCH t USING INDEX tasks_changed (tenant=? AND changed>?)" in steps
            # The tombstones' key is a rowid: they are in order too.
            assert not [step for step in steps if "TEMP B-TREE" in step]

    async def test_a_trimmed_log_begins_where_it_begins(self, harness: Harness) -> None:
        record = await harness.create_running()
        await harness.store.write(record.task_id, say("a", "b", "c"))
        # The end of a task takes what was said of it into its log.
        end = (await harness.store.write(record.task_id, harness.complete())).record
        database_of(harness)._connection.execute("DELETE FROM events WHERE seq < 4")
        with pytest.raises(PositionGone, match="begins at 4") as caught:
            await harness.store.read(record.task_id, record.head, 10)
        assert caught.value.oldest == 4
        page = await harness.store.read(record.task_id, START, 10)
        assert [event.seq for event in page.events] == [4, 5, 6]
        assert page.end
        assert page.head == end.head


class TestRemoval:
    """What is deleted leaves nothing behind, and its room is given back."""

    async def test_a_deleted_task_leaves_its_id_and_a_tombstone(
        self, harness: Harness, path: Path
    ) -> None:
        record = await harness.create_running(tags=("x", "y"))
        harness.store.publish(record.task_id, 1, progress(1))
        artifact = NewEvent(EventType.ARTIFACT, {"name": "a"})
        await harness.store.write(record.task_id, lifecycle.report(1, [artifact]))
        await harness.store.write(record.task_id, harness.complete())
        await harness.store.trim(record.task_id, lifecycle.delete())
        await harness.store.delete(record.task_id, lifecycle.delete())
        other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        counts = {
            table: other.execute(f"SELECT count(*) FROM {table}").get  # noqa: S608 - own names
            for table in (
                *("tasks", "events", "events_set_aside"),
                *("latest", "task_tags", "deleted_tasks", "tombstones"),
            )
        }
        assert counts == {
            "tasks": 0,
            "events": 0,
            "events_set_aside": 0,
            "latest": 0,
            "task_tags": 0,
            "deleted_tasks": 1,
            "tombstones": 1,
        }
        other.close()

    async def test_the_loop_goes_on_while_a_large_log_is_deleted(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        for _ in range(10):
            await harness.store.write(task_id, say(*["x" * 100] * 1000))
        # After the second, no checkpoint that the writes brought about goes on.
        await harness.store.probe()
        await harness.store.probe()
        loop_thread = threading.get_ident()
        committed: list[int] = []

        def note() -> bool:
            committed.append(threading.get_ident())
            return False

        database_of(harness)._connection.set_commit_hook(note)
        deleting = harness.store.delete(task_id, delete_anyway)
        await deleting
        assert committed
        assert loop_thread not in committed

    async def test_forgotten_keys_leave_the_file_with_later_creations(
        self, harness: Harness, path: Path
    ) -> None:
        for number in range(3):
            key = IdempotencyKey("local", "ann", f"key {number}", "hash")
            await harness.store.create([harness.new_record()], key=key)
        harness.clock.wind(KEY_LIFETIME.total_seconds())
        await harness.store.create([harness.new_record()])
        other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        assert other.execute("SELECT count(*) FROM idempotency_keys").get == 0
        other.close()

    async def test_the_file_shrinks(self, harness: Harness, path: Path) -> None:
        task_id = (await harness.create_running()).task_id
        for _ in range(10):
            await harness.store.write(task_id, say(*["x" * 60_000] * 20))
        await harness.reopen()
        assert size_of(path) > 12_000_000
        await harness.store.write(
            task_id, lifecycle.interrupt(1, harness.clock.now(), reason="lost", message="gone")
        )
        assert await harness.store.trim(task_id, lifecycle.delete()) > 12_000_000
        usage = await harness.store.usage()
        assert usage.unused_bytes > 12_000_000
        await harness.store.shrink()
        assert size_of(path) <= usage.bytes < 1_000_000
        assert (await harness.store.usage()).unused_bytes == 0
        assert [event.seq for event in await harness.log(task_id)] == [203]

    async def test_a_shrinking_that_fails_is_told(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say(*["x" * 60_000] * 5))
        await harness.store.delete(task_id, delete_anyway)
        connection = database_of(harness)._connection
        connection.set_commit_hook(lambda: True)
        with pytest.raises(StoreUnavailable):
            await harness.store.shrink()
        connection.set_commit_hook(None)
        assert any(isinstance(event, StoreFailed) for event in harness.said)
        await harness.store.shrink()


class TestEnding:
    """Nobody waits for ever."""

    async def test_a_cancelled_writer_lets_everybody_go(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        assert isinstance(harness.store, SqliteStore)
        assert harness.store._state is not None
        loop, entered, gate = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def commit_slowly() -> bool:
            loop.call_soon_threadsafe(entered.set)
            return not gate.wait(10)

        database_of(harness)._connection.set_commit_hook(commit_slowly)
        begun = harness.store.write(task_id, say("begun"), synced=True)
        await entered.wait()
        waiting = harness.store.write(task_id, say("waiting"))
        harness.store._state.writer._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await begun
        gate.set()
        with pytest.raises(StoreUnavailable):
            await waiting
        with pytest.raises(StoreUnavailable):
            harness.store.write(task_id, say("late"))
        with suppress(asyncio.CancelledError):
            await harness.store.close()

    async def test_a_cancelled_close_lets_go_of_the_file_after_the_commit_it_is_in(
        self, harness: Harness, path: Path
    ) -> None:
        task_id = (await harness.create_running()).task_id
        write = harness.store.write(task_id, say("begun"), synced=True)
        closing = asyncio.create_task(harness.store.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (await write).record.task_id == task_id
        store = make_store(path)
        await store.open()
        await store.close()


def fill_disk(harness: Harness) -> None:
    connection = database_of(harness)._connection
    connection.pragma("max_page_count", connection.pragma("page_count"))


def empty_disk(harness: Harness) -> None:
    database_of(harness)._connection.pragma("max_page_count", 1_000_000)


async def test_a_task_without_webhooks_writes_nothing_about_them(
    harness: Harness, path: Path
) -> None:
    await harness.create_completed()
    assert apsw.Connection(str(path)).execute("SELECT count(*) FROM webhooks").get == 0
