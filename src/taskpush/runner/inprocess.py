"""The embedded runner: queues and slots per kind, one owned asyncio task per attempt."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from typing_extensions import override

from taskpush.clock import Clock
from taskpush.models.events import Status
from taskpush.runner.attempt import Attempt, Workshop, broken
from taskpush.runner.base import Runner
from taskpush.runner.recorder import DEFAULT_LOG_BUDGET, LogBudget
from taskpush.runner.registry import KindSpec, Registry
from taskpush.store.base import Store, Waiting
from taskpush.store.blobs import Blobs
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AttemptBroken, HandlerLeftBehind, KindMissing

LAST_WRITES_S: Final = 5.0
"""How long `stop` waits, after its deadline, for the outcomes of what was let go."""


@dataclass(slots=True)
class _Queue:
    """The waiting tasks of one kind: as many as the store holds pending, so bounded by it."""

    spec: KindSpec
    # Lowest first: (-priority, order of announcement, task id).
    entries: list[tuple[int, int, str]] = field(default_factory=list)
    running: int = 0

    def next(self) -> str | None:
        """Take out who is next, if a slot is free."""
        if not self.entries or self.running >= self.spec.concurrency:
            return None
        return heapq.heappop(self.entries)[2]


class InProcessRunner(Runner):
    """Runs tasks on this event loop, in threads and in child processes of this process."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        blobs: Blobs,
        telemetry: Telemetry,
        clock: Clock,
        *,
        strict_reporting: bool = False,
        process_env: Mapping[str, str] | None = None,
        grace_s: float = 5.0,
        log_budget: LogBudget = DEFAULT_LOG_BUDGET,
    ) -> None:
        self._workshop = Workshop(
            store=store,
            blobs=blobs,
            telemetry=telemetry,
            clock=clock,
            strict_reporting=strict_reporting,
            process_env=dict(process_env or {}),
            grace_s=grace_s,
            log_budget=log_budget,
        )
        self._registry = registry
        self._telemetry = telemetry
        # Whether tasks are queued, and whether they are started.
        self._accepting = False
        self._working = False
        self._queues: dict[str, _Queue] = {}
        self._order = itertools.count()
        # So that a handler sees nothing of the request that submitted it.
        self._context = contextvars.copy_context()
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        # Attempts whose handler did not stop: held, so that it is not collected half-way.
        self._left_behind: list[Attempt] = []

    @override
    async def start(self, waiting: Sequence[Waiting]) -> None:
        self._accepting = True
        for task in waiting:
            self._enqueue(task.task_id, task.kind, task.priority)
        await self._workshop.blobs.sweep()
        self._working = self._accepting
        for queue in self._queues.values():
            self._fill(queue)

    @override
    def submit(self, task_id: str, kind: str, priority: int) -> None:
        if self._accepting and (queue := self._enqueue(task_id, kind, priority)):
            self._fill(queue)

    @override
    def cancel(self, task_id: str) -> None:
        for attempt in self._attempts.values():
            if attempt.task_id == task_id:
                attempt.cancel()

    @override
    async def stop(self, deadline_s: float) -> int:
        self._accepting = self._working = False
        self._queues.clear()
        attempts = dict(self._attempts)
        for attempt in attempts.values():
            attempt.stop()
        if attempts:
            _, late = await asyncio.wait(attempts, timeout=deadline_s)
            for task in late:
                attempts[task].let_go()
            if late:
                await self._settle(late)
        return sum(each.outcome is Status.INTERRUPTED for each in attempts.values())

    @override
    def running(self) -> Sequence[str]:
        return [attempt.task_id for attempt in self._attempts.values()]

    async def _settle(self, late: set[asyncio.Task[None]]) -> None:
        """Wait for the outcomes of attempts that were let go; end those that the store holds up."""
        _, stuck = await asyncio.wait(late, timeout=LAST_WRITES_S)
        for task in stuck:
            task.cancel()
        if stuck:
            await asyncio.wait(stuck)

    def _enqueue(self, task_id: str, kind: str, priority: int) -> _Queue | None:
        spec = self._registry.get(kind)
        if spec is None:
            # It stays pending: a server that knows the kind again takes it up.
            self._telemetry.emit(KindMissing(task_id, kind))
            return None
        queue = self._queues.setdefault(kind, _Queue(spec))
        heapq.heappush(queue.entries, (-priority, next(self._order), task_id))
        return queue

    def _fill(self, queue: _Queue) -> None:
        """Start attempts while there are free slots."""
        while self._working and (task_id := queue.next()) is not None:
            queue.running += 1
            attempt = Attempt(self._workshop, task_id, queue.spec)
            task = asyncio.get_running_loop().create_task(
                self._run(attempt), name=f"attempt at {task_id}", context=self._context.copy()
            )
            self._attempts[task] = attempt
            task.add_done_callback(partial(self._ended, queue))

    async def _run(self, attempt: Attempt) -> None:
        try:
            await attempt.run()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the others
            self._telemetry.emit(AttemptBroken(attempt.task_id, broken(error)))

    def _ended(self, queue: _Queue, task: asyncio.Task[None]) -> None:
        attempt = self._attempts.pop(task)
        if attempt.let_go_unfinished:
            self._left_behind.append(attempt)
            self._telemetry.emit(HandlerLeftBehind(attempt.task_id, queue.spec.name))
        queue.running -= 1
        self._fill(queue)
