"""What a server start finds: tasks that were running when their server died."""

from __future__ import annotations

from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.store.base import Store


async def settle_abandoned(store: Store, clock: Clock) -> int:
    """Make every running task whose server is gone `interrupted`; returns how many there were."""
    abandoned = await store.abandoned()
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
