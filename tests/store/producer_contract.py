"""What the store promises to producers outside the server; a part of the contract suite."""

from __future__ import annotations

import pytest

from taskpush.core import producing
from taskpush.core.lifecycle import Decide
from taskpush.errors import ProducerConflict
from tests.store.harness import Harness, say, texts_of


class ProducerContract:
    """What was taken of a producer is committed with its events."""

    async def test_a_repeated_batch_is_known_over_a_restart(self, harness: Harness) -> None:
        record = await harness.create()

        def batch() -> Decide:
            start = producing.start("p1", 1, harness.clock.now())
            steps = (start, say("a"), None, say("b"))
            return producing.take(1, "p1", 1, steps, epoch=harness.store.epoch)

        first = await harness.store.write(record.task_id, batch())
        assert [event.seq for event in first.events] == [2, 3, 4]
        places = producing.positions(first.record, 1, 4)
        store = await harness.reopen()
        again = await store.write(record.task_id, batch())
        assert (again.events, again.record.head) == ((), first.record.head)
        assert producing.positions(again.record, 1, 4) == places
        assert [p and p.seq for p in places] == [2, 3, None, 4]
        assert texts_of(await harness.log(record.task_id)) == ["a", "b"]

    async def test_one_of_two_producers_starts_the_task(self, harness: Harness) -> None:
        record = await harness.create()
        starts = [
            harness.store.write(
                record.task_id,
                producing.take(
                    1,
                    producer_id,
                    1,
                    (producing.start(producer_id, 1, harness.clock.now()),),
                    epoch=harness.store.epoch,
                ),
            )
            for producer_id in ("p1", "p2")
        ]
        await starts[0]
        with pytest.raises(ProducerConflict):
            await starts[1]
        assert len(await harness.log(record.task_id)) == 2

    async def test_a_task_that_a_producer_runs_is_among_the_abandoned(
        self, harness: Harness
    ) -> None:
        record = await harness.create()
        start = producing.start("p1", 1, harness.clock.now())
        decide = producing.take(1, "p1", 1, (start,), epoch=harness.store.epoch)
        commit = await harness.store.write(record.task_id, decide)
        store = await harness.reopen()
        assert await store.abandoned() == [commit.record]
