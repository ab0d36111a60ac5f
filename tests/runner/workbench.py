"""A runner with everything around it, and what a test asks of it. No mocks: the shipped parts."""

from __future__ import annotations

import asyncio
import os
import select
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from typing_extensions import override

from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.ids import new_task_id
from taskpush.models.events import Status
from taskpush.models.task import TaskRecord
from taskpush.runner.inprocess import InProcessRunner
from taskpush.runner.kind import Handler
from taskpush.runner.registry import Registry
from taskpush.store.base import Announcement, TaskDeleted, Waiting
from taskpush.store.batch import Batch
from taskpush.store.blobs import Blobs
from taskpush.store.memory.store import MemoryStore
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import TelemetryEvent
from tests.runner.kinds import Style, handler_for

PATIENCE_S = 20.0

every_style = pytest.mark.parametrize("style", list(Style))

Envelope = dict[str, Any]
Noticed = TypeVar("Noticed", bound=TelemetryEvent)


def wait_until_gone(pid: int, patience_s: float = PATIENCE_S) -> None:
    """Wait until the process, whoever's child it is, has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([handle], [], [], patience_s)
    os.close(handle)
    assert ended, f"process {pid} is still at work after {patience_s} s"


class HeldStore(MemoryStore):
    """A memory store whose commits can be held up, or made to fail."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.broken = False

    @override
    async def _commit(self, batch: Batch) -> None:
        await self.flowing.wait()
        if self.broken:
            raise OSError("no space left")
        await super()._commit(batch)


class Workbench:
    """A memory store, a runner, and a record of all that was committed, published and noticed."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.noticed: list[TelemetryEvent] = []
        self.telemetry = Telemetry(self._notice)
        self.clock = SystemClock()
        self.store = HeldStore(clock=self.clock, telemetry=self.telemetry)
        self.registry = Registry()
        self.blobs = Blobs(folder)
        self.options = options
        self._envelopes: defaultdict[str, list[Envelope]] = defaultdict(list)
        self._over: set[str] = set()
        self._news = asyncio.Event()

    async def open(self, **options: Any) -> None:
        """Open the store and start the runner, with whatever is registered by then or later."""
        await self.store.open()
        self.store.listen(self._note)
        self.runner = InProcessRunner(
            self.store,
            self.registry,
            self.blobs,
            self.telemetry,
            self.clock,
            **{**self.options, **options},
        )
        await self.runner.start(await self.store.waiting())

    async def close(self) -> None:
        self.store.flowing.set()
        await self.runner.stop(0.5)
        await self.store.close()

    def kind(self, handler: Handler, **options: Any) -> str:
        """Register `handler` under its name."""
        name = handler.__name__
        self.registry.register(name, handler, **options)
        return name

    async def create(
        self,
        kind: str,
        params: Mapping[str, Any] | None = None,
        *,
        tenant: str = "t",
        owner: str = "o",
        **more: Any,
    ) -> str:
        """Commit a pending task."""
        task_id = new_task_id()
        record = TaskRecord(
            task_id=task_id,
            kind=kind,
            tenant=tenant,
            owner=owner,
            params=dict(params or {}),
            created_at=self.clock.now(),
            **more,
        )
        await self.store.write(task_id, lifecycle.create(record))
        return task_id

    async def submit(self, kind: str, params: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Commit a pending task and announce it."""
        task_id = await self.create(kind, params, **more)
        self.announce(await self.record(task_id))
        return task_id

    def announce(self, record: TaskRecord) -> None:
        """As the service does, once the pending task is committed."""
        self.runner.submit(Waiting.of(record))

    async def cancel(self, task_id: str) -> None:
        """As the service does: commit the wish, then tell the runner."""
        await self.store.write(task_id, lifecycle.cancel(None, self.clock.now()))
        self.runner.cancel(task_id)

    async def run(
        self, handler: Handler, params: Mapping[str, Any] | None = None, **options: Any
    ) -> TaskRecord:
        """Register, submit, and wait for the end."""
        return await self.over(await self.submit(self.kind(handler, **options), params))

    async def over(self, task_id: str) -> TaskRecord:
        """Wait until nothing executes the task any more."""
        await self.until(lambda: task_id in self._over)
        return await self.record(task_id)

    async def begun(self, task_id: str) -> None:
        """Wait until the handler has said a first thing, whatever it is."""
        await self.until(lambda: len(self.events(task_id)) > 2)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for a condition on what was committed, published or noticed."""
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                self._news.clear()
                await self._news.wait()

    def noticed_of(self, kind: type[Noticed]) -> list[Noticed]:
        """What telemetry was told of one type."""
        return [each for each in self.noticed if isinstance(each, kind)]

    async def idle(self) -> None:
        """Wait until every attempt is cleared away."""
        while attempts := list(self.runner._attempts):
            await asyncio.wait(attempts, timeout=PATIENCE_S)

    async def record(self, task_id: str) -> TaskRecord:
        record = await self.store.get(task_id)
        assert record is not None
        return record

    def events(self, task_id: str, *types: str) -> list[Envelope]:
        """The envelopes of one task, in the order in which listeners were told."""
        found = self._envelopes[task_id]
        return [each for each in found if not types or each["event_type"] in types]

    def data(self, task_id: str, event_type: str) -> list[dict[str, Any]]:
        return [each["data"] for each in self.events(task_id, event_type)]

    def logs(self, task_id: str, level: str | None = None) -> list[str]:
        """The messages of the `log` events."""
        found = self.data(task_id, "log")
        return [each["message"] for each in found if level in (None, each["level"])]

    def statuses(self, task_id: str) -> list[str]:
        return [each["status"] for each in self.data(task_id, "status_change")]

    def _notice(self, event: TelemetryEvent) -> None:
        self.noticed.append(event)
        self._news.set()

    def _note(self, events: Sequence[Announcement]) -> None:
        told = [each for each in events if not isinstance(each, TaskDeleted)]
        for envelope in (orjson.loads(each.body) for each in told):
            self._envelopes[envelope["task_id"]].append(envelope)
            if envelope["event_type"] == "status_change":
                self._mark(envelope["task_id"], Status(envelope["data"]["status"]))
        self._news.set()

    def _mark(self, task_id: str, status: Status) -> None:
        if status.is_over:
            self._over.add(task_id)
        else:
            self._over.discard(task_id)


def register(bench: Workbench, name: str, style: Style, **options: Any) -> str:
    """A kind whose handler runs in that style."""
    return bench.kind(handler_for(name, style), process=style is Style.PROCESS, **options)


async def begin(bench: Workbench, name: str, style: Style) -> str:
    """Submit, and wait until the handler has begun."""
    task_id = await bench.submit(register(bench, name, style))
    await bench.begun(task_id)
    return task_id
