"""A feed over one connection: order, cursors, pace and bounds, on both stores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from taskpush.access.principal import Principal
from taskpush.core import lifecycle
from taskpush.core.feeds import Pace
from taskpush.core.views import summary_of
from taskpush.models.feed import SubscribeFeed
from taskpush.push.channel import Channel
from taskpush.push.feed import FeedHub
from taskpush.push.outbox import Message, Outgoing, Reply
from taskpush.push.plane import PushPlane
from taskpush.runner.registry import Registry
from taskpush.store.base import Store
from taskpush.store.memory.store import MemoryStore
from taskpush.store.sqlite.store import SqliteStore
from taskpush.tasks.feeds import Feeds
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.telemetry.bus import Telemetry
from tests.store.harness import Harness, progress, say
from tests.support.feed_view import FeedView

ANN = Principal("local", "ann")
PACE = Pace(interval_s=0.01, batch=10)


class Peer:
    """A link whose peer can be stopped from reading."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.view = FeedView()
        self.reading = True
        self.on_room: Callable[[], None] = lambda: None
        self._arrived = asyncio.Event()

    @property
    def room(self) -> int:
        return 64 * 1024 if self.reading else 0

    @property
    def waiting_bytes(self) -> int:
        return 0

    @property
    def taken_bytes(self) -> int:
        return len(self.sent)

    def write(self, batch: Sequence[Outgoing]) -> None:
        self.sent += batch
        for name, payload in messages(batch):
            if name != "subscribed":
                self.view.take(name, payload)
        self._arrived.set()

    def abort(self) -> None:
        raise AssertionError("aborted")

    def go_on_reading(self) -> None:
        self.reading = True
        self.on_room()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()


class Scene:
    """A store, and the feeds of one process."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.store = harness.store
        self.hub = FeedHub(self.store, PACE)
        self.store.follow(self.hub.announce)
        keeper = QueueKeeper(self.store, Registry(), harness.clock, Telemetry())
        self.feeds = Feeds(self.store, self.hub, keeper, PACE)
        self.plane = PushPlane(self.store)
        self.channels: list[Channel] = []

    def connect(self, *, limit_bytes: int = 256 * 1024) -> tuple[Channel, Peer]:
        peer = Peer()
        self.plane.outbox_bytes = limit_bytes
        channel = Channel(self.plane, peer)
        peer.on_room = channel.wake
        self.channels.append(channel)
        return channel, peer

    def watch(self, feed: str = "all", after: str | None = None, **limits: int) -> Peer:
        channel, peer = self.connect(**limits)
        self.subscribe(channel, feed, after)
        return peer

    def subscribe(self, channel: Channel, feed: str, after: str | None = None) -> None:
        command = SubscribeFeed.model_validate({"feed": feed, "after": after})
        self.feeds.subscribe(channel, ANN, command, 1)

    async def states(self, *task_ids: str) -> dict[str, Any]:
        """What a list would show of the tasks that exist."""
        records = [await self.store.get(task_id) for task_id in task_ids]
        return {
            record.task_id: orjson.loads(summary_of(record).model_dump_json())
            for record in records
            if record is not None
        }


@pytest.fixture(params=["memory", "sqlite"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    def make(clock: Any, telemetry: Any) -> Store:
        if request.param == "memory":
            return MemoryStore(clock=clock, telemetry=telemetry)
        return SqliteStore(tmp_path / "t.db", clock=clock, telemetry=telemetry)

    harness = Harness(make)
    await harness.store.open()
    scene = Scene(harness)
    yield scene
    for channel in scene.channels:
        channel.close()
    assert scene.hub._feeds == {}
    await harness.store.close()


async def test_the_answer_comes_first_then_the_active_tasks_then_what_changes(
    scene: Scene,
) -> None:
    await scene.harness.create_completed()
    running = await scene.harness.create_running()
    peer = scene.watch()
    await peer.until(lambda: peer.view.messages == 1)
    created = await scene.harness.create()
    await peer.until(lambda: peer.view.messages == 2)
    await scene.store.write(running.task_id, scene.harness.complete())
    await peer.until(lambda: peer.view.messages == 3)
    assert isinstance(peer.sent[0], Reply)
    assert orjson.loads(peer.sent[0].body) == {"ok": True, "feed": "all"}
    told = messages(peer.sent)
    assert [name for name, _ in told] == [
        "subscribed",
        "active_tasks",
        "task_created",
        "feed_update",
    ]
    listed = told[1][1]
    assert [task["task_id"] for task in listed["tasks"]] == [running.task_id]
    assert (listed["feed"], listed["reset"], listed["more"]) == ("all", False, False)
    assert peer.view.tasks == await scene.states(running.task_id, created.task_id)


async def test_a_long_list_comes_in_parts(scene: Scene) -> None:
    records = [scene.harness.new_record() for _ in range(350)]
    await scene.store.create(records)
    peer = scene.watch()
    await peer.until(lambda: len(peer.view.tasks) == 350)
    parts = [payload for name, payload in messages(peer.sent) if name == "active_tasks"]
    assert [len(part["tasks"]) for part in parts] == [100, 100, 100, 50]
    assert [part["more"] for part in parts] == [True, True, True, False]


async def test_long_texts_make_shorter_lists(scene: Scene) -> None:
    records = [scene.harness.new_record(title="x" * 20_000) for _ in range(40)]
    await scene.store.create(records)
    peer = scene.watch()
    await peer.until(lambda: len(peer.view.tasks) == 40)
    assert max(len(item.body) for item in peer.sent) < 2 * 64 * 1024 + 1000


async def test_a_cursor_goes_on_where_it_was(scene: Scene) -> None:
    task = await scene.harness.create_running()
    gone = await scene.harness.create_completed()
    first = scene.watch()
    await first.until(lambda: first.view.cursor is not None)
    cursor = first.view.cursor
    await scene.store.write(task.task_id, scene.harness.complete())
    await scene.store.delete(gone.task_id, lifecycle.delete())
    second = scene.watch(after=cursor)
    await second.until(lambda: second.view.states == 2)
    (listed,) = [payload for name, payload in messages(second.sent) if name == "active_tasks"]
    assert {task["task_id"]: task.get("deleted") for task in listed["tasks"]} == {
        task.task_id: None,
        gone.task_id: True,
    }
    assert listed["reset"] is False


async def test_an_unknown_cursor_begins_anew_and_says_so(scene: Scene) -> None:
    task = await scene.harness.create_running()
    peer = scene.watch(after="of another store")
    await peer.until(lambda: peer.view.resets == 1)
    assert set(peer.view.tasks) == {task.task_id}


async def test_only_the_tasks_of_the_feed_and_of_the_principal_are_told(scene: Scene) -> None:
    for where in ("kind:train", "tag:x", "owner:me", "all"):
        await scene.harness.create(owner="bob", kind="train", tags=("x",))
        await scene.harness.create(tenant="other", kind="train", tags=("x",))
        peer = scene.watch(where)
        mine = await scene.harness.create(kind="train", tags=("x",))
        await scene.harness.create(owner="bob", kind="train", tags=("x",))
        await peer.until(lambda peer=peer, mine=mine: mine.task_id in peer.view.tasks)  # type: ignore[misc]  # bound at once
        assert {task["owner"] for task in peer.view.tasks.values()} == {"ann"}


async def test_subscribing_again_moves_the_cursor_and_dropping_ends_it(scene: Scene) -> None:
    task = await scene.harness.create_running()
    channel, peer = scene.connect()
    scene.subscribe(channel, "all")
    scene.subscribe(channel, "all")
    await peer.until(lambda: peer.view.messages == 1)
    scene.subscribe(channel, "all", peer.view.cursor)
    await peer.until(lambda: peer.view.messages == 2)
    assert len(channel) == 1
    assert messages(peer.sent)[-1][1]["tasks"] == []
    scene.feeds.unsubscribe(channel, "all", 2)
    assert len(channel) == 0
    await scene.store.write(task.task_id, scene.harness.complete())
    other = scene.watch()
    await other.until(lambda: other.view.messages == 1)
    assert peer.view.messages == 2


async def test_a_stalled_peer_costs_one_outbox_and_gets_every_last_state(scene: Scene) -> None:
    tasks = [await scene.harness.create_running() for _ in range(200)]
    stalled_channel, stalled = scene.connect(limit_bytes=20_000)
    stalled.reading = False
    scene.subscribe(stalled_channel, "all")
    healthy = scene.watch()
    for round_ in range(5):
        for task in tasks:
            scene.store.publish(task.task_id, 1, progress(round_))
        await asyncio.sleep(0)
    for task in tasks[:150]:
        await scene.store.write(task.task_id, scene.harness.complete())
    for task in tasks[:50]:
        await scene.store.delete(task.task_id, lifecycle.delete())
    expected = await scene.states(*(task.task_id for task in tasks))
    await healthy.until(lambda: healthy.view.tasks == expected)
    # A page at a time is read, and none before the outbox has drained.
    assert stalled_channel.outbox.size_bytes < 20_000 + 2 * 64 * 1024
    stalled.go_on_reading()
    await stalled.until(lambda: stalled.view.tasks == expected)


async def test_a_flood_comes_at_the_pace(scene: Scene) -> None:
    tasks = [await scene.harness.create_running() for _ in range(100)]
    peer = scene.watch()
    await peer.until(lambda: len(peer.view.tasks) == 100)
    loop = asyncio.get_running_loop()
    begin, changes = loop.time(), 0
    peer.view.states = 0
    while loop.time() - begin < 0.5:
        for task in tasks:
            scene.store.publish(task.task_id, 1, progress(changes / 1000))
            changes += 1
        await asyncio.sleep(0.001)
    elapsed = loop.time() - begin
    allowed = PACE.batch * (elapsed / PACE.interval_s + 1)
    assert peer.view.states <= allowed < changes
    expected = await scene.states(*(task.task_id for task in tasks))
    await peer.until(lambda: peer.view.tasks == expected)


@pytest.mark.parametrize("seed", range(6))
async def test_every_last_state_is_right_after_any_cut(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    harness, store = scene.harness, scene.store
    alive = [await harness.create_running() for _ in range(30)]
    ids = [task.task_id for task in alive]
    peer = scene.watch(limit_bytes=chance.choice([5_000, 256 * 1024]))
    known = peer.view
    # What is over before the first list was read is in none.
    await peer.until(lambda: known.cursor is not None)
    for _ in range(60):
        for _ in range(chance.randrange(20)):
            if not alive:
                break
            task = chance.choice(alive)
            match chance.randrange(12):
                case 0:
                    await store.write(task.task_id, harness.complete())
                    alive.remove(task)
                    if chance.random() < 0.3:
                        await store.delete(task.task_id, lifecycle.delete())
                case 1:
                    alive.append(await harness.create_running())
                    ids.append(alive[-1].task_id)
                case 2 | 3:
                    await store.write(task.task_id, say("a line"), synced=chance.random() < 0.2)
                case _:
                    store.publish(task.task_id, 1, progress(chance.random()))
        await asyncio.sleep(chance.choice([0, 0, 0.002, 0.015]))
        match chance.randrange(6):
            case 0:
                # Cut: what is in the outbox is lost; the peer goes on from what it got.
                scene.channels[-1].close()
                peer = scene.watch(
                    after=known.cursor, limit_bytes=chance.choice([5_000, 256 * 1024])
                )
                peer.view = known
            case 1:
                peer.reading = False
            case _:
                peer.go_on_reading()
    peer.go_on_reading()
    expected = await scene.states(*ids)
    await peer.until(lambda: known.tasks == expected)
    assert known.resets == 0


def messages(sent: Sequence[Outgoing]) -> list[tuple[str, Any]]:
    return [(item.name, orjson.loads(item.body)) for item in sent if isinstance(item, Message)]
