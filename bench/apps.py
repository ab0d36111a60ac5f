"""The taskpush application that is measured: its kinds report through the public API."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from pydantic import BaseModel, Field

from bench.event import DEFAULT_SIZE_BYTES, metrics, now_us
from taskpush import TaskContext, TaskPush

push = TaskPush()


class Flow(BaseModel):
    """Events for each of `channels`: as `bench.adapters.base.Flow`."""

    channels: list[str]
    events: int = Field(ge=0)
    rate_hz: float = Field(default=0, ge=0)
    start_us: int = 0
    size_bytes: int = DEFAULT_SIZE_BYTES
    stagger_us: float = 0


# The flows that each running channel still has to send, with the moment of the first event.
flows: defaultdict[str, asyncio.Queue[tuple[Flow, float]]] = defaultdict(asyncio.Queue)


@push.task("channel", concurrency=20_000)
async def channel(ctx: TaskContext) -> None:
    """Iterate as told, each iteration committed before the next; until cancelled."""
    while True:
        flow, start_us = await flows[ctx.task_id].get()
        for i in range(flow.events):
            due_us = start_us + (i * 1e6 / flow.rate_hz if flow.rate_hz else 0)
            if (wait_us := due_us - now_us()) > 0:
                await asyncio.sleep(wait_us / 1e6)
            await ctx.iteration(i + 1, metrics=metrics(flow.size_bytes))


@push.task("flow", concurrency=100)
async def flow(ctx: TaskContext, params: Flow) -> None:
    """Have the channels send."""
    for i, name in enumerate(params.channels):
        flows[name].put_nowait((params, params.start_us + i * params.stagger_us))


@push.task("nothing", concurrency=100)
async def nothing(ctx: TaskContext) -> None:
    """Do nothing, for the measurement of creates."""
