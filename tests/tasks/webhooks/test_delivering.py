"""The deliverer, on both stores."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.core.webhooks import Answer, webhook_id
from taskpush.errors import NotFound
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.models.webhooks import DeliveryState, Webhook
from taskpush.store.memory.store import MemoryStore
from taskpush.store.sqlite.store import SqliteStore
from taskpush.tasks.webhooks.delivering import Deliverer
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import WebhookDelivered, WebhookFailed
from tests.store.harness import Harness, body_of, retry, say

A = "https://a.example/hook"
B = "https://b.example/hook"
SCHEDULE = tuple(timedelta(milliseconds=ms) for ms in (10, 20, 30))
SEVERAL = ("status_change", "log")


def _taken(_: LoggedEvent) -> Answer:
    return Answer(200)


class Receivers:
    """Takes what is sent, in place of the network; each address may answer in its own way."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, LoggedEvent]] = []
        self.answers: dict[str, Callable[[LoggedEvent], Answer]] = {}
        self.at_work: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_of_all = 0
        self._held: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._changed = asyncio.Event()

    async def send(self, url: str, event: LoggedEvent) -> Answer:
        host = urlsplit(url).netloc
        self.at_work[host] += 1
        self.most[host] = max(self.most[host], self.at_work[host])
        self.most_of_all = max(self.most_of_all, self.at_work.total())
        try:
            self.tried.append((url, event))
            self._changed.set()
            if host in self._held:
                await self._held[host].wait()
            await asyncio.sleep(0)
            return self.answers.get(url, _taken)(event)
        finally:
            self.at_work[host] -= 1

    def hold(self, host: str) -> asyncio.Event:
        """Let it answer when the event is set."""
        return self._held[host]

    def said(self, url: str = A) -> list[str]:
        """What was sent there: statuses, and messages of the log."""
        data = (body_of(event)["data"] for to, event in self.tried if to == url)
        return [each.get("status") or each["message"] for each in data]

    def has(self, count: int, url: str = A) -> bool:
        """Whether so many events were sent there."""
        return len(self.said(url)) == count

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture(params=["memory", "sqlite"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    if request.param == "memory":
        kept: list[MemoryStore] = []

        def memory(clock: object, telemetry: Telemetry) -> MemoryStore:
            if not kept:
                kept.append(MemoryStore(clock=SystemClock(), telemetry=telemetry))
            return kept[0]

        harness = Harness(memory)
    else:
        path = tmp_path / "tasks.db"
        harness = Harness(
            lambda clock, telemetry: SqliteStore(path, clock=clock, telemetry=telemetry)
        )
    await harness.store.open()
    yield harness
    await harness.store.close()


@pytest.fixture
def receivers() -> Receivers:
    return Receivers()


class Post:
    """Makes deliverers over the harness' store."""

    def __init__(self, harness: Harness, receivers: Receivers) -> None:
        self._harness = harness
        self._receivers = receivers
        self.deliverer: Deliverer | None = None

    async def open(self, *, most: int = 64, most_per_host: int = 4) -> Deliverer:
        self.deliverer = Deliverer(
            self._harness.store,
            self._receivers.send,
            SystemClock(),
            Telemetry(self._harness.said.append),
            schedule=SCHEDULE,
            most=most,
            most_per_host=most_per_host,
        )
        self._harness.store.follow(self.deliverer.on_change)
        await self.deliverer.start()
        return self.deliverer

    async def close(self) -> None:
        if self.deliverer is not None:
            await self.deliverer.close()


@pytest.fixture
async def post(harness: Harness, receivers: Receivers) -> AsyncIterator[Post]:
    post = Post(harness, receivers)
    yield post
    await post.close()


async def create(harness: Harness, *webhooks: Webhook) -> TaskRecord:
    record = harness.new_record(webhooks=webhooks or (Webhook(A),))
    return (await harness.store.create([record])).records[0]


async def run(harness: Harness, task: TaskRecord, *lines: str) -> None:
    await harness.store.write(task.task_id, harness.start())
    for line in lines:
        await harness.store.write(task.task_id, say(line))
    await harness.store.write(task.task_id, harness.complete())


async def settled(harness: Harness, deliverer: Deliverer) -> None:
    """Until nothing is left to deliver, and nothing is remembered of it."""
    async with asyncio.timeout(20):
        while await harness.store.undelivered() or deliverer._tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # Nobody is told of what was forgotten.


async def states(harness: Harness, task: TaskRecord) -> tuple[DeliveryState, ...]:
    hooked = await harness.store.hooked(task.task_id)
    assert hooked is not None
    return hooked.states


async def test_status_changes_are_sent_in_order_and_then_all_is_done(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    deliverer = await post.open()
    task = await create(harness)
    await run(harness, task, "one", "two")
    await settled(harness, deliverer)
    assert receivers.said() == ["pending", "running", "completed"]
    (state,) = await states(harness, task)
    assert [it.outcome for it in state.deliveries] == ["taken"] * 3
    assert sum(isinstance(it, WebhookDelivered) for it in harness.said) == 3


async def test_the_types_that_were_chosen_are_sent(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    deliverer = await post.open()
    await run(harness, await create(harness, Webhook(A, ("log",)), Webhook(B)), "one", "two")
    await settled(harness, deliverer)
    assert receivers.said(A) == ["one", "two"]
    assert receivers.said(B) == ["pending", "running", "completed"]


async def test_events_are_sent_while_the_task_runs(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    await post.open()
    task = await create(harness, Webhook(A, SEVERAL))
    await harness.store.write(task.task_id, harness.start())
    for count in range(3, 6):
        await harness.store.write(task.task_id, say(str(count)))
        await receivers.until(partial(receivers.has, count))


async def test_a_task_without_webhooks_is_not_noticed(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    deliverer = await post.open()
    await run(harness, await harness.create(), "one")
    assert deliverer._tasks == {}
    assert receivers.tried == []


async def test_the_next_waits_until_the_former_was_taken(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    fails = iter([Answer(500), Answer(None, "no connection"), Answer(301)])
    receivers.answers[A] = lambda _: next(fails, Answer(200))
    deliverer = await post.open()
    task = await create(harness)
    await run(harness, task)
    await settled(harness, deliverer)
    assert receivers.said() == ["pending"] * 4 + ["running", "completed"]
    ids = {webhook_id(event) for _, event in receivers.tried}
    assert len(ids) == 3
    failed = [it for it in harness.said if isinstance(it, WebhookFailed)]
    assert [(it.tries, it.given_up) for it in failed] == [(1, False), (2, False), (3, False)]
    (state,) = await states(harness, task)
    assert [(it.outcome, it.tries) for it in state.deliveries] == [
        ("taken", 4),
        ("taken", 1),
        ("taken", 1),
    ]


async def test_what_is_never_taken_is_given_up_for_the_next(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    receivers.answers[A] = lambda event: Answer(500 if event.seq == 1 else 200)
    deliverer = await post.open()
    await run(harness, await create(harness))
    await settled(harness, deliverer)
    assert receivers.said() == ["pending"] * (1 + len(SCHEDULE)) + ["running", "completed"]
    assert [it.given_up for it in harness.said if isinstance(it, WebhookFailed)][-1]


async def test_one_webhook_that_fails_does_not_hold_up_another(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    held = receivers.hold("a.example")
    deliverer = await post.open()
    await run(harness, await create(harness, Webhook(A), Webhook(B)))
    await receivers.until(lambda: len(receivers.said(B)) == 3)
    assert receivers.said(A) == ["pending"]
    held.set()
    await settled(harness, deliverer)
    assert receivers.said(A) == ["pending", "running", "completed"]


async def test_a_receiver_that_is_gone_is_sent_nothing_more(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    receivers.answers[A] = lambda _: Answer(410)
    deliverer = await post.open()
    task = await create(harness)
    await run(harness, task)
    await settled(harness, deliverer)
    assert receivers.said() == ["pending"]
    assert (await states(harness, task))[0].gone


async def test_a_slow_host_has_few_places_and_leaves_the_others_free(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    held = receivers.hold("a.example")
    deliverer = await post.open(most=6, most_per_host=2)
    for _ in range(10):
        await create(harness, Webhook(A))
    await receivers.until(lambda: receivers.at_work["a.example"] == 2)
    for _ in range(10):
        await create(harness, Webhook(B))
    await receivers.until(lambda: len(receivers.said(B)) == 10)
    assert receivers.most["a.example"] == 2
    held.set()
    await receivers.until(lambda: len(receivers.said(A)) == 10)
    assert receivers.most["a.example"] == 2
    assert len(deliverer._tasks) == 20


async def test_no_more_than_so_many_are_sent_at_once(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    held = [receivers.hold(f"{n}.example") for n in range(8)]
    await post.open(most=3, most_per_host=2)
    for n in range(8):
        await create(harness, Webhook(f"https://{n}.example/"))
    await receivers.until(lambda: receivers.at_work.total() == 3)
    for event in held:
        event.set()
    await receivers.until(lambda: len(receivers.tried) == 8)
    assert receivers.most_of_all == 3


async def test_a_restart_goes_on_where_it_was(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    receivers.answers[A] = lambda event: Answer(200 if event.seq == 1 else 500)
    await post.open()
    task = await create(harness)
    await run(harness, task)
    await receivers.until(lambda: receivers.said().count("running") >= 1)
    await post.close()
    await harness.reopen()
    del receivers.answers[A]
    before = len(receivers.tried)
    deliverer = await post.open()
    await settled(harness, deliverer)
    assert receivers.said()[before:] == ["running", "completed"]


async def test_what_is_under_way_at_a_stop_is_sent_again(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    held = receivers.hold("a.example")
    await post.open()
    await run(harness, await create(harness))
    await receivers.until(lambda: receivers.said() == ["pending"])
    await post.close()
    await harness.reopen()
    held.set()
    deliverer = await post.open()
    await settled(harness, deliverer)
    assert receivers.said() == ["pending", "pending", "running", "completed"]


async def test_a_task_that_begins_again_is_delivered_again(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    deliverer = await post.open()
    task = await create(harness)
    await run(harness, task)
    await settled(harness, deliverer)
    await harness.store.write(task.task_id, retry)
    await receivers.until(lambda: len(receivers.said()) == 4)
    assert receivers.said()[-1] == "pending"


async def test_of_a_trimmed_log_what_is_left_is_sent(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    task = await create(harness)
    await run(harness, task)
    await harness.store.trim(task.task_id, lifecycle.delete())
    deliverer = await post.open()
    await settled(harness, deliverer)
    assert receivers.said() == ["completed"]


async def test_of_a_deleted_task_nothing_more_is_sent(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    receivers.answers[A] = lambda _: Answer(500)
    deliverer = await post.open()
    task = await create(harness)
    await run(harness, task)
    await receivers.until(lambda: len(receivers.tried) >= 1)
    await harness.store.delete(task.task_id, lifecycle.delete())
    await settled(harness, deliverer)
    assert set(receivers.said()) == {"pending"}


async def test_somebody_may_have_it_sent_again(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    receivers.answers[A] = lambda _: Answer(410)
    deliverer = await post.open()
    task = await create(harness)
    await run(harness, task)
    await settled(harness, deliverer)
    del receivers.answers[A]
    await deliverer.redeliver(task.task_id, 0, 1)
    await settled(harness, deliverer)
    assert receivers.said() == ["pending", "running", "completed"]
    await deliverer.redeliver(task.task_id, 0, 2)
    await settled(harness, deliverer)
    assert receivers.said()[3:] == ["completed"]
    with pytest.raises(NotFound):
        await deliverer.redeliver(task.task_id, 1, 0)
    with pytest.raises(NotFound):
        await deliverer.redeliver("no-task", 0, 0)


async def test_nothing_is_begun_while_it_closes(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    receivers.hold("a.example")
    deliverer = await post.open(most_per_host=1)
    for _ in range(3):
        await create(harness)
    await receivers.until(lambda: len(receivers.tried) == 1)
    await post.close()
    assert deliverer._works == set()
    assert len(receivers.tried) == 1


async def test_a_long_log_is_sent_whole_and_passed_over_where_it_is_not_wanted(
    harness: Harness, receivers: Receivers, post: Post
) -> None:
    lines = [str(n) for n in range(500)]
    task = await create(harness, Webhook(A, ("log",)), Webhook(B))
    await harness.store.write(task.task_id, harness.start())
    await harness.store.write(task.task_id, say(*lines))
    await harness.store.write(task.task_id, harness.complete())
    deliverer = await post.open()
    await settled(harness, deliverer)
    assert receivers.said(A) == lines
    assert receivers.said(B) == ["pending", "running", "completed"]
