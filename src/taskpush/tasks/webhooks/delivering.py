"""Delivers the events of tasks to their webhooks: in order, each at least once, over restarts.

The log of a task is what waits; beside it is only kept how far each webhook has come. So a task
without webhooks costs nothing, and one with some a write per delivery, not per event.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import Task, TimerHandle
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from taskpush.clock import Clock
from taskpush.core.webhooks import Answer, after_answer, sent_again
from taskpush.errors import NotFound, PositionGone, StoreUnavailable
from taskpush.models.feed import Change, How, Mark, Tombstone
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.models.webhooks import DeliveryState, Hooked, Webhook
from taskpush.store.base import Store
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import WebhookDelivered, WebhookFailed

MOST: Final = 64
"""Deliveries under way at once."""
MOST_PER_HOST: Final = 4
"""Of them to one host: a receiver that takes its time holds up nobody else's."""
FEW: Final = 4
PAGE: Final = 200
"""Events that are read at once: of a log of which all are sent, and beyond what is not."""
STORE_AGAIN_S: Final = 1.0
"""When the store could not be read or written."""


class Sends(Protocol):
    """As `Sender.send`."""

    async def __call__(self, url: str, event: LoggedEvent) -> Answer: ...


@dataclass(eq=False, slots=True)
class _Line:
    """One webhook of one task."""

    task: _Hooks
    webhook: Webhook
    host: str
    state: DeliveryState
    # Up to here the log holds nothing that is still to be sent.
    looked_at: int = 0
    # It stands in line for its host, or is at work.
    busy: bool = False
    # None unless it waits for its next try.
    timer: TimerHandle | None = None


@dataclass(eq=False, slots=True)
class _Hooks:
    """A task with webhooks of which something is left to deliver, or will be."""

    task_id: str
    lines: list[_Line] = field(default_factory=list)
    # The log's head, as far as it is known.
    head: int = 0
    over: bool = False

    @property
    def is_at_rest(self) -> bool:
        """Whether everything up to the head was sent, or never will be."""
        return all(line.state.gone or line.looked_at >= self.head for line in self.lines)


class Deliverer:
    """Sends what is due, a bounded number at once.

    `on_change` is to follow the store; nothing is sent between `close` and `start`.
    """

    def __init__(
        self,
        store: Store,
        send: Sends,
        clock: Clock,
        telemetry: Telemetry,
        *,
        schedule: Sequence[timedelta],
        most: int = MOST,
        most_per_host: int = MOST_PER_HOST,
    ) -> None:
        self._store = store
        self._send = send
        self._clock = clock
        self._telemetry = telemetry
        self._schedule = tuple(schedule)
        self._most = most
        self._most_per_host = most_per_host
        self._tasks: dict[str, _Hooks] = {}
        # Of each host, who waits; and the hosts for whom one more may be sent.
        self._waiting: dict[str, deque[_Line]] = {}
        self._free_hosts: dict[str, None] = {}
        self._at_work: Counter[str] = Counter()
        self._works: set[Task[None]] = set()
        self._running = False

    async def start(self) -> None:
        """Go on where the process before was."""
        self._running = True
        for hooked in await self._store.undelivered():
            self._take(hooked)

    async def close(self) -> None:
        """End what is under way: it is sent again after the next start."""
        self._running = False
        for task_id in tuple(self._tasks):
            self._drop(task_id)
        works = tuple(self._works)
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)

    def on_change(self, changes: Sequence[Change], _mark: Mark) -> None:
        """Note what there is to send; see `Store.follow`."""
        for change in changes:
            task = change.task
            if isinstance(task, Tombstone):
                self._drop(task.task_id)
            elif task.webhooks and self._running:
                self._notice(task, change.how)

    async def redeliver(self, task_id: str, number: int, after: int) -> Hooked:
        """Send what follows an event again, by one of the task's webhooks.

        Raises `NotFound` for an unknown task or webhook.
        """
        hooked = await self._store.hooked(task_id)
        if hooked is None or number >= len(hooked.webhooks):
            raise NotFound("the task has no such webhook")
        # Those who are at work know better how far they have come.
        known = self._tasks.get(task_id)
        states = list(hooked.states if known is None else [line.state for line in known.lines])
        states[number] = sent_again(states[number], after)
        self._drop(task_id)
        await self._store.deliver(task_id, states)
        self._drop(task_id)
        again = hooked._replace(states=tuple(states))
        self._take(again)
        return again

    def _notice(self, record: TaskRecord, how: How) -> None:
        hooks = self._tasks.get(record.task_id)
        if hooks is None:
            if how is How.CREATED:
                states = tuple(DeliveryState() for _ in record.webhooks)
                hooks = self._take(Hooked(record.task_id, record.webhooks, states))
            elif how is How.WRITTEN and not record.status.is_over:
                # A task that was done with has begun again.
                self._begin(self._find(record.task_id))
            else:
                return
        if hooks is None or (record.head.seq <= hooks.head and record.status.is_over == hooks.over):
            return
        hooks.head, hooks.over = record.head.seq, record.status.is_over
        for line in hooks.lines:
            # What leaves the record as it was is no status change.
            if how is not How.STIRRED or set(line.webhook.events) != {"status_change"}:
                self._queue(line)
        self._settle_soon(hooks)

    def _settle_soon(self, hooks: _Hooks) -> None:
        """Nobody works for a task all of whose receivers are gone."""
        if all(line.state.gone for line in hooks.lines):
            self._begin(self._try_to_settle(hooks))

    async def _find(self, task_id: str) -> None:
        with suppress(StoreUnavailable):
            hooked = await self._store.hooked(task_id)
            if hooked is not None and task_id not in self._tasks:
                self._take(hooked)

    def _take(self, hooked: Hooked) -> _Hooks:
        hooks = self._tasks[hooked.task_id] = _Hooks(hooked.task_id)
        for webhook, state in zip(hooked.webhooks, hooked.states, strict=True):
            host = urlsplit(webhook.url).netloc.lower()
            hooks.lines.append(_Line(hooks, webhook, host, state, state.seq))
        for line in hooks.lines:
            self._queue(line)
        self._settle_soon(hooks)
        return hooks

    def _drop(self, task_id: str) -> None:
        hooks = self._tasks.pop(task_id, None)
        for line in hooks.lines if hooks else ():
            if line.timer is not None:
                line.timer.cancel()
                line.timer = None

    def _queue(self, line: _Line) -> None:
        """Let it stand in line for its host, now or when its next try is due."""
        if line.busy or line.timer is not None or line.state.gone or not self._running:
            return
        wait_s = 0.0
        if line.state.next_try_at is not None:
            wait_s = (line.state.next_try_at - self._clock.now()).total_seconds()
        if wait_s > 0:
            self._queue_later(line, wait_s)
            return
        line.busy = True
        waiting = self._waiting.setdefault(line.host, deque())
        waiting.append(line)
        if len(waiting) == 1 and self._at_work[line.host] < self._most_per_host:
            self._free_hosts[line.host] = None
        self._let_work()

    def _queue_later(self, line: _Line, wait_s: float) -> None:
        def due() -> None:
            line.timer = None
            self._queue(line)

        line.timer = asyncio.get_running_loop().call_later(wait_s, due)

    def _let_work(self) -> None:
        """Begin with as many as may be under way, a host after the other."""
        while self._running and self._free_hosts and self._at_work.total() < self._most:
            host = next(iter(self._free_hosts))
            del self._free_hosts[host]
            waiting = self._waiting[host]
            line = waiting.popleft()
            self._at_work[host] += 1
            if not waiting:
                del self._waiting[host]
            elif self._at_work[host] < self._most_per_host:
                self._free_hosts[host] = None
            self._begin(self._work(line))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="taskpush-webhook")
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    async def _work(self, line: _Line) -> None:
        more, again_s = False, None
        try:
            if self._knows(line):
                more = await self._advance(line)
        except NotFound:
            self._drop(line.task.task_id)
        except StoreUnavailable:
            again_s = STORE_AGAIN_S
        finally:
            line.busy = False
            self._leave(line.host)
        if not self._knows(line):
            return
        if again_s is not None:
            self._queue_later(line, again_s)
        elif more or line.looked_at < line.task.head:
            self._queue(line)

    def _knows(self, line: _Line) -> bool:
        """Whether the line was not dropped, or replaced, meanwhile."""
        return self._running and self._tasks.get(line.task.task_id) is line.task

    def _leave(self, host: str) -> None:
        self._at_work[host] -= 1
        if not self._at_work[host]:
            del self._at_work[host]
        if host in self._waiting:
            self._free_hosts[host] = None
        self._let_work()

    async def _advance(self, line: _Line) -> bool:
        """Send the next event, and keep what came of it; False when there is none so far."""
        event = await self._next(line)
        if event is None:
            await self._settle(line.task)
            return False
        answer = await self._send(line.webhook.url, event)
        if self._knows(line):
            line.state = after_answer(
                line.state,
                event,
                answer,
                self._clock.now(),
                schedule=self._schedule,
                random=random.random,
            )
            self._tell(line, event, answer)
            await self._keep(line.task)
            if line.state.gone:
                await self._settle(line.task)
        return True

    async def _next(self, line: _Line) -> LoggedEvent | None:
        """The next event for the webhook; None when there is none so far."""
        place, limit = max(line.looked_at, line.state.seq), FEW
        while True:
            try:
                page = await self._store.read(line.task.task_id, Position(place), limit)
            except PositionGone as gone:
                # Its log was trimmed in the meantime: what is left of it is sent.
                place = gone.oldest - 1
                continue
            for event in page.events:
                if event.event_type.value in line.webhook.events:
                    return event
            # Those that are not sent are passed over in larger steps.
            limit = PAGE
            place = line.looked_at = page.events[-1].seq if page.events else place
            if page.end:
                line.task.head = max(line.task.head, place)
                return None

    async def _settle(self, task: _Hooks) -> None:
        """When the task is over and all was sent, keep that, and forget it."""
        if not task.is_at_rest:
            return
        record = await self._store.get(task.task_id)
        if record is None:
            raise NotFound
        task.head = max(task.head, record.head.seq)
        if not (record.status.is_over and task.is_at_rest):
            return
        for line in task.lines:
            if not line.state.gone:
                line.state = line.state.model_copy(update={"seq": line.looked_at})
        await self._keep(task)
        # What came meanwhile has made the head another one.
        if task.head == record.head.seq and self._tasks.get(task.task_id) is task:
            self._drop(task.task_id)

    async def _try_to_settle(self, task: _Hooks) -> None:
        # It is tried again when the task changes, and at the next start.
        with suppress(NotFound, StoreUnavailable):
            await self._settle(task)

    async def _keep(self, task: _Hooks) -> None:
        await self._store.deliver(task.task_id, [line.state for line in task.lines])

    def _tell(self, line: _Line, event: LoggedEvent, answer: Answer) -> None:
        delivery = line.state.deliveries[-1]
        if answer.is_taken:
            self._telemetry.emit(
                WebhookDelivered(event.task_id, event.seq, line.host, delivery.tries)
            )
        else:
            given_up = delivery.outcome == "given_up"
            error = answer.problem or ""
            self._telemetry.emit(
                WebhookFailed(event.task_id, event.seq, line.host, delivery.tries, error, given_up)
            )
