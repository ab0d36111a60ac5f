"""Attempts that producers outside the server execute: recorded as those of handlers are, and
ended when nothing is heard of their producer any more.
"""

from __future__ import annotations

import asyncio
from asyncio import Lock, Task
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson

from taskpush.core import lifecycle, producing
from taskpush.core.lifecycle import Decide
from taskpush.errors import StoreUnavailable, TaskPushError
from taskpush.models.events import EventType, Status
from taskpush.models.producing import Reported
from taskpush.models.task import TaskError, TaskRecord
from taskpush.runner import outcomes
from taskpush.runner.kind import KindSpec
from taskpush.runner.producing.reading import Reader, Reading, States, restored
from taskpush.runner.recorder import Recorder
from taskpush.runner.registry import Registry
from taskpush.runner.reporting.reports import LogLine, Newest
from taskpush.runner.workshop import Workshop
from taskpush.store.base import Commit
from taskpush.store.blobs import Blob
from taskpush.telemetry.events import ProducerLost, TaskEnded, TaskStarted

DEFAULT_LEASE_S: Final = 15.0
LOOK_S: Final = 1.0
"""So often it is looked whose lease is over; more often when leases are short."""


class ReportedAttempt:
    """One attempt, its recorder and the newest states that its producer has told."""

    def __init__(
        self, workshop: Workshop, record: TaskRecord, spec: KindSpec | None, producer_id: str
    ) -> None:
        self.record = record
        # None when this server does not know the kind (any more).
        self.spec = spec
        self.producer_id = producer_id
        self._workshop = workshop
        now_s = workshop.clock.monotonic()
        self._heard_s = now_s
        self._recorder = Recorder(
            workshop.store,
            workshop.blobs,
            workshop.clock,
            task_id=record.task_id,
            attempt=record.attempt,
            on_fenced=lambda: None,
            log_budget=workshop.log_budget,
            run_times=workshop.run_times(record.kind, record.params),
            elapsed_s=self._elapsed_s(),
        )
        self._states = restored(_latest(record))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the attempt began."""
        return self._recorder.elapsed_s

    def heard(self) -> None:
        """Something was heard of the producer: its lease begins anew."""
        self._heard_s = self._workshop.clock.monotonic()

    def excuse(self, seconds: float) -> None:
        """Nobody could be heard for so long."""
        self._heard_s += seconds

    def silent_s(self) -> float:
        """How long nothing was heard."""
        return self._workshop.clock.monotonic() - self._heard_s

    def read(self, events: Sequence[Reported], *, skipped: int) -> Reading:
        """What the events say; raises what is wrong with one of them. Changes nothing."""
        assert self.spec is not None
        record, now = self.record, self._workshop.clock.now()
        reader = Reader(
            self.spec,
            record,
            producing.start(self.producer_id, record.attempt, now),
            self._workshop.random,
        )
        return reader.read(events, self._states, now, skipped=skipped)

    async def write(self, reading: Reading, first: int) -> Commit:
        """Commit what was read, of which the first event has the number `first`."""
        steps = [self._within_budget(step) for step in reading.steps]
        decide = producing.take(
            self.record.attempt,
            self.producer_id,
            first,
            steps,
            epoch=self._workshop.store.epoch,
        )
        if reading.ends:
            self._show(reading.states)
            return await self._recorder.finish(decide)
        commit = await self._recorder.append(decide, synced=reading.starts)
        self._show(reading.states)
        return commit

    async def announce(self, name: str, media_type: str, blob: Blob) -> Commit:
        """Say that a file was kept."""
        return await self._recorder.announce(name, media_type, blob)

    async def end(self, outcome: Decide) -> Commit:
        """End the attempt without its producer."""
        return await self._recorder.finish(outcome)

    def close(self) -> None:
        """Tell the newest states, and nothing after them."""
        self._recorder.flush()
        self._recorder.close()

    def _within_budget(self, step: Decide | LogLine | None) -> Decide | None:
        if not isinstance(step, LogLine):
            return step
        event = self._recorder.budgeted(step)
        return None if event is None else lifecycle.report(self.record.attempt, [event])

    def _show(self, states: States) -> None:
        self._states = states
        for event_type in (EventType.PROGRESS, EventType.STATS, EventType.PREVIEW):
            if event_type in states.changed:
                self._recorder.take(Newest(event_type, self._reader_of(event_type)))

    def _reader_of(self, event_type: EventType) -> Callable[[float], Mapping[str, Any]]:
        match event_type:
            case EventType.PROGRESS:
                return lambda elapsed_s: self._states.progress.payload(elapsed_s).to_data()
            case EventType.STATS:
                return lambda elapsed_s: {
                    "elapsed_seconds": round(elapsed_s, 3),
                    **self._states.stats,
                }
        return lambda _: self._states.preview

    def _elapsed_s(self) -> float:
        """How long the attempt had run before this server; its monotonic clock does not know."""
        began = self.record.started_at
        if began is None or self.record.status is not Status.RUNNING:
            return 0.0
        return max(0.0, (self._workshop.clock.now() - began).total_seconds())


class ReportedAttempts:
    """Those that run now, and the leases of their producers.

    A lease begins with whatever is heard of the producer, and anew when the server starts. When
    it is over the attempt is `interrupted`. `start` begins to look, `close` ends that.
    """

    def __init__(
        self, workshop: Workshop, registry: Registry, *, lease_s: float = DEFAULT_LEASE_S
    ) -> None:
        self.lease_s = lease_s
        self._workshop = workshop
        self._registry = registry
        self._running: dict[str, ReportedAttempt] = {}
        # Of the tasks that somebody works on at the moment.
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._look_s = min(LOOK_S, lease_s / 5)
        self._looked_s = 0.0
        # None before `start` and after `close`.
        self._looking: Task[None] | None = None

    def start(self, running: Sequence[TaskRecord]) -> None:
        """Begin to look; `running` are the tasks that producers were reporting before."""
        for record in running:
            assert record.producer is not None
            self.begin(record, record.producer.producer_id)
        self._looked_s = self._workshop.clock.monotonic()
        self._looking = asyncio.get_running_loop().create_task(self._keep_looking(), name="leases")

    async def close(self) -> None:
        """Look no more. The tasks run on: their producers are no part of this server."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])
        for attempt in self._running.values():
            attempt.close()
        self._running.clear()

    def lock(self, task_id: str) -> Lock:
        """Held by whoever works on the task: one batch after the other."""
        lock = self._locks.get(task_id)
        if lock is None:
            lock = self._locks[task_id] = Lock()
        return lock

    def find(self, record: TaskRecord, producer_id: str) -> ReportedAttempt | None:
        """The task's present attempt, when this producer reports it."""
        attempt = self._running.get(record.task_id)
        if attempt is None or attempt.record.attempt != record.attempt:
            return None
        return attempt if attempt.producer_id == producer_id else None

    def begin(self, record: TaskRecord, producer_id: str) -> ReportedAttempt:
        """Have an attempt recorded, and its producer's lease begin."""
        spec = self._registry.get(record.kind)
        attempt = ReportedAttempt(self._workshop, record, spec, producer_id)
        self._drop(record.task_id)
        self._running[record.task_id] = attempt
        return attempt

    def forget(self, attempt: ReportedAttempt) -> None:
        """It was not started after all."""
        self._drop(attempt.record.task_id)

    async def write(self, attempt: ReportedAttempt, reading: Reading, first: int) -> Commit:
        """Commit what was read of a batch; to be called with the task's lock held."""
        try:
            commit = await attempt.write(reading, first)
        except StoreUnavailable:
            raise
        except TaskPushError:
            await self._begin_again(attempt.record.task_id)
            raise
        if reading.starts:
            record = attempt.record
            emit = self._workshop.telemetry.emit
            emit(TaskStarted(record.task_id, record.kind, record.attempt))
        if reading.ends:
            self._ended(attempt, commit)
        return commit

    async def look(self) -> None:
        """End what has outlived its producer's lease, or its own time."""
        now_s = self._workshop.clock.monotonic()
        # While the server itself stood still it heard nobody.
        stood_still_s = max(0.0, now_s - self._looked_s - self._look_s)
        self._looked_s = now_s
        for attempt in list(self._running.values()):
            attempt.excuse(stood_still_s)
            async with self.lock(attempt.record.task_id):
                if self._running.get(attempt.record.task_id) is attempt:
                    await self._judge(attempt)

    async def _begin_again(self, task_id: str) -> None:
        """What was refused may have closed the recorder: the attempt may run all the same."""
        self._drop(task_id)
        record = await self._workshop.store.get(task_id)
        if record is not None and record.producer is not None and producing.is_reported(record):
            self.begin(record, record.producer.producer_id)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            await self.look()

    async def _judge(self, attempt: ReportedAttempt) -> None:
        lost = self._lost(attempt)
        outcome = lost or self._timed_out(attempt)
        if outcome is None:
            return
        try:
            commit = await attempt.end(outcome)
        except StoreUnavailable:
            return  # At the next look.
        except TaskPushError:
            self._drop(attempt.record.task_id)
            return
        if lost is not None:
            record = attempt.record
            self._workshop.telemetry.emit(
                ProducerLost(record.task_id, record.kind, record.attempt, attempt.producer_id)
            )
        self._ended(attempt, commit)

    def _lost(self, attempt: ReportedAttempt) -> Decide | None:
        silent_s, record = attempt.silent_s(), attempt.record
        if silent_s < self.lease_s:
            return None
        return lifecycle.interrupt(
            record.attempt,
            self._workshop.clock.now(),
            reason="producer_lost",
            message=f"Nothing was heard of its producer for {silent_s:.0f} s",
        )

    def _timed_out(self, attempt: ReportedAttempt) -> Decide | None:
        record = attempt.record
        if record.timeout_s is None or attempt.elapsed_s < record.timeout_s:
            return None
        now = self._workshop.clock.now()
        error = TaskError(f"Timed out after {record.timeout_s:g} s", "Timeout", "timeout")
        if attempt.spec is None:
            return lifecycle.fail(record.attempt, now, error, reason="timeout")
        return outcomes.failed(
            attempt.spec, record.attempt, now, error, self._workshop.random, reason="timeout"
        )

    def _ended(self, attempt: ReportedAttempt, commit: Commit) -> None:
        self._drop(attempt.record.task_id)
        record = attempt.record
        status = commit.record.status.value
        ended = TaskEnded(record.task_id, record.kind, record.attempt, status, attempt.elapsed_s)
        self._workshop.telemetry.emit(ended)

    def _drop(self, task_id: str) -> None:
        attempt = self._running.pop(task_id, None)
        if attempt is not None:
            with suppress(StoreUnavailable):
                attempt.close()


def _latest(record: TaskRecord) -> dict[str, Any]:
    return {
        event_type: orjson.loads(event.body)["data"]
        for event_type, event in record.latest.items()
        if event.attempt == record.attempt and event_type is not EventType.PREVIEW
    }
