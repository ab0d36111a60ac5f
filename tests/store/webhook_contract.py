"""What the store promises to the deliverer of webhooks; a part of the contract suite."""

from __future__ import annotations

import pytest

from taskpush.core import lifecycle
from taskpush.errors import NotFound
from taskpush.models.webhooks import Delivery, DeliveryState, Hooked, Webhook
from tests.store.harness import Harness, retry, say

HOOKS = (Webhook("https://a.example/hook"), Webhook("https://b.example/", ("log", "artifact")))


def ids(found: object) -> list[str]:
    assert isinstance(found, list | tuple)
    return [hooked.task_id for hooked in found]


class WebhookContract:
    """How far deliveries have come outlives the process, and what is left is found again."""

    async def test_a_task_keeps_its_webhooks(self, harness: Harness) -> None:
        record = await harness.create(webhooks=HOOKS)
        store = await harness.reopen()
        found = await store.get(record.task_id)
        assert found is not None
        assert found.webhooks == HOOKS
        assert await store.hooked(record.task_id) == Hooked(
            record.task_id, HOOKS, (DeliveryState(), DeliveryState())
        )

    async def test_how_far_they_have_come_is_kept(self, harness: Harness) -> None:
        record = await harness.create(webhooks=HOOKS)
        delivery = Delivery(
            webhook_id="x",
            seq=1,
            event_type="status_change",
            outcome="failed",
            tries=2,
            tried_at=harness.clock.now(),
            status=500,
            error="answered 500",
            next_try_at=harness.clock.now(),
        )
        states = (DeliveryState(seq=1), DeliveryState(tries=2, deliveries=(delivery,)))
        await harness.store.deliver(record.task_id, states)
        store = await harness.reopen()
        assert await store.hooked(record.task_id) == Hooked(record.task_id, HOOKS, states)

    async def test_what_may_have_something_left_is_told_in_the_order_of_creation(
        self, harness: Harness
    ) -> None:
        first, second = [await harness.create(webhooks=HOOKS) for _ in range(2)]
        await harness.create()
        store = await harness.reopen()
        await store.deliver(first.task_id, (DeliveryState(seq=1), DeliveryState(seq=1)))
        assert ids(await store.undelivered()) == [first.task_id, second.task_id]

    async def test_a_task_that_is_over_is_done_when_all_of_its_webhooks_are(
        self, harness: Harness
    ) -> None:
        record = await harness.create_completed(webhooks=HOOKS)
        head = record.head.seq
        assert ids(await harness.store.undelivered()) == [record.task_id]
        await harness.store.deliver(
            record.task_id, (DeliveryState(seq=head), DeliveryState(seq=head - 1))
        )
        assert ids(await harness.store.undelivered()) == [record.task_id]
        await harness.store.deliver(
            record.task_id, (DeliveryState(seq=head), DeliveryState(seq=1, gone=True))
        )
        assert ids(await harness.store.undelivered()) == []
        found = await harness.store.hooked(record.task_id)
        assert found is not None
        assert [state.seq for state in found.states] == [head, 1]

    @pytest.mark.parametrize("retry_first", [True, False])
    async def test_a_retry_has_something_to_deliver_again(
        self, harness: Harness, retry_first: bool
    ) -> None:
        """Also when it is committed together with the last delivery of the attempt before."""
        record = await harness.create_completed(webhooks=HOOKS)
        done = [DeliveryState(seq=record.head.seq)] * 2
        if retry_first:
            retried = harness.store.write(record.task_id, retry)
            delivered = harness.store.deliver(record.task_id, done)
        else:
            delivered = harness.store.deliver(record.task_id, done)
            retried = harness.store.write(record.task_id, retry)
        await delivered
        await retried
        assert ids(await harness.store.undelivered()) == [record.task_id]
        await harness.store.deliver(record.task_id, done)
        assert ids(await harness.store.undelivered()) == [record.task_id]

    async def test_a_deleted_task_has_nothing_left(self, harness: Harness) -> None:
        record = await harness.create_completed(webhooks=HOOKS)
        deleted = harness.store.delete(record.task_id, lifecycle.delete())
        with pytest.raises(NotFound):
            await harness.store.deliver(record.task_id, [DeliveryState(), DeliveryState()])
        await deleted
        assert ids(await harness.store.undelivered()) == []
        assert await harness.store.hooked(record.task_id) is None

    async def test_events_of_a_task_cost_its_webhooks_no_write(self, harness: Harness) -> None:
        record = await harness.create_running(webhooks=HOOKS)
        done = [DeliveryState(seq=record.head.seq)] * 2
        await harness.store.deliver(record.task_id, done)
        await harness.store.write(record.task_id, say("a", "b"))
        found = await harness.store.hooked(record.task_id)
        assert found is not None
        assert list(found.states) == done
