"""Commands: what was committed reaches the runner, whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from taskpush.access.principal import LOCAL
from taskpush.clock import SystemClock
from taskpush.models.commands import CreateTask
from taskpush.runner.base import Runner
from taskpush.runner.context import TaskContext
from taskpush.runner.registry import Registry
from taskpush.store.base import Waiting
from taskpush.store.blobs import Blobs
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.audit import AuditTrail
from taskpush.tasks.service import TaskService
from taskpush.telemetry.bus import Telemetry


class _Desk(Runner):
    """A runner that only notes what it is told."""

    def __init__(self) -> None:
        self.submitted: list[str] = []

    @override
    async def start(self, waiting: Sequence[Waiting]) -> None: ...

    @override
    def submit(self, task: Waiting) -> None:
        self.submitted.append(task.task_id)

    @override
    def cancel(self, task_id: str) -> None: ...

    @override
    async def stop(self, deadline_s: float) -> int:
        return 0

    @override
    def running(self) -> Sequence[str]:
        return []


async def _handler(ctx: TaskContext) -> None: ...


async def test_a_create_whose_caller_goes_away_still_reaches_the_runner(tmp_path: Path) -> None:
    registry, runner, clock = Registry(), _Desk(), SystemClock()
    registry.register("job", _handler)
    store = MemoryStore(clock=clock, telemetry=Telemetry())
    await store.open()
    audit = AuditTrail(store, clock, tmp_path / "keys.json")
    service = TaskService(store, registry, runner, clock, Blobs(tmp_path), audit)
    task_id = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
    creating = asyncio.create_task(service.create(LOCAL, CreateTask(kind="job", task_id=task_id)))
    await asyncio.sleep(0)
    creating.cancel()
    await asyncio.wait([creating])
    assert creating.cancelled()
    async with asyncio.timeout(60):
        while not runner.submitted:  # noqa: ASYNC110 - the runner is told by nobody who could say so
            await asyncio.sleep(0)
    assert runner.submitted == [task_id]
    assert await store.get(task_id) is not None
    await store.close()
