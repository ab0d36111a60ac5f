"""Kinds that say when they called: `called_at` is a metric, in seconds since 1970."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, cast

from examples.satellite.task import LayoutParams, LayoutResult, layout
from taskpush import TaskContext, TaskPush
from tests.support.kinds import IterateParams

push = TaskPush(default_kind="iterate")


@push.task("iterate", concurrency=10)
async def iterate(ctx: TaskContext, params: IterateParams) -> None:
    """An async job that iterates."""
    for i in range(1, params.iterations + 1):
        await asyncio.sleep(params.pause_s)
        ctx.progress(i, params.iterations, unit="iteration")
        await ctx.iteration(i, metrics={"max_temp": 60 - i / 10, "called_at": time.time()})


@push.task("layout", process=True)
def clocked_layout(ctx: TaskContext, params: LayoutParams) -> LayoutResult:
    """The example, with the time of each call beside what it reports."""
    return layout(cast("TaskContext", _Clocked(ctx)), params)


class _Clocked:
    """A context that adds the time to what an iteration reports."""

    def __init__(self, ctx: TaskContext) -> None:
        self._ctx = ctx

    def iteration(self, i: int, metrics: Mapping[str, float]) -> None:
        self._ctx.iteration(i, metrics={**metrics, "called_at": time.time()})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)
