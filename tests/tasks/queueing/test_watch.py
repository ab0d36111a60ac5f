"""The queues as one connection is told them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson
import pytest

from taskpush.access.principal import Principal
from taskpush.push.channel import Channel
from taskpush.push.outbox import Message, Outgoing
from taskpush.push.plane import PushPlane
from taskpush.tasks.queueing.watch import EVERY_S
from tests.tasks.queueing.test_keeper import ANN, STRANGER, Bench


class Peer:
    """A `push.link.Link` whose peer takes what comes, unless it has stopped reading."""

    waiting_bytes = 0
    taken_bytes = 0

    def __init__(self) -> None:
        self.reading = True
        self.updates: list[list[dict[str, Any]]] = []
        self.kinds: dict[str, dict[str, Any]] = {}
        self._arrived = asyncio.Event()

    @property
    def room(self) -> int:
        return 64 * 1024 if self.reading else 0

    def write(self, batch: Sequence[Outgoing]) -> None:
        for item in batch:
            assert isinstance(item, Message)
            said = orjson.loads(item.body)
            assert (item.name, said["feed"]) == ("queue_update", "queue")
            self.updates.append(said["queues"])
            self.kinds |= {queue["kind"]: queue for queue in said["queues"]}
        self._arrived.set()

    def abort(self) -> None:
        raise AssertionError("aborted")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()


class Scene(Bench):
    """The bench, with connections."""

    def connect(self, principal: Principal = ANN) -> tuple[Channel, Peer]:
        peer = Peer()
        channel = Channel(PushPlane(self.harness.store), peer)
        watch = self.keeper.watch(channel, principal)
        channel.add_source(watch)
        watch.start()
        return channel, peer


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.open()
    try:
        yield scene
    finally:
        await scene.close()


async def test_all_queues_come_at_first_and_then_those_that_look_different(scene: Scene) -> None:
    channel, peer = scene.connect()
    await peer.until(lambda: bool(peer.updates))
    assert {queue["kind"] for queue in peer.updates[0]} == {"layout", "secret", "open"}
    task_id = (await scene.harness.create(kind="layout")).task_id
    await peer.until(lambda: peer.kinds["layout"]["waiting"] == 1)
    assert [entry["task_id"] for entry in peer.kinds["layout"]["entries"]] == [task_id]
    await scene.start(task_id)
    await peer.until(lambda: peer.kinds["layout"]["running"] == 1)
    assert peer.kinds["layout"] == (await scene.queue(limit=100)).model_dump(mode="json")
    assert [[queue["kind"] for queue in update] for update in peer.updates[1:]] == [
        ["layout"],
        ["layout"],
    ]
    channel.close()


async def test_however_much_happens_there_is_a_message_a_second(scene: Scene) -> None:
    channel, peer = scene.connect()
    await peer.until(lambda: bool(peer.updates))
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    for count in range(1, 6):
        for _ in range(50):
            await scene.harness.create(kind="layout")
        await peer.until(lambda: peer.kinds["layout"]["waiting"] > 50 * (count - 1))  # noqa: B023
    await peer.until(lambda: peer.kinds["layout"]["waiting"] == 250)
    assert len(peer.updates) - 1 <= (loop.time() - begin_s) / EVERY_S + 1
    channel.close()


async def test_what_others_wait_for_is_counted_and_not_named(scene: Scene) -> None:
    await scene.harness.create(kind="open", title="a secret of ann's")
    channel, peer = scene.connect(STRANGER)
    await peer.until(lambda: bool(peer.updates))
    assert peer.kinds["open"]["waiting"] == 1
    assert b"secret of" not in orjson.dumps(peer.kinds)
    channel.close()


async def test_a_peer_that_stopped_reading_is_told_the_newest_when_it_goes_on(scene: Scene) -> None:
    channel, peer = scene.connect()
    await peer.until(lambda: bool(peer.updates))
    peer.reading = False
    channel.outbox.link_bytes = 256 * 1024
    for _ in range(3):
        await scene.harness.create(kind="layout")
    peer.reading = True
    channel.outbox.link_bytes = 0
    channel.wake()
    await peer.until(lambda: peer.kinds["layout"]["waiting"] == 3)
    channel.close()


async def test_whoever_has_gone_is_told_nothing_more(scene: Scene) -> None:
    gone, deaf = scene.connect()
    channel, peer = scene.connect()
    await deaf.until(lambda: bool(deaf.updates))
    gone.drop_source("queue")
    heard = len(deaf.updates)
    await peer.until(lambda: bool(peer.updates))
    await scene.harness.create(kind="layout")
    await peer.until(lambda: peer.kinds["layout"]["waiting"] == 1)
    assert len(deaf.updates) == heard
    channel.close()
