"""The embedded runner: queues and slots per kind, one owned asyncio task per attempt."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import random as randomness
from asyncio import TimerHandle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from typing_extensions import override

from taskpush.clock import Clock
from taskpush.models.events import Status
from taskpush.runner.attempt import Attempt, broken
from taskpush.runner.base import Runner
from taskpush.runner.queues import Delays, Entry, KindQueue, Slot
from taskpush.runner.recorder import DEFAULT_LOG_BUDGET, LogBudget
from taskpush.runner.registry import Registry
from taskpush.runner.workshop import ExpectedTimes, Workshop, unknown_times
from taskpush.store.base import Store, Waiting
from taskpush.store.blobs import Blobs
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AttemptBroken, HandlerLeftBehind, KindMissing

RECHECK_S: Final = 1.0
"""Longest wait for a delayed task without another look at the wall clock, which may be set."""
LAST_WRITES_S: Final = 5.0
"""How long `stop` waits, after its deadline, for the outcomes of what was let go."""


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
        run_times: ExpectedTimes = unknown_times,
        random: Callable[[], float] = randomness.random,
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
            run_times=run_times,
            random=random,
        )
        self._registry = registry
        self._telemetry = telemetry
        # Whether tasks are queued, and whether they are started.
        self._accepting = False
        self._working = False
        self._queues: dict[str, KindQueue] = {}
        self._delays = Delays()
        # None while nothing is delayed.
        self._alarm: TimerHandle | None = None
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
            self.submit(task)
        await self._workshop.blobs.sweep()
        self._working = self._accepting
        for queue in self._queues.values():
            self._fill(queue)

    @override
    def submit(self, task: Waiting) -> None:
        spec = self._registry.get(task.kind)
        if not self._accepting or (spec is not None and spec.is_external):
            return
        order, now = next(self._order), self._workshop.clock.now()
        if task.run_at is not None and task.run_at > now:
            self._delays.put(task.run_at, order, task)
            self._look_at_the_clock()
        elif queue := self._enqueue(order, task):
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
        self._delays.clear()
        self._look_at_the_clock()
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

    def _look_at_the_clock(self) -> None:
        """Queue the delayed tasks that are due, and come back for the next."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        now = self._workshop.clock.now()
        # All of them first: among those that are due, priority decides.
        queues = [self._enqueue(order, task) for order, task in self._delays.due(now)]
        for queue in queues:
            if queue is not None:
                self._fill(queue)
        wait_s = self._delays.due_in_s(now)
        if wait_s is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(min(wait_s, RECHECK_S), self._look_at_the_clock)

    def _enqueue(self, order: int, task: Waiting) -> KindQueue | None:
        spec = self._registry.get(task.kind)
        if spec is None:
            # It stays pending: a server that knows the kind again takes it up.
            self._telemetry.emit(KindMissing(task.task_id, task.kind))
            return None
        queue = self._queues.setdefault(task.kind, KindQueue(spec))
        known = spec.concurrency_key == "owner" and task.owner
        key = spec.key_of(task.tenant, task.owner, {}) if known else None
        queue.put(Entry((-task.priority, order), task.task_id, key))
        return queue

    def _fill(self, queue: KindQueue) -> None:
        """Start attempts while there are free slots."""
        while self._working and (slot := queue.next()) is not None:
            attempt = Attempt(self._workshop, slot.entry.task_id, queue.spec)
            task = asyncio.get_running_loop().create_task(
                self._run(attempt, queue, slot),
                name=f"attempt at {attempt.task_id}",
                context=self._context.copy(),
            )
            self._attempts[task] = attempt
            task.add_done_callback(partial(self._ended, queue, slot))

    async def _run(self, attempt: Attempt, queue: KindQueue, slot: Slot) -> None:
        try:
            if await self._may_run(attempt, queue, slot):
                await attempt.run()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the others
            self._telemetry.emit(AttemptBroken(attempt.task_id, broken(error)))

    async def _may_run(self, attempt: Attempt, queue: KindQueue, slot: Slot) -> bool:
        """Whether no other task with the same key runs; else it waits for that one's end."""
        if queue.spec.concurrency_key is None or slot.key is not None:
            return True
        key = await attempt.key()
        return key is not None and queue.occupy(slot, key)

    def _ended(self, queue: KindQueue, slot: Slot, task: asyncio.Task[None]) -> None:
        attempt = self._attempts.pop(task)
        if attempt.let_go_unfinished:
            self._left_behind.append(attempt)
            self._telemetry.emit(HandlerLeftBehind(attempt.task_id, queue.spec.name))
        queue.leave(slot)
        self._fill(queue)
        if attempt.again is not None:
            self.submit(Waiting.of(attempt.again))
