"""A connection's channel: order, cursors, bounds, and what happens to peers that don't keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from taskpush.models.task import VolatileEvent
from taskpush.push.channel import Channel
from taskpush.push.outbox import Outgoing, Reply
from taskpush.push.plane import PushPlane
from tests.push.scene import TASK, Peer, a_scene

OTHER = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e40"


async def test_subscribing_again_moves_the_cursor() -> None:
    async with a_scene() as scene:
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
    async with a_scene() as scene:
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
    async with a_scene() as scene:
        await scene.subscribe()
        scene.create()
        await scene.say()
        await scene.peer.until_seq(3)
        assert scene.peer.seqs() == [1, 2, 3]


async def test_a_task_that_is_never_created_is_given_up() -> None:
    async with a_scene(pending_for_s=0.01) as scene:
        await scene.subscribe()
        error = await scene.peer.until_message("error")
        assert (error["code"], error["task_id"]) == ("not_found", TASK)
        assert len(scene.channel) == 0


async def test_somebody_elses_task_is_answered_like_one_that_was_never_created() -> None:
    async with a_scene(pending_for_s=0.01) as scene:
        await scene.subscribe()
        scene.create(owner="somebody else")
        error = await scene.peer.until_message("error")
        assert (error["code"], error["task_id"]) == ("not_found", TASK)
        assert scene.peer.seqs() == []


async def test_a_reader_that_retention_overtook_is_told_and_goes_on() -> None:
    async with a_scene(outbox_bytes=20_000) as scene:
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
    async with a_scene() as scene:
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
    async with a_scene(outbox_bytes=20_000) as scene:
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
    async with a_scene() as scene:
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
    async with a_scene() as scene:
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
    async with a_scene(outbox_bytes=20_000) as scene:
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
    async with a_scene(outbox_bytes=20_000) as scene:
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
    async with a_scene(outbox_bytes=1000) as scene:
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
    async with a_scene(stalled_after_s=0.05) as scene:
        scene.create()
        scene.peer.stop_reading()
        await scene.subscribe()
        await asyncio.wait_for(scene.peer.aborted.wait(), 5)


async def test_a_peer_that_reads_slowly_is_not_cut_off() -> None:
    async with a_scene(stalled_after_s=0.2) as scene:
        scene.create()
        await scene.subscribe()
        for _ in range(10):
            scene.peer.stop_reading()
            scene.channel.say("line", {})
            await asyncio.sleep(0.05)  # Longer than it may stand still, over all rounds.
            scene.peer.go_on_reading()
        assert not scene.peer.aborted.is_set()


async def test_above_the_budget_of_all_the_one_that_stands_still_longest_goes() -> None:
    async with a_scene(outboxes_bytes=10_000) as scene:
        scene.create()
        scene.peer.stop_reading()
        scene.channel.say("large", {"x": "y" * 9_000})
        await asyncio.sleep(0.05)  # As much later as the other comes.
        other = Peer()
        channel = Channel(PushPlane(scene.store, scene.dispatcher), other)
        other.stop_reading()
        channel.say("large", {"x": "y" * 9_000})
        await asyncio.wait_for(scene.peer.aborted.wait(), 5)
        assert not other.aborted.is_set()
        channel.close()


async def test_what_is_said_in_one_turn_is_written_at_once() -> None:
    async with a_scene() as scene:
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
    async with a_scene() as scene:
        broken = Peer()

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
