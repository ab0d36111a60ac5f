"""A connection's channel: order, cursors, bounds, and what happens to peers that don't keep up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from taskpush.access.principal import LOCAL
from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decision
from taskpush.models.commands import Subscribe
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord, VolatileEvent
from taskpush.push.channel import Channel
from taskpush.push.dispatch import Dispatcher
from taskpush.push.hub import Hub
from taskpush.push.outbox import Message, Outgoing, Reply
from taskpush.push.plane import PushPlane
from taskpush.runner.registry import Registry
from taskpush.store.memory import MemoryStore
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.showing import Showing
from taskpush.tasks.watching import Watching
from taskpush.telemetry.bus import Telemetry

ROOM_BYTES = 64 * 1024
TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
OTHER = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e40"


class _Peer:
    """A link whose peer can be stopped from reading."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.aborted = asyncio.Event()
        self.reading = True
        # What the link has taken, and the peer has not.
        self.on_its_way_bytes = 0
        # Where the channel is told that there is room again.
        self.on_room: Callable[[], None] = lambda: None
        self._arrived = asyncio.Event()

    @property
    def room(self) -> int:
        return ROOM_BYTES if self.reading else 0

    @property
    def waiting_bytes(self) -> int:
        return self.on_its_way_bytes

    @property
    def taken_bytes(self) -> int:
        return sum(len(item.body) for item in self.sent)

    def write(self, batch: Sequence[Outgoing]) -> None:
        assert self.reading
        self.sent += batch
        self._arrived.set()

    def abort(self) -> None:
        self.aborted.set()

    def stop_reading(self) -> None:
        self.reading = False

    def go_on_reading(self) -> None:
        self.reading = True
        self.on_room()

    def seqs(self, task_id: str = TASK) -> list[int]:
        return [
            item.seq
            for item in self.sent
            if isinstance(item, LoggedEvent) and item.task_id == task_id
        ]

    def previews(self) -> list[Outgoing]:
        return [
            item
            for item in self.sent
            if isinstance(item, VolatileEvent) and item.event_type is EventType.PREVIEW
        ]

    def messages(self) -> list[tuple[str, Any]]:
        return [
            (item.name, orjson.loads(item.body)) for item in self.sent if isinstance(item, Message)
        ]

    async def until_seq(self, seq: int, task_id: str = TASK) -> None:
        async with asyncio.timeout(60):
            while seq not in self.seqs(task_id):
                self._arrived.clear()
                await self._arrived.wait()

    async def until_message(self, name: str) -> Any:
        async with asyncio.timeout(60):
            while name not in dict(self.messages()):
                self._arrived.clear()
                await self._arrived.wait()
        return dict(self.messages())[name]


class _Scene:
    def __init__(
        self,
        store: MemoryStore,
        channel: Channel,
        peer: _Peer,
        hub: Hub,
        dispatcher: Dispatcher,
    ) -> None:
        self.store = store
        self.dispatcher = dispatcher
        self.channel = channel
        self.peer = peer
        self._watching = Watching(store, TaskQueries(store, hub, Showing(Registry())))

    async def subscribe(
        self, after: Any = None, task_id: str = TASK, *, previews: bool = False
    ) -> None:
        command = Subscribe(task_id=task_id, after=after, previews=previews)
        await self._watching.subscribe(self.channel, LOCAL, command, 1)

    def unsubscribe(self) -> None:
        self._watching.unsubscribe(self.channel, TASK, 2)

    def create(self, task_id: str = TASK, owner: str = LOCAL.owner) -> None:
        now = datetime.now(UTC)
        record = TaskRecord(task_id, "k", LOCAL.tenant, owner, {}, now)
        self.store.write(task_id, lifecycle.create(record))
        self.store.write(task_id, lifecycle.start(self.store.epoch, now))

    async def say(self, count: int = 1, size: int = 10, task_id: str = TASK) -> list[LoggedEvent]:
        line = NewEvent(EventType.LOG, {"level": "info", "message": "x" * size})
        writes = [self.store.write(task_id, lifecycle.report(1, [line])) for _ in range(count)]
        return [(await write).events[0] for write in writes]

    async def trim(self, keep_last: int) -> None:
        def anyway(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(record)

        await self.store.trim(TASK, anyway, keep_last=keep_last)

    def preview(self, size: int) -> VolatileEvent:
        data = {"media_type": "image/png", "content": b"p" * size}
        event = self.store.publish(TASK, 1, NewEvent(EventType.PREVIEW, data))
        assert event is not None
        return event

    def progress(self, percent: float) -> VolatileEvent:
        data = {"progress_percent": percent, "elapsed_seconds": 1.0}
        event = self.store.publish(TASK, 1, NewEvent(EventType.PROGRESS, data))
        assert event is not None
        return event


@asynccontextmanager
async def _scene(
    *,
    stalled_after_s: float = 60,
    outboxes_bytes: int = 2**30,
    outbox_bytes: int = 2**18,
    **limits: Any,
) -> AsyncIterator[_Scene]:
    store = MemoryStore(clock=SystemClock(), telemetry=Telemetry())
    peer = _Peer()
    await store.open()
    dispatcher = Dispatcher(
        stalled_after_s=stalled_after_s, outboxes_bytes=outboxes_bytes, look_every_s=0.01
    )
    plane = PushPlane(store, dispatcher, outbox_bytes=outbox_bytes)
    hub = plane.hub
    channel = Channel(plane, peer, **limits)
    peer.on_room = channel.flush
    try:
        yield _Scene(store, channel, peer, hub, dispatcher)
    finally:
        channel.close()
        await store.close()
        assert len(dispatcher) == 0
        assert len(channel) == 0
        assert hub.watched(TASK) == 0


async def test_subscribing_again_moves_the_cursor() -> None:
    async with _scene() as scene:
        scene.create()
        first = (await scene.say(3))[0]
        await scene.subscribe()
        await scene.peer.until_seq(5)
        await scene.subscribe({"epoch": first.epoch, "seq": first.seq})
        await scene.say()
        await scene.peer.until_seq(6)
        assert scene.peer.seqs() == [1, 2, 3, 4, 5, 4, 5, 6]
        assert len(scene.channel) == 1


async def test_nothing_comes_after_unsubscribing() -> None:
    async with _scene() as scene:
        scene.create()
        await scene.subscribe()
        await scene.peer.until_seq(2)
        scene.unsubscribe()
        await scene.say()
        scene.channel.say("last", {})
        await scene.peer.until_message("last")
        assert scene.peer.seqs() == [1, 2]
        assert isinstance(scene.peer.sent[-2], Reply)


async def test_a_task_that_is_created_after_its_subscription_is_followed() -> None:
    async with _scene() as scene:
        await scene.subscribe()
        scene.create()
        await scene.say()
        await scene.peer.until_seq(3)
        assert scene.peer.seqs() == [1, 2, 3]


async def test_a_task_that_is_never_created_is_given_up() -> None:
    async with _scene(pending_for_s=0.01) as scene:
        await scene.subscribe()
        error = await scene.peer.until_message("error")
        assert (error["code"], error["task_id"]) == ("not_found", TASK)
        assert len(scene.channel) == 0


async def test_somebody_elses_task_is_answered_like_one_that_was_never_created() -> None:
    async with _scene(pending_for_s=0.01) as scene:
        await scene.subscribe()
        scene.create(owner="somebody else")
        error = await scene.peer.until_message("error")
        assert (error["code"], error["task_id"]) == ("not_found", TASK)
        assert scene.peer.seqs() == []


async def test_a_reader_that_retention_overtook_is_told_and_goes_on() -> None:
    async with _scene(outbox_bytes=20_000) as scene:
        scene.create()
        await scene.subscribe()
        await scene.peer.until_seq(2)
        scene.peer.stop_reading()
        await scene.say(50, size=1000)
        await scene.trim(keep_last=2)
        scene.peer.go_on_reading()
        resync = await scene.peer.until_message("resync")
        await scene.say()
        await scene.peer.until_seq(53)
        assert (resync["task_id"], resync["oldest"]) == (TASK, 51)
        assert resync["position"]["seq"] == resync["snapshot"]["position"]["seq"] == 52
        before = scene.peer.seqs()[:-1]
        assert before == list(range(1, len(before) + 1))
        assert len(before) < 50


async def test_a_trimmed_log_is_watched_from_its_oldest_event() -> None:
    async with _scene() as scene:
        scene.create()
        await scene.say(5)
        await scene.trim(keep_last=3)
        await scene.subscribe()
        await scene.peer.until_seq(7)
        await scene.say()
        await scene.peer.until_seq(8)
        (answer,) = [item for item in scene.peer.sent if isinstance(item, Reply)]
        assert orjson.loads(answer.body)["position"] == {"epoch": "", "seq": 4}
        assert scene.peer.seqs() == [5, 6, 7, 8]


async def test_a_slow_peer_costs_its_outbox_and_gets_everything_when_it_reads() -> None:
    async with _scene(outbox_bytes=20_000) as scene:
        scene.create()
        await scene.subscribe()
        await scene.peer.until_seq(2)
        scene.peer.stop_reading()
        await scene.say(200, size=1000)
        assert scene.channel.outbox.size_bytes < 25_000
        newest = [scene.progress(percent) for percent in (1, 2, 3)][-1]
        assert scene.channel.outbox.size_bytes < 25_000
        scene.peer.go_on_reading()
        await scene.peer.until_seq(202)
        assert scene.peer.seqs() == list(range(1, 203))
        volatile = [item for item in scene.peer.sent if isinstance(item, VolatileEvent)]
        assert volatile[-1] == newest


async def test_previews_are_sent_to_those_who_ask_also_when_they_come_late() -> None:
    async with _scene() as scene:
        scene.create()
        await scene.say()
        scene.preview(10)
        await scene.subscribe()
        await scene.peer.until_seq(3)
        scene.preview(30)
        await scene.say()
        await scene.peer.until_seq(4)
        assert scene.peer.previews() == []
        newest = scene.preview(40)
        await scene.subscribe("now", previews=True)
        await scene.say()
        await scene.peer.until_seq(5)
        live = scene.preview(50)
        await scene.say()
        await scene.peer.until_seq(6)
        assert scene.peer.previews() == [newest, live]
        await scene.subscribe("now")
        scene.preview(60)
        await scene.say()
        await scene.peer.until_seq(7)
        assert scene.peer.previews() == [newest, live]


async def test_a_flood_of_pictures_costs_a_slow_peer_one_and_no_logged_event() -> None:
    async with _scene() as scene:
        scene.create()
        await scene.subscribe(previews=True)
        await scene.peer.until_seq(2)
        scene.peer.stop_reading()
        newest = None
        for _ in range(100):
            newest = scene.preview(150 * 1024)
            await scene.say()
            assert scene.channel.outbox.size_bytes < 256 * 1024
        scene.peer.go_on_reading()
        await scene.peer.until_seq(102)
        assert scene.peer.seqs() == list(range(1, 103))
        assert scene.peer.previews() == [newest]


async def test_what_waits_on_the_link_counts_towards_the_outbox() -> None:
    async with _scene(outbox_bytes=20_000) as scene:
        scene.create()
        await scene.subscribe()
        await scene.peer.until_seq(2)
        scene.peer.stop_reading()
        scene.peer.on_its_way_bytes = 15_000
        for _ in range(50):
            await scene.say(size=1000)
            # Not in the dispatcher's next round, which is put off while the machine is busy.
            scene.channel.flush()
        assert 20_000 < scene.channel.waiting_bytes < 23_000
        scene.peer.on_its_way_bytes = 0
        scene.peer.go_on_reading()
        await scene.peer.until_seq(52)
        assert scene.peer.seqs() == list(range(1, 53))


async def test_a_slow_subscription_does_not_hold_up_the_others_of_its_connection() -> None:
    async with _scene(outbox_bytes=20_000) as scene:
        scene.create()
        scene.create(OTHER)
        await scene.say(500, size=1000)
        await scene.subscribe()
        await scene.subscribe(task_id=OTHER)
        await scene.peer.until_seq(2, OTHER)
        assert 502 not in scene.peer.seqs()
        await scene.peer.until_seq(502)
        assert scene.peer.seqs() == list(range(1, 503))


async def test_answers_wait_for_a_peer_that_does_not_read() -> None:
    async with _scene(outbox_bytes=1000) as scene:
        scene.peer.stop_reading()
        scene.channel.say("large", {"x": "y" * 70_000})
        scene.channel.say("large", {"x": "y" * 70_000})
        await asyncio.sleep(0)
        waiting = asyncio.create_task(scene.channel.room())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        scene.peer.go_on_reading()
        await asyncio.wait_for(waiting, 60)


async def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    async with _scene(stalled_after_s=0.05) as scene:
        scene.create()
        scene.peer.stop_reading()
        await scene.subscribe()
        await asyncio.wait_for(scene.peer.aborted.wait(), 5)


async def test_a_peer_that_reads_slowly_is_not_cut_off() -> None:
    async with _scene(stalled_after_s=0.2) as scene:
        scene.create()
        await scene.subscribe()
        for _ in range(10):
            scene.peer.stop_reading()
            scene.channel.say("line", {})
            await asyncio.sleep(0.05)  # Longer than it may stand still, over all rounds.
            scene.peer.go_on_reading()
        assert not scene.peer.aborted.is_set()


async def test_above_the_budget_of_all_the_one_that_stands_still_longest_goes() -> None:
    async with _scene(outboxes_bytes=10_000) as scene:
        scene.create()
        scene.peer.stop_reading()
        scene.channel.say("large", {"x": "y" * 9_000})
        await asyncio.sleep(0.05)  # As much later as the other comes.
        other = _Peer()
        channel = Channel(PushPlane(scene.store, scene.dispatcher), other)
        other.stop_reading()
        channel.say("large", {"x": "y" * 9_000})
        await asyncio.wait_for(scene.peer.aborted.wait(), 5)
        assert not other.aborted.is_set()
        channel.close()


async def test_what_is_said_in_one_turn_is_written_at_once() -> None:
    async with _scene() as scene:
        writes: list[int] = []
        write = scene.peer.write

        def note(batch: Sequence[Outgoing]) -> None:
            writes.append(len(batch))
            write(batch)

        scene.peer.write = note  # type: ignore[method-assign]
        for n in range(5):
            scene.channel.say(f"event-{n}", {})
        await scene.peer.until_message("event-4")
        assert writes == [5]


async def test_a_connection_that_cannot_be_written_to_keeps_nobody_else_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _scene() as scene:
        broken = _Peer()

        def fail(_: Sequence[Outgoing]) -> None:
            raise RuntimeError("the transport is gone")

        broken.write = fail  # type: ignore[method-assign, assignment]
        channel = Channel(PushPlane(scene.store, scene.dispatcher), broken)
        channel.say("first", {})
        scene.channel.say("second", {})
        await scene.peer.until_message("second")
        assert broken.aborted.is_set()
        assert "could not be flushed" in caplog.text
        channel.close()
