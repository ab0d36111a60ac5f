"""Who is next: by priority and order, one at a time per key, and nobody before their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from taskpush.runner.handlers import inspect_handler
from taskpush.runner.queues import Delays, Entry, KindQueue, Slot
from taskpush.store.base import Waiting
from tests.runner import kinds

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def queue_of(concurrency: int) -> KindQueue:
    return KindQueue(inspect_handler("any", kinds.a_everything, concurrency=concurrency))


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_who_is_next_has_the_highest_priority_and_waits_longest(priorities: list[int]) -> None:
    queue = queue_of(len(priorities) + 1)
    for order, priority in enumerate(priorities):
        queue.put(Entry((-priority, order), f"t{order}"))
    taken = [slot.entry for _ in priorities if (slot := queue.next())]
    assert taken == sorted(taken)
    assert len(taken) == len(priorities)
    assert queue.next() is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30), st.integers(1, 4))
def test_one_task_per_key_runs_at_a_time_and_all_get_their_turn(
    tasks: list[tuple[str, bool]], concurrency: int
) -> None:
    """The key is known when it is put, or only when its slot is taken."""
    queue = queue_of(concurrency)
    keys = {}
    for order, (name, known) in enumerate(tasks):
        key = keys[f"t{order}"] = (name,)
        queue.put(Entry((0, order), f"t{order}", key if known else None))
    running: list[Slot] = []
    finished: list[str] = []
    while True:
        while (slot := queue.next()) is not None:
            if slot.key is None and not queue.occupy(slot, keys[slot.entry.task_id]):
                queue.leave(slot)
                continue
            running.append(slot)
        busy = [slot.key for slot in running]
        assert len(set(busy)) == len(busy) <= concurrency
        if not running:
            break
        slot = running.pop(0)
        finished.append(slot.entry.task_id)
        queue.leave(slot)
    assert sorted(finished) == sorted(keys)
    for name in "abc":
        mine = [int(task_id[1:]) for task_id in finished if keys[task_id] == (name,)]
        assert mine == sorted(mine)


def test_delayed_tasks_are_due_in_the_order_of_their_time() -> None:
    delays = Delays()
    assert delays.due_in_s(NOON) is None
    for order, seconds in enumerate([30, 10, 20]):
        delays.put(NOON + timedelta(seconds=seconds), order, Waiting(f"t{order}", "any", 0))
    assert delays.due_in_s(NOON) == 10
    assert delays.due(NOON) == []
    due = delays.due(NOON + timedelta(seconds=20))
    assert [(order, task.task_id) for order, task in due] == [(1, "t1"), (2, "t2")]
    delays.clear()
    assert delays.due_in_s(NOON) is None
