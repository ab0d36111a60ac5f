"""Both adapters say the same, whatever happens to the tasks: one is the model of the other."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.errors import PositionGone
from taskpush.models.events import Status
from taskpush.models.feed import FeedFilter
from taskpush.models.position import START, Position
from taskpush.models.task import LoggedEvent, TaskError, TaskRecord, VolatileEvent
from taskpush.store.base import (
    Announcement,
    Commit,
    Created,
    IdempotencyKey,
    LogPage,
    Store,
    TaskDeleted,
    TaskFilter,
)
from taskpush.store.memory.store import MemoryStore
from taskpush.store.sqlite.store import SqliteStore
from tests.store.harness import Harness, body_of, place, progress, retry, say, stats

TASK_IDS: Final = [f"0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3{number}" for number in range(3)]
FILTERS: Final = [
    TaskFilter("local"),
    TaskFilter("local", owner="ann", status=Status.PENDING),
    TaskFilter("local", status=Status.RUNNING),
    TaskFilter("local", kind="train", tag="x"),
    TaskFilter("local", q="TWO"),
]


@dataclass(frozen=True)
class Write:
    """A write, made without waiting for the one before it."""

    task: int
    command: str
    attempt: int
    synced: bool


@dataclass(frozen=True)
class Create:
    """A creation with a key, or without."""

    tasks: tuple[int, ...]
    key: int | None
    body: int
    # Of kind "layout", how many may be pending.
    limit: int


@dataclass(frozen=True)
class Delete:
    task: int
    forced: bool


@dataclass(frozen=True)
class Trim:
    task: int
    keep_last: int


@dataclass(frozen=True)
class Publish:
    task: int
    attempt: int
    percent: int


@dataclass(frozen=True)
class Settle:
    """Wait for all writes, then compare everything."""


@dataclass(frozen=True)
class Reopen:
    pass


@dataclass(frozen=True)
class Wind:
    seconds: int


FEEDS: Final = [FeedFilter("local"), FeedFilter("local", owner="ann", kind="train", tag="x")]
TASKS = st.integers(0, len(TASK_IDS) - 1)
COMMANDS = ("create", "start", "say", "complete", "fail", "cancel", "stop", "interrupt", "retry")
STEPS = st.lists(
    st.builds(Write, TASKS, st.sampled_from(COMMANDS), st.integers(1, 2), st.booleans())
    | st.builds(Publish, TASKS, st.integers(1, 2), st.integers(0, 100))
    | st.builds(
        Create,
        st.lists(TASKS, min_size=1, max_size=2).map(tuple),
        st.none() | st.integers(0, 1),
        st.integers(0, 1),
        st.integers(0, 2),
    )
    | st.builds(Delete, TASKS, st.booleans())
    | st.builds(Trim, TASKS, st.integers(1, 3))
    | st.builds(Settle)
    | st.builds(Reopen)
    | st.builds(Wind, st.integers(-5, 5) | st.just(24 * 3600)),
    max_size=40,
)


@settings(max_examples=120)
@given(STEPS)
def test_both_stores_give_the_same_answers(steps: Sequence[object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compare(Path(folder), steps))


async def _compare(folder: Path, steps: Sequence[object]) -> None:
    memory: list[Store] = []

    def remembered(clock: Any, telemetry: Any) -> Store:
        if not memory:
            memory.append(MemoryStore(clock=clock, telemetry=telemetry))
        return memory[0]

    runs = [
        Run(Harness(remembered)),
        Run(
            Harness(
                lambda clock, telemetry: SqliteStore(
                    folder / "tasks.db", clock=clock, telemetry=telemetry
                )
            )
        ),
    ]
    for run in runs:
        await run.harness.store.open()
    for step in (*steps, Settle(), Reopen(), Settle()):
        first, second = [await run.take(step) for run in runs]
        assert first == second, step
    for run in runs:
        await run.harness.store.close()


class Run:
    """One of the two, and what it was asked so far."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self._calls: list[asyncio.Future[Any]] = []
        self._told: list[Any] = []
        self._cursors: dict[FeedFilter, str | None] = dict.fromkeys(FEEDS)
        harness.store.listen(self._note)

    async def take(self, step: object) -> Any:
        """What the store answers, without what is random in it."""
        match step:
            case Write():
                write = self.harness.store.write(
                    TASK_IDS[step.task], self._decide(step), synced=step.synced
                )
                self._calls.append(write)
                return None
            case Create():
                self._calls.append(self._create(step))
                return None
            case Trim():
                trim = self.harness.store.trim(
                    TASK_IDS[step.task], _anyway, keep_last=step.keep_last
                )
                self._calls.append(trim)
                return None
            case Delete():
                decide = _anyway if step.forced else lifecycle.delete()
                self._calls.append(self.harness.store.delete(TASK_IDS[step.task], decide))
                return None
            case Publish():
                return await self._publish(step)
            case Wind():
                self.harness.clock.wind(step.seconds)
                return None
            case Reopen():
                answers = await self._settle()
                before = self.harness.store
                if await self.harness.reopen() is not before:
                    self.harness.store.listen(self._note)
                return answers
            case _:
                return [await self._settle(), await self._everything()]

    def _create(self, step: Create) -> asyncio.Future[Created]:
        key = None
        if step.key is not None:
            key = IdempotencyKey("local", "ann", f"key {step.key}", f"body {step.body}")
        return self.harness.store.create(
            [self._new(task) for task in step.tasks], key=key, limits={"layout": step.limit}
        )

    def _new(self, task: int) -> TaskRecord:
        return self.harness.new_record(
            task_id=TASK_IDS[task],
            title=["One", "Two", None][task],
            kind=["layout", "train", "layout"][task],
            priority=task % 2,
            tags=("x", "y")[:task],
        )

    def _note(self, events: Sequence[Announcement]) -> None:
        self._told += [
            event if isinstance(event, TaskDeleted) else _plain_event(event) for event in events
        ]

    def _decide(self, step: Write) -> Decide:
        now, attempt = self.harness.clock.now(), step.attempt
        error = TaskError(error="no", error_type="E", code="raised")
        return {
            "create": lifecycle.create(self._new(step.task)),
            "start": self.harness.start(),
            "say": say("a", "b", attempt=attempt),
            "complete": lifecycle.complete(attempt, now, result={"x": [1]}),
            "fail": lifecycle.fail(attempt, now, error),
            "cancel": lifecycle.cancel(None, now),
            "stop": lifecycle.stop(attempt, now),
            "interrupt": lifecycle.interrupt(attempt, now, reason="lost", message="gone"),
            "retry": _retry_what_is_over,
        }[step.command]

    async def _publish(self, step: Publish) -> Any:
        # Whether it passes the fence depends on what is committed: everything, in both.
        answers = await self._settle()
        events = (progress(step.percent), stats(n=step.percent), place(step.percent + 1))
        event = events[step.percent % 3]
        published = self.harness.store.publish(TASK_IDS[step.task], step.attempt, event)
        return answers, published and _plain_event(published)

    async def _settle(self) -> list[Any]:
        results = await asyncio.gather(*self._calls, return_exceptions=True)
        self._calls.clear()
        told, self._told[:] = list(self._told), []
        return [told, *map(_plain_result, results)]

    async def _everything(self) -> list[Any]:
        store = self.harness.store
        answers: list[Any] = [await store.waiting()]
        answers += [_plain_record(record) for record in await store.abandoned()]
        answers.append(await store.finished(limit=2))
        answers.append(await store.finished(kind="layout", limit=2))
        answers.append(replace(await store.usage(), bytes=0, unused_bytes=0))
        answers.append([await store.daily(where, 2) for where in FILTERS])
        for task_id in TASK_IDS:
            record = await store.get(task_id)
            if record is not None:
                answers.append(_plain_record(record))
                for after in (START, Position(2), Position(50), record.head):
                    answers.append(await _answer(store, task_id, after))
        answers += [await self._changes(where) for where in FEEDS]
        for where in FILTERS:
            page = await store.tasks(where, limit=2)
            answers.append(([_plain_record(record) for record in page.records], page.next))
        return answers

    async def _changes(self, where: FeedFilter) -> Any:
        """What became of each task since this was asked last; how it is paged may differ."""
        told: dict[str, Any] = {}
        resets = []
        end = False
        while not end:
            page = await self.harness.store.changes(where, after=self._cursors[where], limit=2)
            for task in page.tasks:
                told[task.task_id] = _plain_record(task) if isinstance(task, TaskRecord) else task
            self._cursors[where], end = str(page.cursor), page.end
            resets.append(page.reset)
        return sorted(told.items()), any(resets)


def _anyway(record: TaskRecord | None) -> lifecycle.Decision:
    return lifecycle.Decision(record) if record else lifecycle.delete()(record)


def _retry_what_is_over(record: TaskRecord | None) -> lifecycle.Decision:
    if record is None or not record.status.is_over:
        raise ValueError("it is not over")
    return retry(record)


async def _answer(store: Store, task_id: str, after: Position) -> Any:
    try:
        page: LogPage = await store.read(task_id, after, 3)
    except PositionGone as error:
        return repr(error)
    events = [_plain_event(event) for event in page.events]
    latest = {key: _plain_event(event) for key, event in page.latest.items()}
    return events, page.end, page.final, latest, page.head.seq


def _plain_result(result: Any) -> Any:
    match result:
        case Commit(record, events):
            return _plain_record(record), [_plain_event(event) for event in events]
        case Created(records, events, fresh):
            plain = [_plain_record(record) for record in records]
            return plain, [_plain_event(event) for event in events], fresh
        case TaskRecord():
            return _plain_record(result)
        case int():
            # Epochs differ, but not in length; revs are not logged.
            return result
        case _:
            return repr(result)


def _plain_record(record: TaskRecord) -> Any:
    """Without epochs and revs."""
    latest = {key: _plain_event(event) for key, event in record.latest.items()}
    plain = replace(
        record,
        head=Position(record.head.seq),
        runner="somebody" if record.runner else None,
        latest={},
    )
    return plain, latest


def _plain_event(event: LoggedEvent | VolatileEvent) -> Any:
    body = body_of(event)
    body.pop("epoch", None)
    body.pop("rev", None)
    return body, event.attempt, event.event_type, getattr(event, "final", None)
