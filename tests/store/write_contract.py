"""What `Store` promises of writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decision
from taskpush.errors import IllegalTransition, NotFound, StaleAttempt, TaskPushError
from taskpush.ids import new_task_id
from taskpush.models.events import MAX_EVENT_BYTES, Status
from taskpush.models.task import TaskRecord
from taskpush.store.base import Commit
from tests.store.harness import Harness, Told, body_of, log_line, retry, say, texts_of


class WriteContract:
    """Order, atomicity, fencing, cancellation."""

    async def test_a_write_gives_the_record_and_the_events_that_it_made(
        self, harness: Harness
    ) -> None:
        record = harness.new_record(title="First", tags=("a",), metadata={"x": [1, None]})
        commit = await harness.store.write(record.task_id, lifecycle.create(record))
        (event,) = commit.events
        assert (event.seq, event.epoch, event.attempt) == (1, harness.store.epoch, 1)
        assert body_of(event)["seq"] == 1
        assert commit.record == replace(
            record, head=event.position, last_event_at=harness.clock.now()
        )
        assert await harness.store.get(record.task_id) == commit.record

    async def test_calls_take_effect_in_the_order_in_which_they_were_made(
        self, harness: Harness
    ) -> None:
        task_id = (await harness.create_running()).task_id
        spoken = [str(number) for number in range(100)]
        writes = [
            harness.store.write(task_id, say(text), synced=number % 7 == 0)
            for number, text in enumerate(spoken)
        ]
        await asyncio.gather(*writes)
        assert texts_of(await harness.log(task_id)) == spoken

    async def test_each_decision_is_made_on_what_the_calls_before_it_made(
        self, harness: Harness
    ) -> None:
        record = harness.new_record()
        writes = [
            harness.store.write(record.task_id, decide)
            for decide in (
                lifecycle.create(record),
                harness.start(),
                say("one"),
                harness.complete([1, 2]),
            )
        ]
        commits = await asyncio.gather(*writes)
        assert [commit.record.status for commit in commits] == [
            Status.PENDING,
            Status.RUNNING,
            Status.RUNNING,
            Status.COMPLETED,
        ]
        assert await harness.store.get(record.task_id) == commits[-1].record

    async def test_seqs_have_no_holes_over_attempts(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        await harness.store.write(
            task_id,
            lifecycle.interrupt(1, harness.clock.now(), reason="worker_lost", message="gone"),
        )
        await harness.store.write(task_id, retry)
        await harness.store.write(task_id, harness.start())
        await harness.store.write(task_id, say("again", attempt=2))
        events = await harness.log(task_id)
        assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
        assert [event.attempt for event in events] == [1, 1, 1, 2, 2, 2]

    async def test_a_write_takes_effect_wholly_or_not_at_all(self, harness: Harness) -> None:
        before = await harness.create_running()
        huge = log_line("x" * MAX_EVENT_BYTES)

        def decide(record: TaskRecord | None) -> Decision:
            assert record is not None
            return Decision(replace(record, message="half"), (log_line("fits"), huge))

        with pytest.raises(TaskPushError) as caught:
            await harness.store.write(before.task_id, decide)
        assert caught.value.code == "payload_too_large"
        assert await harness.store.get(before.task_id) == before
        assert texts_of(await harness.log(before.task_id)) == []

    async def test_a_refused_write_does_not_touch_those_around_it(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        unknown = new_task_id()
        results = await asyncio.gather(
            harness.store.write(task_id, say("before")),
            harness.store.write(task_id, harness.start()),
            harness.store.write(unknown, say("to nobody")),
            harness.store.write(task_id, say("after")),
            return_exceptions=True,
        )
        assert isinstance(results[1], IllegalTransition)
        assert isinstance(results[2], NotFound)
        assert texts_of(await harness.log(task_id)) == ["before", "after"]
        assert await harness.store.get(unknown) is None

    async def test_whatever_a_decision_raises_reaches_its_caller(self, harness: Harness) -> None:
        class OddError(Exception):
            pass

        def decide(_: TaskRecord | None) -> Decision:
            raise OddError

        def exhausted(_: TaskRecord | None) -> Decision:
            raise StopIteration

        with pytest.raises(OddError):
            await harness.store.write(new_task_id(), decide)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await harness.store.write(new_task_id(), exhausted)
        await harness.create()

    @pytest.mark.parametrize(
        "fields",
        [
            {"params": {"x": object}},
            {"params": {"x": 2**70}},
            {"title": "\ud800"},
            {"owner": "\ud800"},
            {"tags": ("\ud800",)},
            {"priority": 2**63},
        ],
        ids=str,
    )
    async def test_what_cannot_be_stored_fails_its_own_write_only(
        self, harness: Harness, fields: dict[str, Any]
    ) -> None:
        bad = harness.new_record(**fields)
        good = harness.new_record()
        results = await asyncio.gather(
            harness.store.write(bad.task_id, lifecycle.create(bad)),
            harness.store.write(good.task_id, lifecycle.create(good)),
            return_exceptions=True,
        )
        assert isinstance(results[0], (TypeError, ValueError))
        assert isinstance(results[1], Commit)
        assert await harness.store.get(bad.task_id) is None

    async def test_a_task_id_that_is_no_text_is_refused_at_once(self, harness: Harness) -> None:
        with pytest.raises(ValueError, match="UTF-8"):
            harness.store.write("\ud800", say("x"))

    async def test_what_a_task_was_created_with_stays(self, harness: Harness) -> None:
        record = await harness.create()

        def decide(_: TaskRecord | None) -> Decision:
            return Decision(replace(record, owner="mallory"))

        with pytest.raises(ValueError, match="created with"):
            await harness.store.write(record.task_id, decide)

    async def test_an_old_attempt_is_refused(self, harness: Harness) -> None:
        task_id = (await harness.create_completed()).task_id
        with pytest.raises(IllegalTransition):
            await harness.store.write(task_id, say("late"))
        await harness.store.write(task_id, retry)
        await harness.store.write(task_id, harness.start())
        with pytest.raises(StaleAttempt):
            await harness.store.write(task_id, say("much too late"))

    async def test_two_creations_of_one_id_make_one_task(self, harness: Harness) -> None:
        record = harness.new_record()
        results = await asyncio.gather(
            *(harness.store.write(record.task_id, lifecycle.create(record)) for _ in range(20)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Commit) for result in results) == 1
        assert len(await harness.log(record.task_id)) == 1

    async def test_many_tasks_written_at_once_do_not_mix(self, harness: Harness) -> None:
        async def live(number: int) -> str:
            task_id = (await harness.create_running()).task_id
            for step in range(10):
                await harness.store.write(
                    task_id, say(f"{number}.{step}"), synced=(number + step) % 5 == 0
                )
            await harness.store.write(task_id, harness.complete(number))
            return task_id

        task_ids = await asyncio.gather(*(live(number) for number in range(40)))
        for number, task_id in enumerate(task_ids):
            events = await harness.log(task_id)
            assert texts_of(events) == [f"{number}.{step}" for step in range(10)]
            assert [event.seq for event in events] == list(range(1, 14))
            record = await harness.store.get(task_id)
            assert record is not None
            assert record.result == number

    async def test_a_flood_is_committed_in_order_and_in_parts(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        parts: list[int] = []
        harness.store.listen(lambda events: parts.append(len(events)))
        spoken = [[f"{number}.{line}" for line in range(100)] for number in range(50)]
        await asyncio.gather(*(harness.store.write(task_id, say(*texts)) for texts in spoken))
        assert texts_of(await harness.log(task_id)) == list(chain(*spoken))
        assert max(parts) < 1100

    async def test_a_cancelled_future_does_not_undo_its_write(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        cancelled = harness.store.write(task_id, say("cancelled"), synced=True)
        cancelled.cancel()
        awaited = asyncio.create_task(_await_write(harness, task_id))
        await asyncio.sleep(0)
        awaited.cancel()
        await harness.store.write(task_id, say("last"))
        assert texts_of(await harness.log(task_id)) == ["cancelled", "awaited", "last"]

    async def test_a_decision_that_changes_nothing_is_committed_as_nothing(
        self, harness: Harness
    ) -> None:
        before = await harness.create_running()
        told: list[Told] = []
        harness.store.listen(told.append)
        for synced in (False, True):
            commit = await harness.store.write(
                before.task_id, lifecycle.report(1, ()), synced=synced
            )
            assert commit == Commit(before, ())
        assert told == []

    async def test_a_record_changes_without_an_event(self, harness: Harness) -> None:
        before = await harness.create_running()
        commit = await harness.store.write(
            before.task_id, lifecycle.cancel(None, harness.clock.now())
        )
        assert commit.events == ()
        assert commit.record.cancel_requested
        await harness.reopen()
        assert await harness.store.get(before.task_id) == commit.record

    async def test_timestamps_never_fall_when_the_clock_does(self, harness: Harness) -> None:
        task_id = (await harness.create_running()).task_id
        harness.clock.set_back(3600)
        await harness.reopen()
        await harness.store.write(task_id, say("later"))
        stamps = [body_of(event)["timestamp"] for event in await harness.log(task_id)]
        assert stamps == sorted(stamps)


async def _await_write(harness: Harness, task_id: str) -> None:
    await harness.store.write(task_id, say("awaited"))
