"""What a server start finds: tasks that were running, and deletions that were not finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.core.producing import is_reported
from taskpush.models.task import TaskRecord
from taskpush.runner.registry import Registry
from taskpush.store.base import Store
from taskpush.store.blobs import Blobs

RESUMED_FROM: Final = frozenset({"server_stopped", "worker_lost"})
"""Why a task may be interrupted and yet nobody wanted it to stop."""


async def reported_tasks(store: Store) -> Sequence[TaskRecord]:
    """The running tasks whose producers are outside, and may have outlived the server."""
    return [record for record in await store.abandoned() if is_reported(record)]


async def settle_abandoned(store: Store, clock: Clock) -> int:
    """Make every running task whose server is gone `interrupted`; returns how many there were.

    Those that were interrupted too often are `failed` instead. Those that producers outside the
    server report are left alone: whether these are gone is not known as yet.
    """
    abandoned = [record for record in await store.abandoned() if not is_reported(record)]
    writes = [
        store.write(
            record.task_id,
            lifecycle.interrupt(
                record.attempt,
                clock.now(),
                reason="server_stopped",
                message="The server stopped while the task was running",
            ),
            synced=True,
        )
        for record in abandoned
    ]
    for write in writes:
        await write
    return len(abandoned)


async def remove_orphans(store: Store, blobs: Blobs) -> int:
    """Remove the files of tasks that were deleted, and uploads that the store does not know.

    A server may be killed between the commit of a deletion and the removal of the files, or
    between an upload's last byte and its commit. Returns of how many there were any.
    """
    orphans = await store.missing(await blobs.task_ids())
    for task_id in orphans:
        await blobs.remove(task_id)
    kept = await blobs.upload_ids()
    unknown = kept - (await store.uploads(kept)).keys() if kept else set()
    await blobs.remove_uploads(unknown)
    return len(orphans) + len(unknown)


async def resume_interrupted(store: Store, registry: Registry) -> int:
    """Make tasks of kinds with `resume="auto"` pending again; returns how many there were.

    Those whose server or worker went away, not those that somebody stopped. To be called before
    `store.waiting`, which gives them in their old order.
    """
    kinds = [spec.name for spec in registry.kinds() if spec.resume == "auto"]
    found = await store.interrupted(kinds) if kinds else []
    message = "Resumed after the server stopped"
    writes = [
        store.write(
            record.task_id,
            lifecycle.retry(record.attempt, by_hand=False, message=message),
            synced=True,
        )
        for record in found
        if record.reason in RESUMED_FROM
    ]
    for write in writes:
        await write
    return len(writes)
