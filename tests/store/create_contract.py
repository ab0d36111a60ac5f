"""What `Store` promises of creations, their keys and their limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from taskpush.core import lifecycle
from taskpush.errors import NotFound, QueueFull, TaskPushError
from taskpush.models.events import Status
from taskpush.models.position import Position
from taskpush.store.base import KEY_LIFETIME, Commit, Created, IdempotencyKey
from tests.store.harness import LOCAL, Harness, Told, anyway, listed, progress, retry

KEY = IdempotencyKey("local", "ann", "order-1", "hash-1")


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
        assert await listed(harness, replace(LOCAL, tag="x")) == [
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
        assert await listed(harness, LOCAL) == [taken.task_id]
        # A creation that failed leaves no key either.
        assert (await harness.store.create(fresh, key=KEY)).fresh

    async def test_what_cannot_be_stored_fails_the_whole(self, harness: Harness) -> None:
        told: list[Told] = []
        harness.store.listen(told.append)
        records = [harness.new_record(), harness.new_record(params={"x": object()})]
        with pytest.raises(TypeError):
            await harness.store.create(records)
        assert told == []
        assert await listed(harness, LOCAL) == []

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
        assert len(await listed(harness, LOCAL)) == 2

    async def test_a_repeated_key_leaves_out_what_was_deleted(self, harness: Harness) -> None:
        first, second = harness.new_record(), harness.new_record()
        await harness.store.create([first, second], key=KEY)
        await harness.store.delete(first.task_id, anyway)
        again = await harness.store.create([harness.new_record()], key=KEY)
        assert [record.task_id for record in again.records] == [second.task_id]

    async def test_what_a_key_has_created_can_be_asked_for(self, harness: Harness) -> None:
        first, second = harness.new_record(), harness.new_record()
        assert await harness.store.created_under(KEY) is None
        await harness.store.create([first, second], key=KEY)
        await harness.store.write(second.task_id, harness.start())
        await harness.store.delete(first.task_id, anyway)
        now = await harness.store.get(second.task_id)
        assert now is not None
        assert await harness.store.created_under(KEY) == Created((now,), (), fresh=False)
        assert await harness.store.created_under(replace(KEY, owner="bob")) is None
        with pytest.raises(TaskPushError) as caught:
            await harness.store.created_under(replace(KEY, body_hash="hash-2"))
        assert caught.value.code == "idempotency_conflict"
        harness.clock.wind(KEY_LIFETIME.total_seconds())
        assert await harness.store.created_under(KEY) is None

    async def test_a_key_with_another_body_is_a_conflict(self, harness: Harness) -> None:
        await harness.store.create([harness.new_record()], key=KEY)
        with pytest.raises(TaskPushError) as caught:
            await harness.store.create([harness.new_record()], key=replace(KEY, body_hash="hash-2"))
        assert caught.value.code == "idempotency_conflict"
        assert len(await listed(harness, LOCAL)) == 1

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
        assert len(await listed(harness, LOCAL)) == 1

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
