"""The promises of `Store`, one by one: each adapter's test module runs this suite on its own.

A subclass gives the fixture `harness`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide, Decision
from taskpush.core.retention import FinishedTask
from taskpush.errors import (
    IllegalTransition,
    NotFound,
    PositionGone,
    QueueFull,
    StaleAttempt,
    StoreUnavailable,
    TaskPushError,
)
from taskpush.ids import new_task_id
from taskpush.models.events import MAX_EVENT_BYTES, EventType, Status
from taskpush.models.position import START, Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskError, TaskRecord
from taskpush.store.base import (
    KEY_LIFETIME,
    Announcement,
    Commit,
    Created,
    IdempotencyKey,
    LogPage,
    TaskDeleted,
    TaskFilter,
    TaskPage,
    Waiting,
)
from taskpush.store.daystats import DayStats
from taskpush.store.rows import encode_record
from tests.store.audit_contract import LOCAL as LOCAL_TRAIL
from tests.store.audit_contract import AuditContract, entry_of
from tests.store.changes_contract import ChangesContract
from tests.store.harness import (
    Harness,
    body_of,
    log_line,
    place,
    preview,
    progress,
    retry,
    say,
    stats,
    texts_of,
)
from tests.store.producer_contract import ProducerContract
from tests.store.webhook_contract import WebhookContract

Told = Sequence[Announcement]
LOCAL = TaskFilter(tenant="local")
KEY = IdempotencyKey("local", "ann", "order-1", "hash-1")


class WriteContract:
    """Order, atomicity, fencing, cancellation."""

    async def test_a_write_gives_the_record_and_the_events_that_it_made(
        self, harness: Harness
    ) -> None:
        record = harness.new_record(title="First", tags=("a",), metadata={"x": [1, None]})
        commit = await harness.store.write(record.task_id, lifecycle.create(record))
        (event,) = commit.events
        assert (event.seq, event.epoch, event.attempt) == (1, harness.store.epoch, 1)
        assert body_of(event)["seq"] == 1
        assert commit.record == replace(
            record, head=event.position, last_event_at=harness.clock.now()
        )
        assert await harness.store.get(record.task_id) == commit.record

    async def test_calls_take_effect_in_the_order_in_which_they_were_made(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = [str(number) for number in range(100)]
        writes = [
            harness.store.write(task_id, say(text), synced=number % 7 == 0)
            for number, text in enumerate(spoken)
        ]
        await asyncio.gather(*writes)
        assert texts_of(await harness.log(task_id)) == spoken

    async def test_each_decision_is_made_on_what_the_calls_before_it_made(
        self, harness: Harness
    ) -> None:
        record = harness.new_record()
        writes = [
            harness.store.write(record.task_id, decide)
            for decide in (
                lifecycle.create(record),
                harness.start(),
                say("one"),
                harness.complete([1, 2]),
            )
        ]
        commits = await asyncio.gather(*writes)
        assert [commit.record.status for commit in commits] == [
            Status.PENDING,
            Status.RUNNING,
            Status.RUNNING,
            Status.COMPLETED,
        ]
        assert await harness.store.get(record.task_id) == commits[-1].record

    async def test_seqs_have_no_holes_over_attempts(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(
            task_id,
            lifecycle.interrupt(1, harness.clock.now(), reason="worker_lost", message="gone"),
        )
        await harness.store.write(task_id, retry)
        await harness.store.write(task_id, harness.start())
        await harness.store.write(task_id, say("again", attempt=2))
        events = await harness.log(task_id)
        assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
        assert [event.attempt for event in events] == [1, 1, 1, 2, 2, 2]

    async def test_a_write_takes_effect_wholly_or_not_at_all(self, harness: Harness) -> None:
        before = await harness.create_running()
        huge = log_line("x" * MAX_EVENT_BYTES)

        def decide(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(replace(record, message="half"), (log_line("fits"), huge))

        with pytest.raises(TaskPushError) as caught:
            await harness.store.write(before.task_id, decide)
        assert caught.value.code == "payload_too_large"
        assert await harness.store.get(before.task_id) == before
        assert texts_of(await harness.log(before.task_id)) == []

    async def test_a_refused_write_does_not_touch_those_around_it(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        unknown = new_task_id()
        results = await asyncio.gather(
            harness.store.write(task_id, say("before")),
            harness.store.write(task_id, harness.start()),
            harness.store.write(unknown, say("to nobody")),
            harness.store.write(task_id, say("after")),
            return_exceptions=True,
        )
        assert isinstance(results[1], IllegalTransition)
        assert isinstance(results[2], NotFound)
        assert texts_of(await harness.log(task_id)) == ["before", "after"]
        assert await harness.store.get(unknown) is None

    async def test_whatever_a_decision_raises_reaches_its_caller(self, harness: Harness) -> None:
        class OddError(Exception):
            pass

        def decide(_: TaskRecord | None) -> Decision:
            raise OddError

        def exhausted(_: TaskRecord | None) -> Decision:
            raise StopIteration

        with pytest.raises(OddError):
            await harness.store.write(new_task_id(), decide)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await harness.store.write(new_task_id(), exhausted)
        await harness.create()

    @pytest.mark.parametrize(
        "fields",
        [
            {"params": {"x": object}},
            {"params": {"x": 2**70}},
            {"title": "\ud800"},
            {"owner": "\ud800"},
            {"tags": ("\ud800",)},
            {"priority": 2**63},
        ],
        ids=str,
    )
    async def test_what_cannot_be_stored_fails_its_own_write_only(
        self, harness: Harness, fields: dict[str, Any]
    ) -> None:
        bad = harness.new_record(**fields)
        good = harness.new_record()
        results = await asyncio.gather(
            harness.store.write(bad.task_id, lifecycle.create(bad)),
            harness.store.write(good.task_id, lifecycle.create(good)),
            return_exceptions=True,
        )
        assert isinstance(results[0], (TypeError, ValueError))
        assert isinstance(results[1], Commit)
        assert await harness.store.get(bad.task_id) is None

    async def test_a_task_id_that_is_no_text_is_refused_at_once(self, harness: Harness) -> None:
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.write("\ud800", say("x"))

    async def test_what_a_task_was_created_with_stays(self, harness: Harness) -> None:
        record = await harness.create()

        def decide(_: TaskRecord | None) -> Decision:
            return Decision(replace(record, owner="mallory"))

        with pytest.raises(ValueError, match="created with"):
            await harness.store.write(record.task_id, decide)

    async def test_an_old_attempt_is_refused(self, harness: Harness) -> None:
        task_id = (await harness.create_completed()).task_id
        with pytest.raises(IllegalTransition):
            await harness.store.write(task_id, say("late"))
        await harness.store.write(task_id, retry)
        await harness.store.write(task_id, harness.start())
        with pytest.raises(StaleAttempt):
            await harness.store.write(task_id, say("much too late"))

    async def test_two_creations_of_one_id_make_one_task(self, harness: Harness) -> None:
        record = harness.new_record()
        results = await asyncio.gather(
            *(harness.store.write(record.task_id, lifecycle.create(record)) for _ in range(20)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Commit) for result in results) == 1
        assert len(await harness.log(record.task_id)) == 1

    async def test_many_tasks_written_at_once_do_not_mix(self, harness: Harness) -> None:
        async def live(number: int) -> str:
            task_id = (await harness.create_running()).task_id
            for step in range(10):
                await harness.store.write(
                    task_id, say(f"{number}.{step}"), synced=(number + step) % 5 == 0
                )
            await harness.store.write(task_id, harness.complete(number))
            return task_id

        task_ids = await asyncio.gather(*(live(number) for number in range(40)))
        for number, task_id in enumerate(task_ids):
            events = await harness.log(task_id)
            assert texts_of(events) == [f"{number}.{step}" for step in range(10)]
            assert [event.seq for event in events] == list(range(1, 14))
            record = await harness.store.get(task_id)
            assert record is not None
            assert record.result == number

    async def test_a_flood_is_committed_in_order_and_in_parts(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        parts: list[int] = []
        harness.store.listen(lambda events: parts.append(len(events)))
        spoken = [[f"{number}.{line}" for line in range(100)] for number in range(50)]
        await asyncio.gather(*(harness.store.write(task_id, say(*texts)) for texts in spoken))
        assert texts_of(await harness.log(task_id)) == list(chain(*spoken))
        assert max(parts) < 1100

    async def test_a_cancelled_future_does_not_undo_its_write(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        cancelled = harness.store.write(task_id, say("cancelled"), synced=True)
        cancelled.cancel()
        awaited = asyncio.create_task(_await_write(harness, task_id))
        await asyncio.sleep(0)
        awaited.cancel()
        await harness.store.write(task_id, say("last"))
        assert texts_of(await harness.log(task_id)) == ["cancelled", "awaited", "last"]

    async def test_a_decision_that_changes_nothing_is_committed_as_nothing(
        self, harness: Harness
    ) -> None:
        before = await harness.create_running()
        told: list[Told] = []
        harness.store.listen(told.append)
        for synced in (False, True):
            commit = await harness.store.write(
                before.task_id, lifecycle.report(1, ()), synced=synced
            )
            assert commit == Commit(before, ())
        assert told == []

    async def test_a_record_changes_without_an_event(self, harness: Harness) -> None:
        before = await harness.create_running()
        commit = await harness.store.write(
            before.task_id, lifecycle.cancel(None, harness.clock.now())
        )
        assert commit.events == ()
        assert commit.record.cancel_requested
        await harness.reopen()
        assert await harness.store.get(before.task_id) == commit.record

    async def test_timestamps_never_fall_when_the_clock_does(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.clock.set_back(3600)
        await harness.reopen()
        await harness.store.write(task_id, say("later"))
        stamps = [body_of(event)["timestamp"] for event in await harness.log(task_id)]
        assert stamps == sorted(stamps)


class CreateContract:
    """All or none, and keys."""

    async def test_a_creation_gives_its_tasks_in_the_order_of_the_call(
        self, harness: Harness
    ) -> None:
        records = [harness.new_record(title=str(number), tags=("x",)) for number in range(3)]
        created = await harness.store.create(records)
        assert created.fresh
        assert [record.title for record in created.records] == ["0", "1", "2"]
        assert [event.task_id for event in created.events] == [r.task_id for r in records]
        for record in created.records:
            assert record.head == Position(1, harness.store.epoch)
            assert await harness.store.get(record.task_id) == record
        assert await _listed(harness, replace(LOCAL, tag="x")) == [
            record.task_id for record in records[::-1]
        ]

    async def test_a_thousand_tasks_are_created_at_once_and_no_more(self, harness: Harness) -> None:
        records = [harness.new_record() for _ in range(1001)]
        created = await harness.store.create(records[:1000])
        assert len(created.records) == len(created.events) == 1000
        assert len(await harness.store.waiting()) == 1000
        for refused in (records, []):
            with pytest.raises(ValueError, match="1 to 1000"):
                harness.store.create(refused)

    async def test_a_limit_counts_what_is_pending_of_its_kind(self, harness: Harness) -> None:
        async def create(*kinds: str) -> Created:
            records = [harness.new_record(kind=kind) for kind in kinds]
            return await harness.store.create(records, limits={"layout": 2})

        first, second = (await create("layout", "layout", "train")).records[:2]
        for kinds in (("layout",), ("train", "layout")):
            with pytest.raises(QueueFull, match="2 tasks of kind layout are pending, of at most 2"):
                await create(*kinds)
        assert len(await harness.store.waiting()) == 3
        await create("train")
        # A started, a deleted and a cancelled one make room; one that is retried takes it again.
        await harness.store.write(first.task_id, harness.start())
        await create("layout")
        now = harness.clock.now()
        await harness.store.write(second.task_id, lifecycle.cancel(None, now))
        await harness.store.delete(second.task_id, lifecycle.delete())
        await harness.store.write(first.task_id, lifecycle.stop(1, now))
        await harness.store.write(first.task_id, retry)
        with pytest.raises(QueueFull) as caught:
            await create("layout", "layout")
        assert (caught.value.wanted, caught.value.room, caught.value.limit) == (2, 0, 2)

    async def test_creations_at_once_do_not_pass_a_limit(self, harness: Harness) -> None:
        results = await asyncio.gather(
            *(
                harness.store.create([harness.new_record()], limits={"layout": 10})
                for _ in range(50)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Created) for result in results) == 10
        assert sum(isinstance(result, QueueFull) for result in results) == 40
        assert len(await harness.store.waiting()) == 10

    async def test_a_limit_holds_over_a_restart(self, harness: Harness) -> None:
        await harness.create()
        await harness.create_running()
        await harness.reopen()
        with pytest.raises(QueueFull):
            await harness.store.create([harness.new_record()], limits={"layout": 1})

    async def test_a_limit_does_not_hinder_the_repetition_of_a_creation(
        self, harness: Harness
    ) -> None:
        record = harness.new_record()
        created = await harness.store.create([record], key=KEY, limits={"layout": 1})
        again = await harness.store.create([record], key=KEY, limits={"layout": 1})
        assert again == Created(created.records, (), fresh=False)
        with pytest.raises(TaskPushError) as caught:
            await harness.store.create([record], limits={"layout": 1})
        assert caught.value.code == "task_id_taken"

    async def test_a_taken_id_fails_the_whole(self, harness: Harness) -> None:
        taken = await harness.create()
        fresh = [harness.new_record() for _ in range(2)]
        twice = harness.new_record()
        for records in ((*fresh, taken), (twice, fresh[0], twice)):
            with pytest.raises(TaskPushError) as caught:
                await harness.store.create(records, key=KEY)
            assert caught.value.code == "task_id_taken"
        assert await _listed(harness, LOCAL) == [taken.task_id]
        # A creation that failed leaves no key either.
        assert (await harness.store.create(fresh, key=KEY)).fresh

    async def test_what_cannot_be_stored_fails_the_whole(self, harness: Harness) -> None:
        told: list[Told] = []
        harness.store.listen(told.append)
        records = [harness.new_record(), harness.new_record(params={"x": object()})]
        with pytest.raises(TypeError):
            await harness.store.create(records)
        assert told == []
        assert await _listed(harness, LOCAL) == []

    async def test_texts_without_a_utf_8_form_are_refused_at_once(self, harness: Harness) -> None:
        record = harness.new_record()
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.create([record], key=replace(KEY, key="\ud800"))
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.create([replace(record, task_id="\ud800")])

    async def test_creations_take_their_place_among_the_writes(self, harness: Harness) -> None:
        record = harness.new_record()
        results = await asyncio.gather(
            harness.store.write(record.task_id, harness.start()),
            harness.store.create([record]),
            harness.store.write(record.task_id, harness.start()),
            harness.store.create([record]),
            return_exceptions=True,
        )
        assert isinstance(results[0], NotFound)
        assert isinstance(results[1], Created)
        assert isinstance(results[2], Commit)
        assert isinstance(results[3], TaskPushError)

    async def test_a_repeated_key_gives_the_tasks_as_they_are_now(self, harness: Harness) -> None:
        first, second = harness.new_record(), harness.new_record()
        await harness.store.create([first, second], key=KEY)
        await harness.store.write(second.task_id, harness.start())
        harness.store.publish(second.task_id, 1, progress(10))
        again = await harness.store.create([harness.new_record()], key=KEY)
        now = [await harness.store.get(record.task_id) for record in (first, second)]
        assert again == Created(records=tuple(filter(None, now)), events=(), fresh=False)
        assert [record.status for record in again.records] == [Status.PENDING, Status.RUNNING]
        assert len(await _listed(harness, LOCAL)) == 2

    async def test_a_repeated_key_leaves_out_what_was_deleted(self, harness: Harness) -> None:
        first, second = harness.new_record(), harness.new_record()
        await harness.store.create([first, second], key=KEY)
        await harness.store.delete(first.task_id, _anyway)
        again = await harness.store.create([harness.new_record()], key=KEY)
        assert [record.task_id for record in again.records] == [second.task_id]

    async def test_a_key_with_another_body_is_a_conflict(self, harness: Harness) -> None:
        await harness.store.create([harness.new_record()], key=KEY)
        with pytest.raises(TaskPushError) as caught:
            await harness.store.create([harness.new_record()], key=replace(KEY, body_hash="hash-2"))
        assert caught.value.code == "idempotency_conflict"
        assert len(await _listed(harness, LOCAL)) == 1

    async def test_keys_belong_to_tenant_and_owner(self, harness: Harness) -> None:
        for key in (KEY, replace(KEY, owner="bob"), replace(KEY, tenant="other")):
            record = harness.new_record(owner=key.owner, tenant=key.tenant)
            assert (await harness.store.create([record], key=key)).fresh

    async def test_creations_at_once_with_one_key_make_one_task(self, harness: Harness) -> None:
        results = await asyncio.gather(
            *(harness.store.create([harness.new_record()], key=KEY) for _ in range(50))
        )
        assert [result.fresh for result in results] == [True] + [False] * 49
        assert all(result.records == results[0].records for result in results)
        assert len(await _listed(harness, LOCAL)) == 1

    async def test_a_key_is_remembered_over_a_restart(self, harness: Harness) -> None:
        created = await harness.store.create([harness.new_record()], key=KEY)
        await harness.reopen()
        again = await harness.store.create([harness.new_record()], key=KEY)
        assert again == Created(created.records, (), fresh=False)

    async def test_a_key_is_forgotten_when_its_time_is_over(self, harness: Harness) -> None:
        await harness.store.create([harness.new_record()], key=KEY)
        harness.clock.wind(KEY_LIFETIME.total_seconds() - 1)
        assert not (await harness.store.create([harness.new_record()], key=KEY)).fresh
        harness.clock.wind(1)
        other = replace(KEY, body_hash="hash-2")
        assert (await harness.store.create([harness.new_record()], key=other)).fresh
        harness.clock.wind(KEY_LIFETIME.total_seconds() - 1)
        assert not (await harness.store.create([harness.new_record()], key=other)).fresh


class DeleteContract:
    """Gone wholly, in order, and for good."""

    async def test_a_deleted_task_does_not_exist(self, harness: Harness) -> None:
        before = await harness.create_completed(tags=("x", "y"))
        kept = await harness.create_completed(tags=("x",))
        harness.store.publish(kept.task_id, 1, progress(1))
        assert await harness.store.delete(before.task_id, lifecycle.delete()) == before
        for _ in range(2):
            assert await harness.store.get(before.task_id) is None
            assert await _listed(harness, LOCAL) == [kept.task_id]
            assert await _listed(harness, replace(LOCAL, tag="x")) == [kept.task_id]
            for owner in ("ann", "bob"):
                assert await harness.store.was_deleted(
                    before.task_id, tenant="local", owner=owner
                ) is (owner == before.owner)
            assert not await harness.store.was_deleted(kept.task_id, tenant="local", owner="ann")
            for read in (
                harness.store.read(before.task_id, START, 10),
                harness.store.read(before.task_id, before.head, 10),
                harness.store.read_type(before.task_id, EventType.LOG),
            ):
                with pytest.raises(NotFound):
                    await read
            with pytest.raises(NotFound):
                await harness.store.write(before.task_id, say("late"))
            assert harness.store.publish(before.task_id, 1, progress(1)) is None
            assert await harness.store.get(kept.task_id) == kept
            await harness.reopen()

    async def test_a_decision_keeps_a_task_from_being_deleted(self, harness: Harness) -> None:
        running = await harness.create_running()
        with pytest.raises(IllegalTransition):
            await harness.store.delete(running.task_id, lifecycle.delete())
        assert await harness.store.get(running.task_id) == running

    async def test_what_the_decision_returns_is_ignored(self, harness: Harness) -> None:
        before = await harness.create_completed()
        told: list[Announcement] = []
        harness.store.listen(told.extend)

        def decide(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(replace(record, message="x"), (log_line("never"),))

        assert await harness.store.delete(before.task_id, decide) == before
        assert told == [TaskDeleted(before.task_id)]

    async def test_an_unknown_task_cannot_be_deleted(self, harness: Harness) -> None:
        for decide in (lifecycle.delete(), _anyway):
            with pytest.raises(NotFound):
                await harness.store.delete(new_task_id(), decide)
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.delete("\ud800", _anyway)

    async def test_an_id_is_never_given_again(self, harness: Harness) -> None:
        record = await harness.create_completed()
        await harness.store.delete(record.task_id, lifecycle.delete())
        again = harness.new_record(task_id=record.task_id)
        for _ in range(2):
            for creating in (
                harness.store.create([harness.new_record(), again]),
                harness.store.write(again.task_id, lifecycle.create(again)),
            ):
                with pytest.raises(TaskPushError) as caught:
                    await creating
                assert caught.value.code == "task_id_taken"
            assert await _listed(harness, LOCAL) == []
            await harness.reopen()

    async def test_ids_that_no_task_has_are_missing(self, harness: Harness) -> None:
        there, deleted = [(await harness.create_completed()).task_id for _ in range(2)]
        never = new_task_id()
        await harness.store.delete(deleted, lifecycle.delete())
        for _ in range(2):
            missing = await harness.store.missing([there, deleted, never])
            assert set(missing) == {deleted, never}
            assert not await harness.store.missing([])
            await harness.reopen()

    async def test_a_place_in_the_lists_is_never_given_again(self, harness: Harness) -> None:
        kept = (await harness.create()).task_id
        newest = [(await harness.create()).task_id for _ in range(2)]
        page = await harness.store.tasks(LOCAL, limit=1)
        for task_id in newest:
            await harness.store.delete(task_id, _anyway)
        await harness.reopen()
        await harness.create()
        rest = await harness.store.tasks(LOCAL, limit=5, after=page.next)
        assert [record.task_id for record in rest.records] == [kept]

    async def test_deletions_take_their_place_among_the_writes(self, harness: Harness) -> None:
        record = harness.new_record()
        told: list[Announcement] = []
        harness.store.listen(told.extend)
        other = await harness.create_running()
        told.clear()
        results = await asyncio.gather(
            harness.store.write(other.task_id, say("before")),
            harness.store.create([record]),
            harness.store.delete(record.task_id, lifecycle.delete()),
            harness.store.write(record.task_id, harness.start()),
            harness.store.write(record.task_id, harness.complete(7)),
            harness.store.delete(record.task_id, lifecycle.delete()),
            harness.store.delete(record.task_id, _anyway),
            harness.store.write(record.task_id, retry),
            harness.store.create([record]),
            harness.store.write(other.task_id, say("after")),
            return_exceptions=True,
        )
        kinds = [type(result).__name__ for result in results]
        assert kinds == [
            *("Commit", "Created", "IllegalTransition", "Commit", "Commit"),
            *("TaskRecord", "NotFound", "AssertionError", "TaskPushError", "Commit"),
        ]
        assert [
            event.seq if isinstance(event, LoggedEvent) else type(event).__name__ for event in told
        ] == [3, 1, 2, 3, "TaskDeleted", 4]
        assert await harness.store.get(record.task_id) is None

    async def test_a_deletion_is_told_after_its_commit_and_before_its_future_is_done(
        self, harness: Harness
    ) -> None:
        record = await harness.create_completed()
        seen: list[bool] = []
        reads: list[asyncio.Task[TaskRecord | None]] = []

        def listener(events: Told) -> None:
            if events == [TaskDeleted(record.task_id)]:
                seen.append(deleting.done())
                reads.append(asyncio.create_task(harness.store.get(record.task_id)))

        harness.store.listen(listener)
        deleting = harness.store.delete(record.task_id, lifecycle.delete())
        await deleting
        assert seen == [False]
        assert [await read for read in reads] == [None]

    async def test_a_task_that_reports_can_be_deleted(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(1))
        deleting = harness.store.delete(task_id, _anyway)
        while not deleting.done():
            harness.store.publish(task_id, 1, progress(2))
            await asyncio.sleep(0)
        assert harness.store.publish(task_id, 1, progress(3)) is None
        await harness.store.probe()
        assert await harness.store.get(task_id) is None

    async def test_many_logs_are_deleted_at_once(self, harness: Harness) -> None:
        task_ids = [(await harness.create_running()).task_id for _ in range(30)]
        for task_id in task_ids:
            await harness.store.write(task_id, say(*["x" * 50] * 700))
        kept = task_ids.pop()
        await asyncio.gather(*(harness.store.delete(task_id, _anyway) for task_id in task_ids))
        assert await _listed(harness, LOCAL) == [kept]
        assert len(await harness.log(kept)) == 702


class ListenContract:
    """Who is told what, and when."""

    async def test_each_event_is_told_once_in_order_and_before_the_future_is_done(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        told: list[int] = []
        told_late: list[int] = []
        writes: list[asyncio.Future[Commit]] = []

        def listener(events: Told) -> None:
            seqs = [event.seq for event in events if isinstance(event, LoggedEvent)]
            told.extend(seqs)
            # A write's two events are the third and fourth, the fifth and sixth, and so on.
            told_late.extend(seq for seq in seqs if writes[(seq - 3) // 2].done())

        harness.store.listen(listener)
        writes += [
            harness.store.write(task_id, say("a", "b"), synced=number % 3 == 0)
            for number in range(30)
        ]
        await asyncio.gather(*writes)
        assert told == list(range(3, 63))
        assert told_late == []

    async def test_what_is_told_can_be_read(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        reads: list[asyncio.Task[Sequence[LoggedEvent]]] = []
        harness.store.listen(
            lambda events: reads.append(asyncio.create_task(harness.log(events[-1].task_id)))
        )
        await harness.store.write(task_id, say("told"), synced=True)
        assert [texts_of(await read) for read in reads] == [["told"]]

    async def test_a_refused_write_is_not_told(self, harness: Harness) -> None:
        told: list[Told] = []
        harness.store.listen(told.append)
        with pytest.raises(NotFound):
            await harness.store.write(new_task_id(), say("x"))
        assert told == []

    async def test_a_published_event_is_told_at_once(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        told: list[Told] = []
        harness.store.listen(told.append)
        event = harness.store.publish(task_id, 1, progress(10))
        assert told == [[event]]

    async def test_a_listener_that_raises_does_not_keep_the_event_from_others(
        self, harness: Harness
    ) -> None:
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: raised.append(context["exception"])
        )
        told: list[Told] = []
        broken = RuntimeError("broken")

        def listener(_: Told) -> None:
            raise broken

        harness.store.listen(listener)
        harness.store.listen(told.append)
        await harness.create()
        assert len(told) == 1
        assert raised == [broken]


class PublishContract:
    """Volatile events: the fence, the newest, revs."""

    async def test_the_newest_of_each_type_is_kept(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        second = harness.store.publish(task_id, 1, progress(20))
        third = harness.store.publish(task_id, 1, stats(files=3))
        assert second is not None
        assert third is not None
        kept = {EventType.PROGRESS: second, EventType.STATS: third}
        record = await harness.store.get(task_id)
        page = await harness.store.read(task_id, START, 10)
        (listed,) = (await harness.store.tasks(LOCAL, limit=10)).records
        assert record is not None
        assert record.latest == page.latest == listed.latest == kept
        assert body_of(second)["seq"] is None
        assert body_of(second)["rev"] == second.rev

    async def test_revs_rise(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        revs = [_rev(harness, task_id) for _ in range(5)]
        harness.clock.set_back(24 * 3600)
        await harness.reopen()
        revs += [_rev(harness, task_id) for _ in range(5)]
        harness.clock.wind(48 * 3600)
        await harness.reopen()
        revs += [_rev(harness, task_id) for _ in range(5)]
        assert revs == sorted(set(revs))

    async def test_nothing_is_published_for_an_attempt_that_is_not_the_present_one(
        self, harness: Harness
    ) -> None:
        running = (await harness.create_running()).task_id
        over = (await harness.create_completed()).task_id
        told: list[Told] = []
        harness.store.listen(told.append)
        assert harness.store.publish(new_task_id(), 1, progress(1)) is None
        assert harness.store.publish(running, 2, progress(1)) is None
        assert harness.store.publish(over, 1, progress(1)) is None
        assert told == []

    async def test_nothing_is_published_after_the_final_event(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        kept = harness.store.publish(task_id, 1, progress(50))
        told: list[Announcement] = []
        harness.store.listen(told.extend)
        ending = harness.store.write(task_id, harness.complete())
        while not ending.done():
            harness.store.publish(task_id, 1, stats(n=len(told)))
            await asyncio.sleep(0)
        assert harness.store.publish(task_id, 1, progress(60)) is None
        assert isinstance(told[-1], LoggedEvent)
        record = await harness.store.get(task_id)
        assert record is not None
        assert record.latest[EventType.PROGRESS] == kept

    async def test_a_pending_task_has_volatile_events_too(self, harness: Harness) -> None:
        task_id = (await harness.create()).task_id
        event = harness.store.publish(task_id, 1, place(1))
        assert event is not None
        assert await _latest_everywhere(harness, task_id) == [{EventType.QUEUE: event}] * 3
        await harness.reopen()
        assert await _latest_everywhere(harness, task_id) == [{EventType.QUEUE: event}] * 3

    @pytest.mark.parametrize("flushed", [False, True])
    async def test_a_task_that_waits_no_more_has_no_place_in_the_queue(
        self, harness: Harness, flushed: bool
    ) -> None:
        started, cancelled = [(await harness.create()).task_id for _ in range(2)]
        kept = {}
        for task_id in (started, cancelled):
            harness.store.publish(task_id, 1, place(1))
            kept[task_id] = {EventType.STATS: harness.store.publish(task_id, 1, stats(n=1))}
        if flushed:
            await harness.reopen()
        await harness.store.write(started, harness.start())
        await harness.store.write(cancelled, lifecycle.cancel(None, harness.clock.now()))
        for _ in range(2):
            for task_id in (started, cancelled):
                assert await _latest_of(harness, task_id) == [kept[task_id]] * 3
                assert harness.store.publish(task_id, 1, place(2)) is None
            await harness.reopen()

    async def test_a_place_that_is_told_while_the_task_starts_is_dropped(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create()).task_id
        starting = harness.store.write(task_id, harness.start(), synced=True)
        while not starting.done():
            harness.store.publish(task_id, 1, place(1))
            await asyncio.sleep(0)
        for _ in range(2):
            assert await _latest_everywhere(harness, task_id) == [{}] * 3
            await harness.reopen()

    async def test_the_newest_are_there_after_a_restart(self, harness: Harness) -> None:
        running = (await harness.create_running()).task_id
        ending = (await harness.create_running()).task_id
        for task_id in (running, ending):
            harness.store.publish(task_id, 1, progress(10))
            harness.store.publish(task_id, 1, progress(33))
            harness.store.publish(task_id, 1, stats(files=3))
        await harness.store.write(ending, harness.complete())
        before = [await harness.store.get(task_id) for task_id in (running, ending)]
        await harness.reopen()
        assert [await harness.store.get(task_id) for task_id in (running, ending)] == before

    async def test_those_of_older_attempts_are_dropped(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        harness.store.publish(task_id, 1, stats(files=1))
        await harness.store.write(task_id, harness.complete())
        harness.store.publish(task_id, 1, stats(files=2))
        raised = await harness.store.write(task_id, retry)
        assert raised.record.latest == {}
        assert await _latest_everywhere(harness, task_id) == [{}] * 3
        event = harness.store.publish(task_id, 2, progress(1))
        assert event is not None
        for _ in range(2):
            kept = {EventType.PROGRESS: event}
            assert await _latest_everywhere(harness, task_id) == [kept] * 3
            await harness.reopen()

    async def test_those_published_while_the_attempt_is_raised_are_dropped_too(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        raising = harness.store.write(task_id, retry, synced=True)
        while not raising.done():
            harness.store.publish(task_id, 1, progress(70))
            await asyncio.sleep(0)
        assert await _latest_everywhere(harness, task_id) == [{}] * 3
        assert harness.store.publish(task_id, 1, progress(80)) is None
        await harness.reopen()
        assert await _latest_everywhere(harness, task_id) == [{}] * 3

    async def test_a_read_during_the_change_gives_those_of_one_attempt(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, progress(10))
        raising = harness.store.write(task_id, retry, synced=True)
        while not raising.done():
            page = await harness.store.read(task_id, START, 10)
            attempts = {event.attempt for event in page.latest.values()}
            assert attempts <= {page.events[-1].attempt}

    async def test_what_is_published_during_a_write_is_not_lost_by_it(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        write = harness.store.write(task_id, say("slow"), synced=True)
        event = None
        while not write.done():
            event = harness.store.publish(task_id, 1, progress(70))
            await asyncio.sleep(0)
        record = await harness.store.get(task_id)
        assert record is not None
        assert record.latest == {EventType.PROGRESS: event}
        assert record.head.seq == 3

    async def test_what_is_published_during_a_read_is_in_its_answer(self, harness: Harness) -> None:
        task_id = (await harness.create()).task_id
        getting = asyncio.create_task(harness.store.get(task_id))
        reading = asyncio.create_task(harness.store.read(task_id, START, 10))
        listing = asyncio.create_task(harness.store.tasks(LOCAL, limit=10))
        await asyncio.sleep(0)
        event = harness.store.publish(task_id, 1, progress(0))
        record = await getting
        assert record is not None
        assert record.latest == {EventType.PROGRESS: event}
        assert (await reading).latest == {EventType.PROGRESS: event}
        assert (await listing).records == [record]

    @pytest.mark.parametrize("content", [b"\x89PNG", "half way"])
    async def test_a_preview_is_there_while_the_task_runs_and_survives_nothing(
        self, harness: Harness, content: bytes | str
    ) -> None:
        task_id = (await harness.create_running()).task_id
        harness.store.publish(task_id, 1, preview("first"))
        shown = harness.store.publish(task_id, 1, preview(content))
        assert shown is not None
        assert shown.attachment == (content if isinstance(content, bytes) else None)
        await harness.store.write(task_id, say("beside it"))
        await harness.store.probe()
        assert await _latest_everywhere(harness, task_id) == [{EventType.PREVIEW: shown}] * 3
        await harness.reopen()
        assert await _latest_everywhere(harness, task_id) == [{}] * 3

    async def test_a_task_that_does_not_run_has_no_preview(self, harness: Harness) -> None:
        task_id = (await harness.create()).task_id
        assert harness.store.publish(task_id, 1, preview("x")) is None
        await harness.store.write(task_id, harness.start())
        harness.store.publish(task_id, 1, preview(b"x"))
        await harness.store.write(task_id, harness.complete())
        assert await _latest_everywhere(harness, task_id) == [{}] * 3

    async def test_a_volatile_event_that_is_too_large_is_refused(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        with pytest.raises(TaskPushError) as caught:
            harness.store.publish(
                task_id, 1, NewEvent(EventType.STATS, {"x": "y" * MAX_EVENT_BYTES})
            )
        assert caught.value.code == "payload_too_large"


class ReadContract:
    """Positions, pages of the log, one moment."""

    async def test_a_log_is_read_in_pages(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say("a", "b", "c"))
        position, seqs, ends = START, [], []
        for _ in range(3):
            page = await harness.store.read(task_id, position, 2)
            seqs.append([event.seq for event in page.events])
            ends.append(page.end)
            position = page.events[-1].position
            assert page.head == Position(5, harness.store.epoch)
        assert seqs == [[1, 2], [3, 4], [5]]
        assert ends == [False, False, True]

    async def test_a_page_ends_with_the_event_that_fills_its_bytes(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say(*["x" * 1000] * 5))
        pages: list[LogPage] = []
        position = Position(2)
        while not pages or not pages[-1].end:
            pages.append(await harness.store.read(task_id, position, 100, max_bytes=1500))
            position = pages[-1].events[-1].position
        assert [[event.seq for event in page.events] for page in pages] == [[3, 4], [5, 6], [7]]

    async def test_a_page_gives_the_events_as_they_were_committed(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = 'line\none\ttwo\u2028 \x00 \x7f \U0001f600 "quoted" \\n'
        commit = await harness.store.write(task_id, say(spoken, "", " 1 2 3"))
        events = await harness.log(task_id)
        assert tuple(events[2:]) == commit.events
        assert texts_of(events) == [spoken, "", " 1 2 3"]

    async def test_nothing_follows_the_head(self, harness: Harness) -> None:
        record = await harness.create_running()
        page = await harness.store.read(record.task_id, record.head, 10)
        assert (list(page.events), page.end, page.final) == ([], True, False)

    async def test_a_page_says_whether_the_log_ends_in_a_final_event(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_completed()).task_id
        first = await harness.store.read(task_id, START, 1)
        assert (first.end, first.final) == (False, True)
        last = await harness.store.read(task_id, Position(2), 1)
        assert (last.end, last.final, last.events[0].final) == (True, True, True)
        await harness.store.write(task_id, retry)
        assert not (await harness.store.read(task_id, START, 10)).final

    async def test_an_unknown_task_is_not_found(self, harness: Harness) -> None:
        assert await harness.store.get(new_task_id()) is None
        with pytest.raises(NotFound):
            await harness.store.read(new_task_id(), START, 10)
        with pytest.raises(NotFound):
            await harness.store.read_type(new_task_id(), EventType.ARTIFACT)

    async def test_a_position_is_valid_when_its_event_has_its_epoch(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        first = harness.store.epoch
        await harness.reopen()
        second = harness.store.epoch
        assert first != second
        await harness.store.write(task_id, say("by the second"))
        for valid, following in (
            (START, 3),
            (Position(0, ""), 3),
            (Position(0, "unknown0"), 3),
            (Position(1, first), 2),
            (Position(2, first), 1),
            (Position(2), 1),
            (Position(3, second), 0),
            (Position(3), 0),
        ):
            page = await harness.store.read(task_id, valid, 10)
            assert len(page.events) == following, valid

    async def test_any_other_position_is_gone(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        first = harness.store.epoch
        await harness.reopen()
        await harness.store.write(task_id, say("by the second"))
        for gone in (
            Position(3, first),
            Position(2, harness.store.epoch),
            Position(1, ""),
            Position(4),
            Position(4, harness.store.epoch),
            Position(2**53 - 1),
        ):
            with pytest.raises(PositionGone) as caught:
                await harness.store.read(task_id, gone, 10)
            assert caught.value.oldest == 1

    async def test_events_of_one_type_are_read_in_order(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        for name in ("a", "b", "a"):
            await harness.store.write(
                task_id,
                lifecycle.report(
                    1, [log_line("between"), NewEvent(EventType.ARTIFACT, {"name": name})]
                ),
            )
        artifacts = await harness.store.read_type(task_id, EventType.ARTIFACT)
        assert [body_of(event)["data"]["name"] for event in artifacts] == ["a", "b", "a"]
        assert len(await harness.store.read_type(task_id, EventType.LOG)) == 3
        assert await harness.store.read_type(task_id, EventType.CHECKPOINT) == []

    async def test_a_record_read_back_equals_the_record_written(self, harness: Harness) -> None:
        record = await harness.create_running(
            title="Grüße\n\u2028",
            priority=-3,
            tags=("b", "a"),
            params={"deep": [{"x": [1, 2.5, None, True, "ü"]}], "big": 2**53 - 1},
            metadata={"": {}},
        )
        harness.clock.wind(0.000001)
        error = TaskError(error="division by zero", error_type="ZeroDivisionError", code="raised")
        failed = await harness.store.write(
            record.task_id, lifecycle.fail(1, harness.clock.now(), error, reason="timeout")
        )
        assert await harness.store.get(record.task_id) == failed.record
        await harness.reopen()
        assert await harness.store.get(record.task_id) == failed.record

    async def test_a_record_is_never_ahead_of_or_behind_its_log(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        write = harness.store.write(task_id, harness.complete(), synced=True)
        seen: list[tuple[Status, int]] = []
        while not write.done():
            record = await harness.store.get(task_id)
            assert record is not None
            seen.append((record.status, record.head.seq))
            await asyncio.sleep(0)
        assert set(seen) <= {(Status.RUNNING, 2), (Status.COMPLETED, 3)}


class ListContract:
    """Lists of tasks, the queue, what a dead server left."""

    async def test_tasks_are_listed_newest_first_whatever_the_clock_says(
        self, harness: Harness
    ) -> None:
        created = []
        for _ in range(5):
            created.append((await harness.create()).task_id)
            harness.clock.set_back(60)
        assert await _listed(harness, LOCAL) == created[::-1]
        await harness.reopen()
        created.append((await harness.create()).task_id)
        assert await _listed(harness, LOCAL) == created[::-1]

    async def test_pages_do_not_shift_while_tasks_are_created_and_written(
        self, harness: Harness
    ) -> None:
        created = [(await harness.create_running()).task_id for _ in range(7)]
        listed: list[str] = []
        page = await harness.store.tasks(LOCAL, limit=3)
        while True:
            listed += [record.task_id for record in page.records]
            if page.next is None:
                break
            await harness.create()
            await harness.store.write(created[3], say("moved"))
            page = await harness.store.tasks(LOCAL, limit=3, after=page.next)
        assert listed == created[::-1]

    async def test_the_last_page_has_no_next(self, harness: Harness) -> None:
        for _ in range(4):
            await harness.create()
        first = await harness.store.tasks(LOCAL, limit=2)
        assert first.next is not None
        assert (await harness.store.tasks(LOCAL, limit=2, after=first.next)).next is None
        empty = await harness.store.tasks(TaskFilter(tenant="other"), limit=2)
        assert empty == TaskPage(records=[], next=None)

    @pytest.mark.parametrize("after", ["", "x", "t0", "t-1", "tffffffffffffffffffff", "\ud800"])
    async def test_an_after_that_no_page_gave_is_refused(
        self, harness: Harness, after: str
    ) -> None:
        with pytest.raises(TaskPushError) as caught:
            await harness.store.tasks(LOCAL, limit=1, after=after)
        assert caught.value.code == "invalid_request"

    async def test_each_filter_leaves_what_fits(self, harness: Harness) -> None:
        alpha = (await harness.create_running(title="Über alles", tags=("x", "y"))).task_id
        between = harness.clock.now() + timedelta(seconds=5)
        harness.clock.wind(10)
        beta = (await harness.create(kind="train", owner="bob", tags=("x",))).task_id
        gamma = (await harness.create(title="100% [a-z]_*")).task_id
        await harness.create(tenant="other", title="Über alles", tags=("x",))
        for where, expected in (
            (LOCAL, [gamma, beta, alpha]),
            (replace(LOCAL, owner="ann"), [gamma, alpha]),
            (replace(LOCAL, owner="ann", status=Status.PENDING), [gamma]),
            (replace(LOCAL, owner="ann", kind="train"), []),
            (replace(LOCAL, status=Status.RUNNING), [alpha]),
            (replace(LOCAL, status=Status.PENDING, kind="train"), [beta]),
            (replace(LOCAL, kind="layout"), [gamma, alpha]),
            (replace(LOCAL, tag="x"), [beta, alpha]),
            (replace(LOCAL, tag="y"), [alpha]),
            (replace(LOCAL, tag="x", owner="bob"), [beta]),
            (replace(LOCAL, tag="x", status=Status.RUNNING, kind="layout"), [alpha]),
            (replace(LOCAL, tag="z"), []),
            (replace(LOCAL, created_after=between), [gamma, beta]),
            (replace(LOCAL, created_before=between), [alpha]),
            (replace(LOCAL, q="ÜBER"), [alpha]),
            (replace(LOCAL, q="ber a"), [alpha]),
            (replace(LOCAL, q="% [A-Z]_*"), [gamma]),
            (replace(LOCAL, q="_"), [gamma]),
            (replace(LOCAL, q=beta[9:].upper()), [beta]),
            (replace(LOCAL, q=""), [gamma, beta, alpha]),
            (TaskFilter(tenant="nobody"), []),
        ):
            assert await _listed(harness, where) == expected, where

    async def test_a_filtered_list_is_paged_too(self, harness: Harness) -> None:
        wanted = []
        for number in range(12):
            record = await harness.create(tags=("even",) if number % 2 == 0 else ("odd",))
            wanted += [record.task_id] if number % 2 == 0 else []
        page = await harness.store.tasks(replace(LOCAL, tag="even"), limit=4)
        rest = await harness.store.tasks(replace(LOCAL, tag="even"), limit=4, after=page.next)
        listed = [record.task_id for record in (*page.records, *rest.records)]
        assert listed == wanted[::-1]
        assert rest.next is None

    async def test_lists_hold_the_whole_record(self, harness: Harness) -> None:
        record = await harness.create_running(tags=("x",), params={"a": [1]})
        (listed,) = (await harness.store.tasks(LOCAL, limit=5)).records
        assert listed == record

    async def test_pending_tasks_wait_by_priority_then_by_age(self, harness: Harness) -> None:
        task_ids = []
        for priority in (0, 5, 0, -1, 5):
            task_ids.append((await harness.create(priority=priority)).task_id)
            harness.clock.set_back(1)
        await harness.create_running()
        await harness.create_completed()
        order = [1, 4, 0, 2, 3]
        waiting = await harness.store.waiting()
        assert [task.task_id for task in waiting] == [task_ids[index] for index in order]
        assert [task.priority for task in waiting] == [5, 5, 0, 0, -1]
        assert {task.kind for task in waiting} == {"layout"}
        await harness.reopen()
        assert await harness.store.waiting() == waiting

    async def test_a_waiting_task_says_whose_it_is_and_when_it_is_due(
        self, harness: Harness
    ) -> None:
        due = harness.clock.now() + timedelta(hours=1)
        delayed = await harness.create(tenant="acme", owner="bob", run_at=due, priority=1)
        plain = await harness.create(kind="train")
        await harness.reopen()
        assert await harness.store.waiting() == [
            Waiting(delayed.task_id, "layout", 1, run_at=due, tenant="acme", owner="bob"),
            Waiting(plain.task_id, "train", 0, run_at=None, tenant="local", owner="ann"),
        ]

    async def test_interrupted_tasks_are_listed_by_kind_and_age(self, harness: Harness) -> None:
        lost = [await harness.create_running(kind=kind) for kind in ("a", "b", "c", "a")]
        await harness.create_running(kind="a")
        await harness.create(kind="a")
        for record in reversed(lost):
            await harness.store.write(
                record.task_id,
                lifecycle.interrupt(1, harness.clock.now(), reason="worker_lost", message="gone"),
            )
        found = await harness.store.interrupted(["a", "b"])
        now = [await harness.store.get(lost[index].task_id) for index in (0, 1, 3)]
        assert list(found) == now
        assert list(await harness.store.interrupted([])) == []

    async def test_tasks_that_ended_by_themselves_are_told_newest_end_first(
        self, harness: Harness
    ) -> None:
        first, second, third, cancelled, elsewhere = [
            await harness.create_running(kind=kind, tenant=tenant)
            for kind, tenant in (("a", "local"), ("a", "other"), ("a", "x"), ("a", "x"), ("b", "x"))
        ]
        await harness.create_running(kind="a")
        await harness.create(kind="a")
        now = harness.clock.now
        error = TaskError(error="no", error_type="E", code="raised")
        ends: Sequence[tuple[TaskRecord, Callable[[], Decide]]] = (
            (second, harness.complete),
            (cancelled, lambda: lifecycle.cancel(None, now())),
            (elsewhere, harness.complete),
            (third, lambda: lifecycle.fail(1, now(), error)),
            (first, harness.complete),
        )
        for record, end in ends:
            harness.clock.wind(1)
            await harness.store.write(record.task_id, end())
        found = await harness.store.ended("a", limit=10)
        assert list(found) == [await harness.store.get(it.task_id) for it in (first, third, second)]
        assert list(await harness.store.ended("a", limit=1)) == [found[0]]
        assert list(await harness.store.ended("c", limit=1)) == []

    async def test_running_tasks_of_an_earlier_server_are_abandoned(self, harness: Harness) -> None:
        lost = [await harness.create_running() for _ in range(3)]
        await harness.create()
        await harness.create_completed()
        assert await harness.store.abandoned() == []
        await harness.reopen()
        await harness.create_running()
        assert await harness.store.abandoned() == lost
        await harness.store.write(
            lost[0].task_id,
            lifecycle.interrupt(1, harness.clock.now(), reason="server_stopped", message="gone"),
        )
        assert await harness.store.abandoned() == lost[1:]


class RetentionContract:
    """What may go, what went, what is left."""

    async def test_finished_tasks_are_listed_newest_end_first(self, harness: Harness) -> None:
        late = await harness.create_running(kind="train")
        early = await harness.create_completed()
        await harness.create()
        await harness.create_running()
        kept = await harness.create_running()
        await harness.store.write(
            kept.task_id,
            lifecycle.interrupt(1, harness.clock.now(), reason="server_stopped", message="gone"),
        )
        harness.clock.wind(10)
        middle = harness.clock.now()
        harness.clock.wind(10)
        await harness.store.write(late.task_id, say("x"))
        await harness.store.write(late.task_id, harness.complete({"large": "x" * 50_000}))
        whole = [await _finished(harness, late, 1), await _finished(harness, early, 2)]
        assert [(task.events, task.kind) for task in whole] == [(4, "train"), (3, "layout")]
        assert whole[0].record_bytes > 50_000
        for before, kind, limit, expected in (
            (None, None, 10, whole),
            (None, None, 1, whole[:1]),
            (middle, None, 10, whole[1:]),
            (whole[1].finished_at, None, 10, []),
            (None, "train", 10, whole[:1]),
            (middle, "train", 10, []),
            (None, "other", 10, []),
        ):
            found = await harness.store.finished(before=before, kind=kind, limit=limit)
            assert list(found) == expected, (before, kind, limit)
        await harness.store.write(late.task_id, retry)
        assert list(await harness.store.finished(limit=9)) == whole[1:]

    async def test_finished_tasks_are_followed_while_they_go(self, harness: Harness) -> None:
        created = [await harness.create_completed(kind="ab"[n % 2]) for n in range(3)]
        harness.clock.wind(1)
        created += [await harness.create_completed(kind="ab"[n % 2]) for n in range(3, 6)]
        newest_first = [record.task_id for record in reversed(created)]
        found: list[str] = []
        after = None
        while page := await harness.store.finished(after=after, limit=2):
            found += [task.task_id for task in page]
            after = page[-1]
            await harness.store.delete(after.task_id, lifecycle.delete())
            await harness.create_completed()
        assert found == newest_first
        assert not await harness.store.finished(kind="a", after=after, limit=9)

    async def test_the_artifacts_of_a_trimmed_log_stay(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        for name in ("a", "b"):
            events = [log_line("between"), NewEvent(EventType.ARTIFACT, {"name": name})]
            await harness.store.write(task_id, lifecycle.report(1, events))
        await harness.store.write(task_id, harness.complete())
        before = await harness.store.read_type(task_id, EventType.ARTIFACT)
        assert len(before) == 2
        for keep_last in (2, 1):
            await harness.store.trim(task_id, lifecycle.delete(), keep_last=keep_last)
            assert await harness.store.read_type(task_id, EventType.ARTIFACT) == before
            assert await harness.store.read_type(task_id, EventType.LOG) == []
            assert len(await harness.log(task_id)) == keep_last
            await harness.reopen()
        await harness.store.delete(task_id, lifecycle.delete())
        with pytest.raises(NotFound):
            await harness.store.read_type(task_id, EventType.ARTIFACT)

    async def test_a_trimmed_log_begins_at_its_oldest_event(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say("a", "b", "c"))
        ended = (await harness.store.write(task_id, harness.complete())).record
        log = await harness.log(task_id)
        removed = await harness.store.trim(task_id, lifecycle.delete(), keep_last=2)
        assert removed == sum(len(event.body) for event in log[:4])
        for _ in range(2):
            page = await harness.store.read(task_id, START, 10)
            assert list(page.events) == list(log[4:])
            assert (page.end, page.final, page.head) == (True, True, ended.head)
            assert await harness.store.get(task_id) == ended
            for gone in (log[0].position, log[3].position, Position(3)):
                with pytest.raises(PositionGone) as caught:
                    await harness.store.read(task_id, gone, 10)
                assert caught.value.oldest == 5
            for position, following in ((Position(4), 2), (log[4].position, 1), (ended.head, 0)):
                assert len((await harness.store.read(task_id, position, 9)).events) == following
            with pytest.raises(PositionGone):
                await harness.store.read(task_id, Position(7), 10)
            await harness.reopen()

    async def test_the_last_event_is_always_kept(self, harness: Harness) -> None:
        record = await harness.create_completed()
        with pytest.raises(ValueError, match="always kept"):
            harness.store.trim(record.task_id, lifecycle.delete(), keep_last=0)
        assert await harness.store.trim(record.task_id, lifecycle.delete()) > 0
        assert await harness.store.trim(record.task_id, lifecycle.delete()) == 0
        assert await harness.store.trim(record.task_id, lifecycle.delete(), keep_last=9) == 0
        assert [event.seq for event in await harness.log(record.task_id)] == [3]

    async def test_a_trimmed_task_goes_on_where_it_was(self, harness: Harness) -> None:
        record = await harness.create_completed()
        results = await asyncio.gather(
            harness.store.trim(record.task_id, lifecycle.delete()),
            harness.store.write(record.task_id, retry),
            harness.store.write(record.task_id, harness.start()),
            harness.store.write(record.task_id, say("again", attempt=2)),
        )
        assert isinstance(results[0], int)
        assert [event.seq for event in await harness.log(record.task_id)] == [3, 4, 5, 6]
        assert (await harness.store.read(record.task_id, record.head, 10)).end

    async def test_a_log_that_is_trimmed_and_then_deleted_was_trimmed(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_completed()).task_id
        log = await harness.log(task_id)
        trimmed = harness.store.trim(task_id, lifecycle.delete())
        await harness.store.delete(task_id, lifecycle.delete())
        assert await trimmed == sum(len(event.body) for event in log[:-1])

    async def test_a_decision_keeps_a_log_from_being_trimmed(self, harness: Harness) -> None:
        running = await harness.create_running()
        with pytest.raises(IllegalTransition):
            await harness.store.trim(running.task_id, lifecycle.delete())
        for decide in (lifecycle.delete(), _anyway):
            with pytest.raises(NotFound):
                await harness.store.trim(new_task_id(), decide)
        assert len(await harness.log(running.task_id)) == 2

    async def test_usage_counts_what_is_there(self, harness: Harness) -> None:
        assert (await harness.store.usage()).tasks == 0
        deleted, trimmed = [await harness.create_completed() for _ in range(2)]
        task_id = (await harness.create_running()).task_id
        await harness.store.write(task_id, say(*["x" * 60_000] * 20))
        full = await harness.store.usage()
        assert (full.tasks, full.events) == (3, 28)
        assert full.bytes > 1_200_000
        await harness.store.delete(deleted.task_id, lifecycle.delete())
        await harness.store.trim(trimmed.task_id, lifecycle.delete())
        await harness.store.trim(task_id, _anyway)
        left = await harness.store.usage()
        assert (left.tasks, left.events) == (2, 2)
        assert left.bytes < full.bytes - 1_000_000

    async def test_shrinking_loses_nothing(self, harness: Harness) -> None:
        deleted = (await harness.create_running()).task_id
        await harness.store.write(deleted, say(*["x" * 60_000] * 50))
        kept = await harness.create_completed()
        await harness.store.delete(deleted, _anyway)
        shrinking = asyncio.create_task(harness.store.shrink())
        created = await harness.store.create([harness.new_record()])
        await shrinking
        await harness.store.shrink()
        assert await harness.store.get(kept.task_id) == kept
        assert await harness.store.get(created.records[0].task_id) == created.records[0]


async def _finished(harness: Harness, record: TaskRecord, order: int) -> FinishedTask:
    """What retention is told of a task that is over."""
    present = await harness.store.get(record.task_id)
    assert present is not None
    assert present.finished_at is not None
    log = await harness.log(record.task_id)
    return FinishedTask(
        task_id=present.task_id,
        kind=present.kind,
        order=order,
        attempt=present.attempt,
        finished_at=present.finished_at,
        events=len(log),
        log_bytes=sum(len(event.body) for event in log),
        last_event_bytes=len(log[-1].body),
        record_bytes=len(encode_record(present)),
    )


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


class LifeContract:
    """Opening, closing, probing."""

    async def test_closing_finishes_the_writes_that_were_begun(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = [str(number) for number in range(1000)]
        writes = [
            harness.store.write(task_id, say(text), synced=number == 999)
            for number, text in enumerate(spoken)
        ]
        await harness.store.close()
        assert all(write.done() for write in writes)
        await harness.store.open()
        assert texts_of(await harness.log(task_id)) == spoken

    async def test_calls_after_the_close_are_refused(self, harness: Harness) -> None:
        store = harness.store
        task_id = (await harness.create_running()).task_id
        await store.close()
        with pytest.raises(StoreUnavailable):
            store.write(task_id, say("late"))
        with pytest.raises(StoreUnavailable):
            store.create([harness.new_record()])
        with pytest.raises(StoreUnavailable):
            store.delete(task_id, _anyway)
        with pytest.raises(StoreUnavailable):
            store.trim(task_id, _anyway)
        with pytest.raises(StoreUnavailable):
            store.publish(task_id, 1, progress(1))
        with pytest.raises(StoreUnavailable):
            store.note(entry_of(harness))
        with pytest.raises(StoreUnavailable):
            store.forget_audit(harness.clock.now())
        for call in (
            store.get(task_id),
            store.read(task_id, START, 1),
            store.read_type(task_id, EventType.LOG),
            store.tasks(LOCAL, limit=1),
            store.waiting(),
            store.abandoned(),
            store.interrupted(["any"]),
            store.ended("any", limit=1),
            store.finished(limit=1),
            store.was_deleted(task_id, tenant="local", owner="ann"),
            store.usage(),
            store.shrink(),
            store.daily(LOCAL, 1),
            store.probe(),
            store.audit(LOCAL_TRAIL, limit=1),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        await store.close()

    async def test_each_opening_has_its_own_epoch(self, harness: Harness) -> None:
        epochs = {harness.store.epoch}
        for _ in range(3):
            epochs.add((await harness.reopen()).epoch)
        assert len(epochs) == 4

    async def test_a_probe_of_a_store_that_works_returns(self, harness: Harness) -> None:
        record = await harness.create_running()
        told: list[Told] = []
        harness.store.listen(told.append)
        await harness.store.probe()
        assert told == []
        assert await harness.store.get(record.task_id) == record

    async def test_everything_is_there_after_a_restart(self, harness: Harness) -> None:
        for number in range(20):
            await harness.create_completed(title=f"Task {number}", tags=(f"t{number % 3}",))
        before = await harness.store.tasks(LOCAL, limit=100)
        logs = [await harness.log(record.task_id) for record in before.records]
        await harness.reopen()
        after = await harness.store.tasks(LOCAL, limit=100)
        assert after == before
        assert [await harness.log(record.task_id) for record in after.records] == logs


class StoreContract(
    WriteContract,
    CreateContract,
    DeleteContract,
    ListenContract,
    PublishContract,
    ReadContract,
    ListContract,
    RetentionContract,
    WebhookContract,
    StatisticsContract,
    LifeContract,
    ChangesContract,
    AuditContract,
    ProducerContract,
):
    """All of it."""


async def _await_write(harness: Harness, task_id: str) -> None:
    await harness.store.write(task_id, say("awaited"))


def _anyway(record: TaskRecord | None) -> Decision:
    """Delete it, whatever its status."""
    return Decision(record) if record is not None else lifecycle.delete()(record)


async def _latest_everywhere(harness: Harness, task_id: str) -> list[Any]:
    """What a record, a page of the log and the list, which has this task alone, say."""
    assert len((await harness.store.tasks(LOCAL, limit=2)).records) == 1
    return await _latest_of(harness, task_id)


async def _latest_of(harness: Harness, task_id: str) -> list[Any]:
    """What a record, a page of the log and a list say."""
    record = await harness.store.get(task_id)
    assert record is not None
    page = await harness.store.read(task_id, START, 1)
    listed = (await harness.store.tasks(LOCAL, limit=50)).records
    return [
        record.latest,
        page.latest,
        *(each.latest for each in listed if each.task_id == task_id),
    ]


async def _take(harness: Harness, seconds: float, **fields: Any) -> None:
    """Run a task that takes so long."""
    task_id = (await harness.create_running(**fields)).task_id
    harness.clock.wind(seconds)
    await harness.store.write(task_id, harness.complete())
    harness.clock.wind(-seconds)
    # So that no two end at once.
    harness.clock.wind(0.001 + seconds * 0.001)


def _rev(harness: Harness, task_id: str) -> int:
    event = harness.store.publish(task_id, 1, progress(10))
    assert event is not None
    return event.rev


async def _listed(harness: Harness, where: TaskFilter) -> list[str]:
    return [record.task_id for record in (await harness.store.tasks(where, limit=50)).records]
