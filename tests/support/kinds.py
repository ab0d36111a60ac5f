"""Kinds for tests: each does one thing that a test needs done."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from taskpush import TaskContext, TaskPush

push = TaskPush(default_kind="iterate")


class IterateParams(BaseModel):
    """How many iterations, how long each waits, and what it says beside them."""

    iterations: int = Field(default=20, ge=0, le=100_000)
    pause_s: float = Field(default=0, ge=0, le=60)
    log_every: int = Field(default=0, ge=0)


class IterateResult(BaseModel):
    """What 004's optimiser returned."""

    experiment_dir: str
    final_iteration: int
    num_components: int


@push.task("iterate", concurrency=500)
async def iterate(ctx: TaskContext, params: IterateParams) -> IterateResult:
    """An async job that iterates."""
    for i in range(1, params.iterations + 1):
        await asyncio.sleep(params.pause_s)
        ctx.progress(i, params.iterations, unit="iteration", message=f"iteration {i}")
        await ctx.iteration(i, metrics={"max_temp": 60 - i / 10, "min_clearance": 5.2})
        if params.log_every and i % params.log_every == 0:
            ctx.log(f"line {i}", iteration=i)
    return IterateResult(
        experiment_dir=f"experiments/run_{ctx.task_id}",
        final_iteration=params.iterations,
        num_components=5,
    )


class ComputeParams(BaseModel):
    """How long to compute, and a file that a worker touches while it lives."""

    seconds: float = 2
    heartbeat: str | None = None


def _compute(ctx: TaskContext, params: ComputeParams) -> int:
    """Keep a core busy with pure Python, which holds the interpreter's lock."""
    until = time.monotonic() + params.seconds
    turns = 0
    while time.monotonic() < until:
        sum(i * i for i in range(2000))
        turns += 1
        if turns % 50 == 0:
            ctx.progress(turns, unit="turn")
            if params.heartbeat:
                Path(params.heartbeat).write_text(str(time.time()), encoding="utf-8")
    return turns


@push.task("compute_thread")
def compute_thread(ctx: TaskContext, params: ComputeParams) -> int:
    """A CPU-bound job in a thread."""
    return _compute(ctx, params)


@push.task("compute_process", process=True, concurrency=4)
def compute_process(ctx: TaskContext, params: ComputeParams) -> int:
    """A CPU-bound job in a worker process."""
    return _compute(ctx, params)


class BlockParams(BaseModel):
    """How long to hold the event loop."""

    seconds: float = 1.5


@push.task("block")
async def block(ctx: TaskContext, params: BlockParams) -> None:
    """What nobody should do: block in an async handler."""
    time.sleep(params.seconds)  # noqa: ASYNC251 - blocking is what this kind is for


class FailParams(BaseModel):
    """What the error says."""

    message: str = "component battery does not fit"


@push.task("fail")
async def fail(ctx: TaskContext, params: FailParams) -> None:
    """A job that reports a little, then fails."""
    await ctx.iteration(1, metrics={"max_temp": 50.0})
    raise ValueError(params.message)


@push.task("awkward")
async def awkward(ctx: TaskContext) -> dict[str, int]:
    """A job that reports what cannot travel, and goes on."""
    await ctx.iteration(1, metrics={"good": 1.5, "nan": float("nan")})
    await ctx.iteration(2, metrics={"good": 2.5, "huge": 2**60})
    await ctx.iteration(3, metrics={"good": 3.5})
    return {"iterations": 3}


@push.task("files", concurrency=4)
def files(ctx: TaskContext) -> None:
    """A job that makes files, one of them twice."""
    ctx.artifact("layout.json", '{"version": 1}')
    ctx.artifact("page.html", "<script>alert(1)</script>", media_type="text/html")
    ctx.artifact("layout.json", '{"version": 2}')


@push.task("large_result")
async def large_result(ctx: TaskContext) -> dict[str, Any]:
    """A job whose result does not fit into an event."""
    return {"numbers": list(range(20_000))}


class SleepParams(BaseModel):
    """How long to wait."""

    seconds: float = 600


@push.task("sleep", concurrency=2)
async def sleep(ctx: TaskContext, params: SleepParams) -> None:
    """A job that waits, two at a time."""
    await ctx.log("sleeping")
    await asyncio.sleep(params.seconds)
