"""Who sees where a task's events are sent, and may have them sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from taskpush.access.principal import Principal, Role, Scope
from taskpush.clock import SystemClock
from taskpush.core.webhooks import Answer
from taskpush.errors import Forbidden, NotFound
from taskpush.models.commands import Redeliver
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.models.webhooks import Webhook
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.webhooks.delivering import Deliverer
from taskpush.tasks.webhooks.showing import TaskWebhooks
from taskpush.telemetry.bus import Telemetry
from tests.store.harness import Harness

ANN = Principal("acme", "ann")
ADMIN = Principal("acme", "root", frozenset({Role.ADMIN}))
STRANGERS = {
    "another owner": Principal("acme", "bob"),
    "another tenant": Principal("other", "ann"),
    "another tenant's admin": Principal("other", "root", frozenset({Role.ADMIN})),
    "a token for another task": Principal("acme", "ann", scope=Scope(task_id="x")),
}
READER = Principal("acme", "ann", frozenset({Role.READ, Role.CREATE, Role.REPORT}))


async def _send(url: str, event: LoggedEvent) -> Answer:
    return Answer(410)


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness(lambda clock, telemetry: MemoryStore(clock=clock, telemetry=telemetry))
    await harness.store.open()
    yield harness
    await harness.store.close()


@pytest.fixture
async def task(harness: Harness) -> TaskRecord:
    return await harness.create(
        tenant="acme", owner="ann", webhooks=(Webhook("https://a.example/?token=1"),)
    )


@pytest.fixture
async def webhooks(harness: Harness, task: TaskRecord) -> AsyncIterator[TaskWebhooks]:
    deliverer = Deliverer(
        harness.store, _send, SystemClock(), Telemetry(), schedule=(timedelta(hours=1),)
    )
    yield TaskWebhooks(harness.store, deliverer)
    await deliverer.close()


@pytest.mark.parametrize("principal", [ANN, ADMIN])
async def test_who_controls_a_task_sees_its_webhooks(
    webhooks: TaskWebhooks, task: TaskRecord, principal: Principal
) -> None:
    (shown,) = await webhooks.shown(principal, task.task_id)
    assert (shown.url, shown.state, shown.seq) == ("https://a.example/?token=1", "waiting", 0)
    assert len(await webhooks.redeliver(principal, task.task_id, Redeliver())) == 1


@pytest.mark.parametrize("who", STRANGERS)
async def test_for_others_there_is_no_such_task(
    webhooks: TaskWebhooks, task: TaskRecord, who: str
) -> None:
    for task_id in (task.task_id, "no-task"):
        with pytest.raises(NotFound) as shown:
            await webhooks.shown(STRANGERS[who], task_id)
        with pytest.raises(NotFound) as again:
            await webhooks.redeliver(STRANGERS[who], task_id, Redeliver())
        assert shown.value.problem == again.value.problem == NotFound().problem


async def test_a_reader_sees_none(webhooks: TaskWebhooks, task: TaskRecord) -> None:
    with pytest.raises(Forbidden):
        await webhooks.shown(READER, task.task_id)
    with pytest.raises(Forbidden):
        await webhooks.redeliver(READER, task.task_id, Redeliver())
