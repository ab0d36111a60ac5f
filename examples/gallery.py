"""Every example kind on one application: taskpush serve examples.gallery:push"""

from __future__ import annotations

import asyncio
from collections import Counter

from pydantic import BaseModel, ConfigDict, Field

from examples.satellite.task import layout
from taskpush import TaskContext, TaskPush

push = TaskPush(default_kind="layout")
push.task(
    "layout",
    process=True,
    resume="auto",
    size=lambda params: params["max_iterations"],
    description="Place a satellite's equipment so that its hottest box stays cool.",
)(layout)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CountdownParams(_Record):
    seconds: float = Field(default=10.0, ge=0, le=86_400, description="Duration of the whole")
    steps: int = Field(default=10, ge=1, le=100_000)


class CountdownResult(_Record):
    steps: int


@push.task("countdown", size=lambda params: max(params["seconds"], 0.001))
async def countdown(ctx: TaskContext, params: CountdownParams) -> CountdownResult:
    """An `async def` handler that waits: it shows the live view without any load."""
    for step in range(1, params.steps + 1):
        await asyncio.sleep(params.seconds / params.steps)
        left = params.steps - step
        await ctx.progress(step, params.steps, unit="step", message=f"{left} to go")
        await ctx.log("step done", step=step, left=left)
    return CountdownResult(steps=params.steps)


class WordCountParams(_Record):
    text: str = Field(default="the quick brown fox jumps over the lazy dog", max_length=1_000_000)
    top: int = Field(default=5, ge=1, le=100, description="How many of the commonest to return")


class WordCount(_Record):
    word: str
    count: int


class WordCountResult(_Record):
    total: int
    distinct: int
    commonest: list[WordCount]


@push.task("word_count")
def word_count(ctx: TaskContext, params: WordCountParams) -> WordCountResult:
    """A plain `def` handler: it runs in a thread and calls the context without `await`."""
    lines = params.text.splitlines()
    ctx.logger.info("counting the words of %d lines", len(lines))
    counts: Counter[str] = Counter()
    for line in ctx.track(lines, description="Counting"):
        counts.update(line.lower().split())
    return WordCountResult(
        total=counts.total(),
        distinct=len(counts),
        commonest=[WordCount(word=w, count=n) for w, n in counts.most_common(params.top)],
    )


class FailParams(_Record):
    message: str = Field(default="this task fails on purpose", min_length=1, max_length=1000)
    after_iterations: int = Field(default=3, ge=0, le=1000)


@push.task("fail")
def fail(ctx: TaskContext, params: FailParams) -> None:
    """Fails after some iterations, to show what a failure looks like."""
    for iteration in range(1, params.after_iterations + 1):
        ctx.progress(iteration, params.after_iterations + 1, unit="iteration")
        ctx.iteration(iteration, metrics={"remaining": params.after_iterations - iteration})
    raise ValueError(params.message)
