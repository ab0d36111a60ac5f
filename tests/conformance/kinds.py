"""Kinds whose tasks end at once, so that there are some in every state to ask about."""

from __future__ import annotations

from taskpush import TaskContext, TaskPush

push = TaskPush(default_kind="quick")
push.kind("outside", external=True)


@push.task("quick", concurrency=100)
async def quick(ctx: TaskContext) -> str:
    """Completes, and leaves a file."""
    await ctx.iteration(1, metrics={"score": 0.5})
    await ctx.artifact("notes.txt", "done")
    return "done"


@push.task("fail", concurrency=100)
async def fail(ctx: TaskContext) -> None:
    """Fails."""
    raise ValueError(f"on purpose, in attempt {ctx.attempt}")


@push.task("narrow", concurrency=1, queue_limit=1)
async def narrow(ctx: TaskContext) -> None:
    """Completes; one may wait."""
    await ctx.log("here")
