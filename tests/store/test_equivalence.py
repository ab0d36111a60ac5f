"""Both adapters say the same, whatever happens to the tasks: one is the model of the other."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.errors import PositionGone
from taskpush.models.events import Status
from taskpush.models.position import START, Position
from taskpush.models.task import LoggedEvent, TaskError, TaskRecord, VolatileEvent
from taskpush.store.base import Commit, LogPage, Store, TaskFilter
from taskpush.store.memory import MemoryStore
from taskpush.store.sqlite import SqliteStore
from tests.store.harness import Harness, body_of, progress, retry, say, stats

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


TASKS = st.integers(0, len(TASK_IDS) - 1)
COMMANDS = ("create", "start", "say", "complete", "fail", "cancel", "stop", "interrupt", "retry")
STEPS = st.lists(
    st.builds(Write, TASKS, st.sampled_from(COMMANDS), st.integers(1, 2), st.booleans())
    | st.builds(Publish, TASKS, st.integers(1, 2), st.integers(0, 100))
    | st.builds(Settle)
    | st.builds(Reopen)
    | st.builds(Wind, st.integers(-5, 5)),
    max_size=40,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
        self._writes: list[asyncio.Future[Commit]] = []

    async def take(self, step: object) -> Any:
        """What the store answers, without what is random in it."""
        match step:
            case Write():
                write = self.harness.store.write(
                    TASK_IDS[step.task], self._decide(step), synced=step.synced
                )
                self._writes.append(write)
                return None
            case Publish():
                return await self._publish(step)
            case Wind():
                self.harness.clock.wind(step.seconds)
                return None
            case Reopen():
                answers = await self._settle()
                await self.harness.reopen()
                return answers
            case _:
                return [await self._settle(), await self._everything()]

    def _decide(self, step: Write) -> Decide:
        now, attempt = self.harness.clock.now(), step.attempt
        error = TaskError(error="no", error_type="E", code="raised")
        record = self.harness.new_record(
            task_id=TASK_IDS[step.task],
            title=["One", "Two", None][step.task],
            kind=["layout", "train", "layout"][step.task],
            priority=step.task % 2,
            tags=("x", "y")[: step.task],
        )
        return {
            "create": lifecycle.create(record),
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
        event = progress(step.percent) if step.percent % 2 else stats(n=step.percent)
        published = self.harness.store.publish(TASK_IDS[step.task], step.attempt, event)
        return answers, published and _plain_event(published)

    async def _settle(self) -> list[Any]:
        results = await asyncio.gather(*self._writes, return_exceptions=True)
        self._writes.clear()
        return [
            (_plain_record(result.record), [_plain_event(event) for event in result.events])
            if isinstance(result, Commit)
            else repr(result)
            for result in results
        ]

    async def _everything(self) -> list[Any]:
        store = self.harness.store
        answers: list[Any] = [await store.waiting()]
        answers += [_plain_record(record) for record in await store.abandoned()]
        for task_id in TASK_IDS:
            record = await store.get(task_id)
            if record is not None:
                answers.append(_plain_record(record))
                for after in (START, Position(2), Position(50), record.head):
                    answers.append(await _answer(store, task_id, after))
        for where in FILTERS:
            page = await store.tasks(where, limit=2)
            answers.append(([_plain_record(record) for record in page.records], page.next))
        return answers


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
