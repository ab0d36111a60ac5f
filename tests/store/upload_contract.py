"""What a store promises of uploads; part of `StoreContract`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from taskpush.core import lifecycle
from taskpush.errors import TaskPushError
from taskpush.ids import new_upload_id
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import HeldUploads, KeptUpload, UploadRef
from tests.store.harness import Harness, anyway

DAY = timedelta(days=1)


def new_upload(harness: Harness, *, size_bytes: int = 7, **fields: Any) -> KeptUpload:
    ref = UploadRef(new_upload_id(), "parts \u2014 零件.csv", "text/csv", size_bytes, "ab" * 32)
    now = harness.clock.now()
    told: dict[str, Any] = {
        "ref": ref,
        "tenant": "local",
        "owner": "ann",
        "created_at": now,
        "expires_at": now + DAY,
    }
    return KeptUpload(**(told | fields))


async def keep(harness: Harness, **fields: Any) -> KeptUpload:
    upload = new_upload(harness, **fields)
    await harness.store.keep_upload(upload)
    return upload


async def create_with(harness: Harness, *uploads: KeptUpload, **fields: Any) -> TaskRecord:
    record = harness.new_record(uploads=tuple(upload.ref for upload in uploads), **fields)
    return (await harness.store.create([record])).records[0]


async def state_of(harness: Harness, upload: KeptUpload) -> KeptUpload | None:
    upload_id = upload.ref.upload_id
    return (await harness.store.uploads([upload_id])).get(upload_id)


async def uses_of(harness: Harness, upload: KeptUpload) -> int | None:
    """How many tasks use it; None: it is gone."""
    found = await state_of(harness, upload)
    if found is not None:
        assert (found.expires_at is None) == (found.uses > 0)
    return found.uses if found else None


class UploadContract:
    """An upload is its owner's until it expires, and its tasks' from the first one on."""

    async def test_an_upload_outlives_the_process(self, harness: Harness) -> None:
        upload = await keep(harness)
        store = await harness.reopen()
        ids = [upload.ref.upload_id, new_upload_id()]
        assert await store.uploads(ids) == {upload.ref.upload_id: upload}

    async def test_an_id_is_taken_once(self, harness: Harness) -> None:
        upload = await keep(harness)
        with pytest.raises(ValueError, match="is kept already"):
            await harness.store.keep_upload(new_upload(harness, ref=upload.ref, owner="bob"))
        assert await state_of(harness, upload) == upload

    async def test_a_task_keeps_what_it_was_created_with(self, harness: Harness) -> None:
        upload = await keep(harness)
        record = await create_with(harness, upload)
        store = await harness.reopen()
        found = await store.get(record.task_id)
        assert found is not None
        assert found.uploads == (upload.ref,)
        # However old it becomes.
        assert await uses_of(harness, upload) == 1
        assert await store.expired_uploads(harness.clock.now() + 99 * DAY, limit=9) == []

    @pytest.mark.parametrize("wrong", ["unknown", "owner", "tenant", "expired"])
    async def test_what_is_not_there_for_the_owner_fails_the_whole_creation(
        self, harness: Harness, wrong: str
    ) -> None:
        fine = await keep(harness)
        given: dict[str, Any] = {wrong: "another"} if wrong in {"owner", "tenant"} else {}
        upload = new_upload(harness, **given)
        if wrong != "unknown":
            await harness.store.keep_upload(upload)
        if wrong == "expired":
            harness.clock.wind(DAY.total_seconds())
            fine = await keep(harness)
        records = [
            harness.new_record(uploads=(fine.ref,)),
            harness.new_record(uploads=(upload.ref,)),
        ]
        with pytest.raises(TaskPushError) as caught:
            await harness.store.create(records)
        assert caught.value.code == "invalid_params"
        assert await harness.store.missing([record.task_id for record in records]) == {
            record.task_id for record in records
        }
        assert await uses_of(harness, fine) == 0

    async def test_a_task_cannot_be_given_other_uploads(self, harness: Harness) -> None:
        record = await harness.create()
        upload = await keep(harness)

        def add(present: TaskRecord | None) -> lifecycle.Decision:
            assert present is not None
            return lifecycle.Decision(replace(present, uploads=(upload.ref,)))

        with pytest.raises(ValueError, match="created with"):
            await harness.store.write(record.task_id, add)

    async def test_an_upload_goes_with_the_last_task_that_uses_it(self, harness: Harness) -> None:
        upload, other = await keep(harness), await keep(harness)
        tasks = [await create_with(harness, upload, other), await create_with(harness, upload)]
        await harness.reopen()
        await harness.store.delete(tasks[0].task_id, anyway)
        assert (await uses_of(harness, upload), await uses_of(harness, other)) == (1, None)
        await harness.store.delete(tasks[1].task_id, anyway)
        assert await uses_of(harness, upload) is None

    async def test_a_task_that_has_just_ended_gives_its_uploads_back(
        self, harness: Harness
    ) -> None:
        upload = await keep(harness)
        task_id = (await create_with(harness, upload)).task_id
        # Created, ended and deleted without a pause: it may be in memory only.
        await harness.store.write(task_id, harness.start())
        done = harness.store.write(task_id, harness.complete())
        await asyncio.gather(done, harness.store.delete(task_id, anyway))
        assert await uses_of(harness, upload) is None

    async def test_a_creation_and_a_deletion_at_once_take_effect_in_their_order(
        self, harness: Harness
    ) -> None:
        upload = await keep(harness)
        first = await create_with(harness, upload)
        again = harness.new_record(uploads=(upload.ref,))
        await asyncio.gather(
            harness.store.create([again]), harness.store.delete(first.task_id, anyway)
        )
        assert await uses_of(harness, upload) == 1
        third = harness.new_record(uploads=(upload.ref,))
        gone, refused = await asyncio.gather(
            harness.store.delete(again.task_id, anyway),
            harness.store.create([third]),
            return_exceptions=True,
        )
        assert isinstance(gone, TaskRecord)
        assert isinstance(refused, TaskPushError)
        assert await uses_of(harness, upload) is None

    async def test_tasks_of_one_creation_may_share_an_upload(self, harness: Harness) -> None:
        upload = await keep(harness)
        await harness.store.create([harness.new_record(uploads=(upload.ref,)) for _ in range(3)])
        assert await uses_of(harness, upload) == 3

    async def test_only_what_no_task_uses_is_forgotten(self, harness: Harness) -> None:
        used, unused = await keep(harness), await keep(harness)
        await create_with(harness, used)
        never = new_upload_id()
        ids = [used.ref.upload_id, unused.ref.upload_id, never]
        assert set(await harness.store.forget_uploads(ids)) == {unused.ref.upload_id, never}
        await harness.reopen()
        assert await uses_of(harness, used) == 1
        assert await uses_of(harness, unused) is None

    async def test_a_creation_before_the_forgetting_keeps_an_upload_and_one_after_it_fails(
        self, harness: Harness
    ) -> None:
        upload, other = await keep(harness), await keep(harness)
        ids = [upload.ref.upload_id]
        _, gone = await asyncio.gather(
            harness.store.create([harness.new_record(uploads=(upload.ref,))]),
            harness.store.forget_uploads(ids),
        )
        assert list(gone) == []
        forgotten, refused = await asyncio.gather(
            harness.store.forget_uploads([other.ref.upload_id]),
            harness.store.create([harness.new_record(uploads=(other.ref,))]),
            return_exceptions=True,
        )
        assert forgotten == [other.ref.upload_id]
        assert isinstance(refused, TaskPushError)

    async def test_what_is_held_is_counted_by_owner(self, harness: Harness) -> None:
        await keep(harness, size_bytes=10)
        expired = await keep(harness, size_bytes=5, expires_at=harness.clock.now())
        await keep(harness, size_bytes=99, owner="bob")
        await keep(harness, size_bytes=99, tenant="other")
        await create_with(harness, await keep(harness, size_bytes=99))
        assert await harness.store.held_uploads("local", "ann") == HeldUploads(2, 15, 114)
        await harness.store.forget_uploads([expired.ref.upload_id])
        assert await harness.store.held_uploads("local", "ann") == HeldUploads(1, 10, 109)
        assert await harness.store.held_uploads("local", "eve") == HeldUploads(0, 0, 0)

    async def test_what_has_expired_is_told_oldest_first(self, harness: Harness) -> None:
        now = harness.clock.now()
        later, first, future = [
            await keep(harness, expires_at=now + timedelta(hours=hours)) for hours in (2, 1, 3)
        ]
        soon = now + timedelta(hours=2)
        ids = [first.ref.upload_id, later.ref.upload_id]
        assert await harness.store.expired_uploads(soon, limit=9) == ids
        assert await harness.store.expired_uploads(soon, limit=1) == ids[:1]
        assert await uses_of(harness, future) == 0

    async def test_retention_counts_what_a_task_was_created_with(self, harness: Harness) -> None:
        upload = await keep(harness, size_bytes=50_000)
        for task in (await create_with(harness, upload), await create_with(harness)):
            await harness.store.write(task.task_id, harness.start())
            harness.clock.wind(1)
            await harness.store.write(task.task_id, harness.complete())
        without, with_file = await harness.store.finished(limit=9)
        assert 50_000 < with_file.record_bytes < 51_000
        assert without.record_bytes < 1_000
