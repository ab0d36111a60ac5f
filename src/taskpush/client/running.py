"""A task from its creation to its result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from taskpush.client.errors import WaitTimeout
from taskpush.client.events import WatchItem
from taskpush.client.progress import Display
from taskpush.client.task import Task


class Runner(Protocol):
    """What it takes of a client."""

    async def create_task(self, kind: str, params: Mapping[str, Any], /) -> Task: ...

    def watch(self, task_id: str, /) -> AsyncGenerator[WatchItem, None]: ...

    async def get_task_result(self, task_id: str, /) -> Any: ...


async def run_shown(
    client: Runner,
    kind: str,
    params: Mapping[str, Any],
    display: Display,
    timeout_s: float | None,
) -> Any:
    """What the task returned; raises as `AsyncClient.run` does."""
    task = await client.create_task(kind, params)
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            async with aclosing(client.watch(task.task_id)) as items:
                async for item in items:
                    display.show(item)
            return await client.get_task_result(task.task_id)
    except TimeoutError:
        if timeout_s is None or not limit.expired():
            raise
        raise WaitTimeout(task.task_id, timeout_s) from None
