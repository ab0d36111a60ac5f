"""The whole life of tasks, in any order, over crashes and restarts: what must hold always does.

Hypothesis drives a real store with the real decisions and the real recovery. What should become
of the tasks says `life_model`; what was told of them is checked event by event by `life_witness`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from asyncio import Future
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.errors import NotFound, PositionGone, TaskPushError
from taskpush.models.events import EventType
from taskpush.models.position import START, Position
from taskpush.models.task import CheckpointRef, LoggedEvent, NewEvent, TaskError, TaskRecord
from taskpush.runner.context import TaskContext
from taskpush.runner.registry import Registry
from taskpush.store.base import (
    Announcement,
    Created,
    IdempotencyKey,
    Store,
    TaskDeleted,
    TaskFilter,
)
from taskpush.store.memory.store import MemoryStore
from taskpush.store.sqlite.store import SqliteStore
from taskpush.tasks.recovery import resume_interrupted, settle_abandoned
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import TelemetryEvent
from tests.store.harness import log_line, place, progress, stats
from tests.tasks.life_model import Life, Model, Refused, later
from tests.tasks.life_witness import Witness

Answer = TypeVar("Answer")
LOCAL = TaskFilter(tenant="local")
ERROR = TaskError(error="it broke", error_type="Broken", code="handler_error")

WHICH = st.integers(0, 29)
# Mostly the present attempt; or an older one, or one that is not yet.
SHIFTS = st.sampled_from([*[0] * 10, -1, 1])
WAIT = st.booleans()
TURNS = st.integers(0, 6)


async def _job(ctx: TaskContext) -> None:
    """What the kinds would run."""


def _registry() -> Registry:
    registry = Registry()
    registry.register("auto", _job, resume="auto")
    registry.register("manual", _job)
    return registry


class WholeLife(RuleBasedStateMachine):
    """Tasks of one store. Calls are made without waiting, and compared when they are answered."""

    survives_crashes: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.faults: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.folder = Path(tempfile.mkdtemp(prefix="taskpush-life-"))
        self.clock = ManualClock()
        self.model = Model()
        self.registry = _registry()
        # Per task that was ever created; of deleted ones None.
        self.witnesses: dict[str, Witness | None] = {}
        self.told: list[Announcement] = []
        # Each with the answer that is expected, and the model as it was before it.
        self.calls: list[tuple[Future[Any], Any, Model]] = []
        self.touched: set[str] = set()
        self.words = 0
        self.noticed: list[TelemetryEvent] = []
        self.store = self.make_store()
        self.run(self._open())

    def make_store(self) -> Store:
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        told = self.told = []
        # What an abandoned store goes on to say reaches nobody.
        self.store.listen(told.extend)
        await self.store.open()

    # -- creating -----------------------------------------------------------------

    @initialize(auto=st.booleans(), max_attempts=st.integers(1, 3), started=st.integers(0, 3))
    def begin_with_some(self, auto: bool, max_attempts: int, started: int) -> None:
        self._create([0, 1, 0], auto=auto, max_attempts=max_attempts)
        self.start_who_is_next(started, wait=True)

    @rule(
        priorities=st.lists(st.integers(-1, 1), min_size=1, max_size=3),
        auto=st.booleans(),
        max_attempts=st.integers(1, 3),
        delay_s=st.sampled_from([None, None, None, 5]),
        key=st.sampled_from([None, None, "first key", "second key"]),
        body=st.sampled_from(["body", "body", "other body"]),
        taken=st.sampled_from([None, None, None, None, None, 0, 1]),
        wait=WAIT,
    )
    def create(
        self,
        priorities: list[int],
        auto: bool,
        max_attempts: int,
        delay_s: int | None,
        key: str | None,
        body: str,
        taken: int | None,
        wait: bool,
    ) -> None:
        due = later(self.clock.now(), delay_s) if delay_s is not None else None
        self._create(
            priorities,
            auto=auto,
            max_attempts=max_attempts,
            due=due,
            key=key,
            body=body,
            taken=taken,
        )
        self._wait_if(wait)

    def _create(
        self,
        priorities: list[int],
        *,
        auto: bool,
        max_attempts: int,
        due: datetime | None = None,
        key: str | None = None,
        body: str = "",
        taken: int | None = None,
    ) -> None:
        kind = "auto" if auto else "manual"
        ids = [self._new_id(len(self.witnesses) + index) for index in range(len(priorities))]
        if taken is not None:
            # Of a deleted task, if there is one.
            known = sorted(self.model.gone) or list(self.witnesses)
            ids[-1] = known[taken % len(known)]
        lives = [Life(kind, priority, max_attempts, due) for priority in priorities]
        records = [
            TaskRecord(
                task_id=task_id,
                kind=kind,
                tenant="local",
                owner="ann",
                params={"n": 1},
                created_at=self.clock.now(),
                priority=life.priority,
                max_attempts=max_attempts,
                run_at=due,
                message="Task created",
            )
            for task_id, life in zip(ids, lives, strict=True)
        ]
        named = IdempotencyKey("local", "ann", key, body) if key is not None else None
        self._call(
            lambda: self.store.create(records, key=named),
            lambda: self.model.create(list(zip(ids, lives, strict=True)), key, body),
        )
        for task_id in self.model.lives:
            self.witnesses.setdefault(task_id, Witness(task_id))
            self.touched.add(task_id)

    def _new_id(self, number: int) -> str:
        return f"0199f0c2-7d1e-7c63-9a0b-{number:012d}"

    # -- what a runner does ---------------------------------------------------------

    @rule(count=st.integers(1, 3), wait=WAIT)
    def start_who_is_next(self, count: int, wait: bool) -> None:
        for task_id in self.model.queue()[:count]:
            self._start(task_id)
        self._wait_if(wait)

    @rule(which=WHICH)
    def start_whoever(self, which: int) -> None:
        self._start(self._pick(which))
        self._wait_if(True)

    def _start(self, task_id: str) -> None:
        now = self.clock.now()
        self._write(
            task_id, lifecycle.start(self.store.epoch, now), lambda: self.model.start(task_id, now)
        )

    @rule(which=WHICH, shift=SHIFTS, count=st.integers(1, 3), wait=WAIT)
    def log(self, which: int, shift: int, count: int, wait: bool) -> None:
        task_id, attempt = self._aim(which, shift, "running")
        words = [self._word() for _ in range(count)]
        self._write(
            task_id,
            lifecycle.report(attempt, [log_line(each) for each in words]),
            lambda: self.model.report(task_id, attempt, [("log", each) for each in words]),
        )
        self._wait_if(wait)

    @rule(which=WHICH, shift=SHIFTS, wait=WAIT)
    def iterate(self, which: int, shift: int, wait: bool) -> None:
        task_id, attempt = self._aim(which, shift, "running")
        self.words += 1
        number = self.words
        event = NewEvent(EventType.ITERATION_COMPLETE, {"iteration": number, "metrics": {}})
        self._write(
            task_id,
            lifecycle.report(attempt, [event]),
            lambda: self.model.report(task_id, attempt, [("iteration_complete", number)]),
        )
        self._wait_if(wait)

    @rule(which=WHICH, shift=SHIFTS, what=st.integers(0, 2))
    def publish(self, which: int, shift: int, what: int) -> None:
        self.settle()
        task_id, attempt = self._aim(which, shift, "running", "running", "pending")
        event = (progress(which), stats(n=which), place(1 + which))[what]
        published = self.run(_inside(lambda: self.store.publish(task_id, attempt, event)))
        life = self.model.lives.get(task_id)
        fits = life is not None and life.attempt == attempt
        fits = fits and life is not None and life.status in {"pending", "running"}
        if event.event_type is EventType.QUEUE:
            fits = fits and life is not None and life.status == "pending"
        assert (published is not None) is fits
        self.touched.add(task_id)

    @rule(which=WHICH, shift=SHIFTS, wait=WAIT)
    def checkpoint(self, which: int, shift: int, wait: bool) -> None:
        task_id, attempt = self._aim(which, shift, "running")
        label = self._word()
        content = CheckpointRef("0" * 64, 2, attempt, label)
        self._write(
            task_id,
            lifecycle.checkpoint(attempt, content),
            lambda: self.model.checkpoint(task_id, attempt, label),
            synced=True,
        )
        self._wait_if(wait)

    @rule(which=WHICH, shift=SHIFTS, wait=WAIT)
    def complete(self, which: int, shift: int, wait: bool) -> None:
        task_id, attempt = self._aim(which, shift, "running")
        self._write(
            task_id,
            lifecycle.complete(attempt, self.clock.now(), result={"word": self._word()}),
            lambda: self.model.complete(task_id, attempt),
            synced=True,
        )
        self._wait_if(wait)

    @rule(
        which=WHICH,
        shift=SHIFTS,
        again_in_s=st.sampled_from([None, 0, 3]),
        timed_out=st.booleans(),
        wait=WAIT,
    )
    def fail_or_time_out(
        self, which: int, shift: int, again_in_s: int | None, timed_out: bool, wait: bool
    ) -> None:
        task_id, attempt = self._aim(which, shift, "running")
        now = self.clock.now()
        retry_in_s = None if again_in_s is None else lambda failures: float(again_in_s)
        again_at = None if again_in_s is None else later(now, again_in_s)
        reason = "timeout" if timed_out else None
        self._write(
            task_id,
            lifecycle.fail(attempt, now, ERROR, reason=reason, retry_in_s=retry_in_s),
            lambda: self.model.fail(task_id, attempt, again_at),
            synced=True,
        )
        self._wait_if(wait)

    @rule(which=WHICH, shift=SHIFTS, wait=WAIT)
    def stop_as_asked(self, which: int, shift: int, wait: bool) -> None:
        task_id, attempt = self._aim(which, shift, "running")
        self._write(
            task_id,
            lifecycle.stop(attempt, self.clock.now()),
            lambda: self.model.stop(task_id, attempt),
            synced=True,
        )
        self._wait_if(wait)

    @rule(which=WHICH, shift=SHIFTS)
    def lose_the_worker(self, which: int, shift: int) -> None:
        self._interrupt(*self._aim(which, shift, "running"), "worker_lost", crashed=True)
        self._wait_if(True)

    def _interrupt(self, task_id: str, attempt: int, reason: str, *, crashed: bool) -> None:
        now = self.clock.now()
        self._write(
            task_id,
            lifecycle.interrupt(attempt, now, reason=reason, message="Gone", crashed=crashed),
            lambda: self.model.interrupt(task_id, attempt, crashed=crashed),
            synced=True,
        )

    # -- what people do -------------------------------------------------------------

    @rule(which=WHICH, shift=SHIFTS, named=st.booleans(), keep=st.booleans(), wait=WAIT)
    def cancel(self, which: int, shift: int, named: bool, keep: bool, wait: bool) -> None:
        task_id, attempt = self._aim(which, shift, "running", "pending")
        meant = attempt if named else None
        self._write(
            task_id,
            lifecycle.cancel(meant, self.clock.now(), keep=keep),
            lambda: self.model.cancel(task_id, meant, keep=keep),
            synced=True,
        )
        self._wait_if(wait)

    @rule(which=WHICH, shift=SHIFTS, named=st.booleans(), from_start=st.booleans(), wait=WAIT)
    def retry(self, which: int, shift: int, named: bool, from_start: bool, wait: bool) -> None:
        task_id, attempt = self._aim(which, shift, "failed", "cancelled", "interrupted")
        meant = attempt if named else None
        self._write(
            task_id,
            lifecycle.retry(meant, from_start=from_start),
            lambda: self.model.retry(task_id, meant, from_start=from_start, by_hand=True),
            synced=True,
        )
        self._wait_if(wait)

    @rule(which=WHICH, wait=WAIT)
    def delete(self, which: int, wait: bool) -> None:
        task_id, _ = self._aim(which, 0, "completed", "failed", "cancelled")
        self._call(
            lambda: self.store.delete(task_id, lifecycle.delete()),
            lambda: self.model.delete(task_id),
        )
        self.touched.add(task_id)
        self._wait_if(wait)

    @rule(which=WHICH, keep_last=st.integers(1, 3), wait=WAIT)
    def trim(self, which: int, keep_last: int, wait: bool) -> None:
        task_id, _ = self._aim(which, 0, "completed", "failed", "cancelled", "interrupted")
        self._call(
            lambda: self.store.trim(task_id, lifecycle.delete(), keep_last=keep_last),
            lambda: ("trimmed", task_id, self.model.trim(task_id, keep_last)),
        )
        self.touched.add(task_id)
        self._wait_if(wait)

    @rule(seconds=st.sampled_from([1, 4, 60, -3, -60]))
    def move_the_clock(self, seconds: int) -> None:
        if seconds > 0:
            self.clock.wind(seconds)
        else:
            self.clock.set_back(-seconds)

    # -- what happens to servers ----------------------------------------------------

    @rule()
    def stop_the_server(self) -> None:
        """In good order: what runs is interrupted first, which counts for nothing."""
        for task_id in self.model.running():
            attempt = self.model.lives[task_id].attempt
            self._interrupt(task_id, attempt, "server_stopped", crashed=False)
        self._restart()
        self._recover()

    @rule(turns=TURNS, during_recovery=st.booleans())
    def crash(self, turns: int, during_recovery: bool) -> None:
        """Kill -9 in the midst of what is under way; or, where nothing outlives that, a restart."""
        self._crash(turns) if self.survives_crashes else self._restart()
        if during_recovery:
            self.run(settle_abandoned(self.store, self.clock))
            self.model.settle()
            self._crash(turns) if self.survives_crashes else self._restart()
        self._recover()

    def _recover(self) -> None:
        """What a server does first."""
        running = self.model.running()
        abandoned = self.run(self.store.abandoned())
        assert [record.task_id for record in abandoned] == running
        settled = self.run(settle_abandoned(self.store, self.clock))
        resumed = self.run(resume_interrupted(self.store, self.registry))
        assert (settled, resumed) == (self.model.settle(), self.model.resume())
        self.touched |= self.model.lives.keys() | self.model.gone
        self.settle()

    def _restart(self) -> None:
        self.settle()
        self.run(self._close_and_open())

    async def _close_and_open(self) -> None:
        await self.store.close()
        self._hear()
        if self.survives_crashes:
            self.store = self.make_store()
            await self._open()
        else:
            await self.store.open()

    def _crash(self, turns: int) -> None:
        self.run(self._be_killed(turns))
        self._hear()
        self._find_what_was_accepted(sum(future.done() for future, *_ in self.calls))

    async def _be_killed(self, turns: int) -> None:
        """What the file held at that moment is all that is left."""
        for _ in range(turns):
            await asyncio.sleep(0)
        self._answered_so_far()
        dead, self.folder = self.folder, Path(tempfile.mkdtemp(prefix="taskpush-life-"))
        done = [future.done() for future, *_ in self.calls]
        assert done == sorted(done, reverse=True), "answered out of order"
        for name in ("tasks.db", "tasks.db-wal"):
            if (dead / name).exists():
                shutil.copy(dead / name, self.folder / name)
        heard = list(self.told)
        await self.store.close()
        await asyncio.gather(*(future for future, *_ in self.calls), return_exceptions=True)
        self.calls = [
            (future if was_done else self.loop.create_future(), expected, before)
            for (future, expected, before), was_done in zip(self.calls, done, strict=True)
        ]
        shutil.rmtree(dead)
        epoch = self.store.epoch
        self.told[:] = heard
        self._hear(epoch)
        self.store = self.make_store()
        await self._open()

    def _find_what_was_accepted(self, answered: int) -> None:
        """All that was answered, and of the rest the first part: what a prefix of calls made."""
        found = self.run(self._stored())
        after = [before for _, _, before in self.calls[answered:]] + [self.model]
        fitting = [model for model in after if _marks_of_model(model) == found]
        assert fitting, "what the crash left is not what the calls before it made"
        self.model = fitting[0]
        self.calls.clear()
        for task_id in self.witnesses:
            if task_id in self.model.gone:
                self.witnesses[task_id] = None
            elif task_id not in self.model.lives:
                # Nobody was told that it was created.
                self.witnesses[task_id] = Witness(task_id)
        self.run(self._hear_the_rest())

    async def _stored(self) -> dict[str, Any]:
        found = {}
        for task_id in self.witnesses:
            record = await self.store.get(task_id)
            if record is not None:
                log = (await self.store.read(task_id, START, 1000)).events
                found[task_id] = (_marks(record), record.head.seq - len(log))
        return found

    async def _hear_the_rest(self) -> None:
        """What was committed, and not told any more."""
        for task_id, life in self.model.lives.items():
            witness = self._witness(task_id)
            record = await self.store.get(task_id)
            assert record is not None
            if len(witness.events) < record.head.seq:
                after = max(len(witness.events), life.cut)
                assert after == len(witness.events), "trimmed before it was told"
                page = await self.store.read(task_id, Position(after) if after else START, 1000)
                for event in page.events:
                    witness.hear(event, event.epoch)
            # The newest states may be lost, but none is made up.
            for event_type, newest in record.latest.items():
                known = witness.latest.get(event_type)
                assert known is not None
                assert newest.rev <= known.rev
            witness.latest = dict(record.latest)

    # -- what must hold -------------------------------------------------------------

    def _write(
        self, task_id: str, decide: Decide, expect: Callable[[], Any], *, synced: bool = False
    ) -> None:
        self._call(lambda: self.store.write(task_id, decide, synced=synced), expect)
        self.touched.add(task_id)

    def _call(self, make: Callable[[], Future[Any]], expect: Callable[[], Any]) -> None:
        before = self.model
        self.model = before.copy()
        try:
            expected = expect()
        except Refused as refused:
            expected, self.model = refused, before
        self.calls.append((self.run(_inside(make)), expected, before))

    def _wait_if(self, wait: bool) -> None:
        if wait:
            self.settle()

    @rule()
    def settle(self) -> None:
        """Wait for every answer, then compare what was touched."""
        futures = [future for future, *_ in self.calls]
        self.run(_all(futures))
        self._answered_so_far()
        self.calls.clear()
        self._hear()
        self.run(self._compare())

    def _answered_so_far(self) -> None:
        for future, expected, before in self.calls:
            if future.done():
                self._check_answer(future, expected, before)

    def _check_answer(self, future: Future[Any], expected: Any, before: Model) -> None:
        error = future.exception()
        if isinstance(expected, Refused):
            assert isinstance(error, TaskPushError), f"accepted, instead of {expected}"
            assert error.code == expected.args[0]
        elif error is not None:
            raise AssertionError(f"{error!r}, instead of {expected}") from error
        elif isinstance(future.result(), Created):
            assert [record.task_id for record in future.result().records] == expected
        elif isinstance(expected, tuple):
            _, task_id, count = expected
            witness = self.witnesses[task_id]
            cut = before.lives[task_id].cut
            if witness is not None and len(witness.events) >= cut + count:
                gone = witness.events[cut : cut + count]
                assert future.result() == sum(len(event.body) for event in gone)

    @invariant()
    def what_is_told_is_in_order(self) -> None:
        self._hear()
        assert self.faults == []

    def _hear(self, epoch: str | None = None) -> None:
        told, self.told[:] = list(self.told), []
        for each in told:
            witness = self.witnesses[each.task_id]
            assert witness is not None, "told of a task that is gone"
            match each:
                case TaskDeleted():
                    self.witnesses[each.task_id] = None
                case LoggedEvent():
                    witness.hear(each, epoch or self.store.epoch)
                case _:
                    witness.hear_volatile(each)

    async def _compare(self) -> None:
        touched, self.touched = sorted(self.touched), set()
        for task_id in touched:
            if task_id in self.model.lives:
                await self._compare_task(task_id, self.model.lives[task_id])
            else:
                await self._compare_absent(task_id)
        waiting = await self.store.waiting()
        assert [each.task_id for each in waiting] == self.model.queue()
        listed = (await self.store.tasks(LOCAL, limit=1000)).records
        assert [record.task_id for record in listed] == list(self.model.lives)[::-1]

    async def _compare_task(self, task_id: str, life: Life) -> None:
        witness, record = self._witness(task_id), await self.store.get(task_id)
        assert record is not None, "lost"
        assert witness.said() == life.log
        assert _marks(record) == _marks_of_life(life)
        witness.check_record(record)
        assert record.latest == witness.latest
        page = await self.store.read(task_id, START, 1000)
        assert list(page.events) == witness.events[life.cut :]
        assert (page.head, page.end, page.latest) == (record.head, True, record.latest)
        middle = witness.events[(life.cut + len(witness.events)) // 2]
        page = await self.store.read(task_id, middle.position, 1000)
        assert list(page.events) == witness.events[middle.seq :]
        gone = [Position(middle.seq, "nobody"), Position(len(witness.events) + 1)]
        gone += [witness.events[life.cut - 1].position] if life.cut else []
        for position in gone:
            with pytest.raises(PositionGone) as caught:
                await self.store.read(task_id, position, 1)
            assert caught.value.oldest == life.cut + 1

    async def _compare_absent(self, task_id: str) -> None:
        assert await self.store.get(task_id) is None
        with pytest.raises(NotFound):
            await self.store.read(task_id, START, 1)
        if task_id in self.model.gone:
            assert self.witnesses[task_id] is None, "nobody was told that it was deleted"

    def teardown(self) -> None:
        self.touched |= self.witnesses.keys()
        try:
            self.settle()
            self._restart()
            self._recover()
            self.what_is_told_is_in_order()
            assert self.noticed == []
        finally:
            self.run(self.store.close())
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- choosing -------------------------------------------------------------------

    def _witness(self, task_id: str) -> Witness:
        witness = self.witnesses[task_id]
        assert witness is not None
        return witness

    def _pick(self, which: int) -> str:
        """Any task that ever was, or one that never was."""
        return self._new_id(which % (len(self.witnesses) + 1))

    def _aim(self, which: int, shift: int, *statuses: str) -> tuple[str, int]:
        """A task, preferably in one of the statuses, and its attempt, shifted."""
        fitting = [each for each, life in self.model.lives.items() if life.status in statuses]
        aimed = fitting and which % 8 != 7
        task_id = fitting[which % len(fitting)] if aimed else self._pick(which)
        life = self.model.lives.get(task_id)
        return task_id, (life.attempt if life else 1) + shift

    def _word(self) -> str:
        self.words += 1
        return f"word {self.words}"


class MemoryLife(WholeLife):
    survives_crashes = False

    def make_store(self) -> Store:
        return MemoryStore(clock=self.clock, telemetry=Telemetry(self.noticed.append))


class SqliteLife(WholeLife):
    survives_crashes = True

    def make_store(self) -> Store:
        return SqliteStore(
            self.folder / "tasks.db",
            clock=self.clock,
            telemetry=Telemetry(self.noticed.append),
            flush_after_s=0,
        )


async def _inside(call: Callable[[], Answer]) -> Answer:
    """What `call` gives, called in the event loop."""
    return call()


async def _all(futures: Sequence[Future[Any]]) -> None:
    await asyncio.gather(*futures, return_exceptions=True)


def _marks(record: TaskRecord) -> tuple[object, ...]:
    """What the model knows of a task, as the store says it."""
    wish = ("keep" if record.keep_requested else "cancel") if record.cancel_requested else None
    return (
        *(record.status.value, record.attempt, record.head.seq, wish),
        *(record.failures, record.interruptions, record.run_at),
        record.checkpoint.label if record.checkpoint else None,
    )


def _marks_of_life(life: Life) -> tuple[object, ...]:
    return (
        *(life.status, life.attempt, len(life.log), life.wish),
        *(life.failures, life.strikes, life.due),
        life.saved,
    )


def _marks_of_model(model: Model) -> dict[str, Any]:
    return {task_id: (_marks_of_life(life), life.cut) for task_id, life in model.lives.items()}


def _run(machine: type[WholeLife], *, runs: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("machine", [MemoryLife, SqliteLife])
def test_a_life_in_any_order(machine: type[WholeLife]) -> None:
    _run(machine, runs=8, steps=30)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("machine", [MemoryLife, SqliteLife])
def test_five_hundred_lives_in_any_order(machine: type[WholeLife]) -> None:
    _run(machine, runs=500, steps=50)
