"""Outboxes: ordered, bounded, volatile states merged in place."""

from __future__ import annotations

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.outbox import Message, Outbox, Outgoing


def _logged(seq: int, size: int = 100) -> LoggedEvent:
    return LoggedEvent("t", 1, seq, "e", EventType.LOG, b"x" * size, False)


def _progress(rev: int, task_id: str = "t", size: int = 10) -> VolatileEvent:
    return VolatileEvent(task_id, 1, rev, EventType.PROGRESS, b"x" * size)


def test_items_leave_in_the_order_they_came() -> None:
    outbox = Outbox()
    items: list[Outgoing] = [_logged(1), _progress(1), Message("subscribed", b"{}"), _logged(2)]
    outbox.put(items[0])
    assert outbox.put_volatile(_progress(1))
    outbox.put(items[2])
    outbox.put(items[3])
    assert outbox.take(10_000) == items
    assert (len(outbox), outbox.size_bytes) == (0, 0)


def test_a_batch_holds_what_fits_and_at_least_one() -> None:
    outbox = Outbox()
    for seq in range(1, 6):
        outbox.put(_logged(seq))
    assert [len(outbox.take(size)) for size in (250, 1, 300)] == [2, 1, 2]


def test_a_newer_state_takes_the_place_of_the_waiting_one() -> None:
    outbox = Outbox()
    outbox.put_volatile(_progress(1))
    outbox.put(_logged(1))
    outbox.put_volatile(_progress(2, size=30))
    outbox.put_volatile(_progress(1, task_id="other"))
    assert outbox.size_bytes == 140
    assert outbox.take(10_000) == [_progress(2, size=30), _logged(1), _progress(1, "other")]


def test_a_state_that_was_taken_is_not_replaced() -> None:
    outbox = Outbox()
    outbox.put_volatile(_progress(1))
    assert outbox.take(1) == [_progress(1)]
    outbox.put_volatile(_progress(2))
    assert outbox.take(1) == [_progress(2)]


def test_states_of_a_replay_and_live_ones_stay_in_order() -> None:
    outbox = Outbox()
    outbox.put_volatile(_progress(1))
    outbox.put(_logged(1))
    outbox.put(_progress(2))
    outbox.put_volatile(_progress(3))
    assert outbox.take(10_000) == [_progress(1), _logged(1), _progress(3)]


def test_a_state_does_not_move_across_the_end_of_its_attempt() -> None:
    outbox = Outbox()
    newer = VolatileEvent("t", 2, 5, EventType.PROGRESS, b"x")
    outbox.put_volatile(_progress(4))
    outbox.put(_logged(1))
    outbox.put_volatile(newer)
    assert outbox.take(10_000) == [_progress(4), _logged(1), newer]


def test_a_full_outbox_says_so_and_still_takes_newer_states_of_what_waits() -> None:
    outbox = Outbox(limit_bytes=150)
    outbox.put_volatile(_progress(1))
    outbox.put(_logged(1, size=200))
    assert not outbox.has_room
    assert outbox.put_volatile(_progress(2))
    assert not outbox.put_volatile(_progress(1, task_id="other"))
    outbox.take(10)
    outbox.take(10)
    assert outbox.has_room


def test_pictures_count_and_the_newest_takes_the_place_of_the_waiting_one() -> None:
    def shown(rev: int, size: int) -> VolatileEvent:
        return VolatileEvent("t", 1, rev, EventType.PREVIEW, b"x" * 10, b"p" * size)

    outbox = Outbox(limit_bytes=1000)
    outbox.put_volatile(shown(1, 500))
    outbox.put_volatile(shown(2, 2000))
    outbox.put(_logged(1))
    assert outbox.size_bytes == 2110
    assert not outbox.has_room
    assert outbox.take(2050) == [shown(2, 2000)]
    assert outbox.size_bytes == 100
