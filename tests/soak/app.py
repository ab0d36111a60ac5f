"""The kinds of the tests, and one that counts what the server's process holds."""

from __future__ import annotations

import asyncio
import gc

import apsw

from taskpush import TaskContext
from tests.support.kinds import push

__all__ = ["push"]


@push.task("census")
async def census(ctx: TaskContext) -> dict[str, int]:
    """How many asyncio tasks and objects there are, and the memory of SQLite's page caches."""
    gc.collect()
    return {
        "asyncio_tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
        "sqlite_bytes": apsw.status(apsw.SQLITE_STATUS_MEMORY_USED)[0],
    }
