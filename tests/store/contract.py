"""The promises of `Store`, one by one: each adapter's test module runs this suite on its own.

A subclass gives the fixture `harness`.
"""

from __future__ import annotations

import pytest

from taskpush.errors import StoreUnavailable
from taskpush.models.events import EventType
from taskpush.models.position import START
from tests.store.append_contract import AppendContract
from tests.store.audit_contract import LOCAL as LOCAL_TRAIL
from tests.store.audit_contract import AuditContract, entry_of
from tests.store.changes_contract import ChangesContract
from tests.store.create_contract import CreateContract
from tests.store.delete_contract import DeleteContract
from tests.store.harness import LOCAL, Harness, Told, anyway, progress, say, texts_of
from tests.store.list_contract import ListContract
from tests.store.producer_contract import ProducerContract
from tests.store.publish_contract import ListenContract, PublishContract
from tests.store.read_contract import ReadContract
from tests.store.retention_contract import RetentionContract
from tests.store.statistics_contract import StatisticsContract
from tests.store.upload_contract import UploadContract
from tests.store.webhook_contract import WebhookContract
from tests.store.write_contract import WriteContract


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
            store.delete(task_id, anyway)
        with pytest.raises(StoreUnavailable):
            store.trim(task_id, anyway)
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
    AppendContract,
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
    UploadContract,
):
    """All of it."""
