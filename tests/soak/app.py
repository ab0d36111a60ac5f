"""The kinds of the tests, and one that counts what the server's process holds."""

from __future__ import annotations

import asyncio
import gc

from taskpush import TaskContext
from tests.support.kinds import push

__all__ = ["push"]


@push.task("census")
async def census(ctx: TaskContext) -> dict[str, int]:
    """How many asyncio tasks there are beside its own, and how many objects."""
    gc.collect()
    return {"asyncio_tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
