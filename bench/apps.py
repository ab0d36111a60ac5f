"""The taskpush application that is measured: its kinds report through the public API."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from bench.event import DEFAULT_SIZE_BYTES, metrics, now_us
from taskpush import TaskContext, TaskPush

LINGER_S = 0.5
"""So that the end of a task falls outside what is measured."""

push = TaskPush()


class Flow(BaseModel):
    """So many events, `rate_hz` a second (0: one after the other), from `start_us` on."""

    events: int = Field(ge=0)
    rate_hz: float = Field(default=0, ge=0)
    start_us: int = 0
    size_bytes: int = DEFAULT_SIZE_BYTES


@push.task("flow", concurrency=20_000)
async def flow(ctx: TaskContext, params: Flow) -> None:
    """Iterate, each committed before the next."""
    for i in range(params.events):
        due_us = params.start_us + (i * 1e6 / params.rate_hz if params.rate_hz else 0)
        if (wait_us := due_us - now_us()) > 0:
            await asyncio.sleep(wait_us / 1e6)
        await ctx.iteration(i + 1, metrics=metrics(params.size_bytes))
    await asyncio.sleep(LINGER_S)


@push.task("nothing", concurrency=100)
async def nothing(ctx: TaskContext) -> None:
    """Do nothing, for the measurement of creates."""
