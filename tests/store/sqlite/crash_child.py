"""A process to be killed: writes for ever, and says on stdout what was acknowledged.

`python -m tests.store.sqlite.crash_child PATH` prints `task_id seq sha256` for every acknowledged
event; with `--marked` it makes some writes one by one, each between two lines `begin KIND` and
`end KIND`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.ids import new_task_id
from taskpush.models.task import LoggedEvent, TaskRecord
from taskpush.store.sqlite.store import SqliteStore
from taskpush.telemetry.bus import Telemetry
from tests.store.harness import progress, say

MARKED_WRITES = 5


def digest_of(event: LoggedEvent) -> str:
    """What tells an event from any other."""
    return hashlib.sha256(event.body).hexdigest()


async def _live(store: SqliteStore, number: int) -> None:
    """Create a task and report on it until the kill; every seventh write is synced."""
    now = SystemClock().now()
    record = TaskRecord(new_task_id(), "layout", "local", "ann", {"number": number}, now)
    decisions = [lifecycle.create(record), lifecycle.start(store.epoch, now)]
    step = 0
    while True:
        decide = decisions[step] if step < len(decisions) else say(f"{number}.{step}", "again")
        commit = await store.write(record.task_id, decide, synced=(step + number) % 7 == 0)
        _say("".join(f"{e.task_id} {e.seq} {digest_of(e)}\n" for e in commit.events))
        if step % 5 == 4:
            store.publish(record.task_id, 1, progress(step % 100))
        step += 1


async def _write_marked(store: SqliteStore) -> None:
    now = SystemClock().now()
    record = TaskRecord(new_task_id(), "layout", "local", "ann", {}, now)
    await store.write(record.task_id, lifecycle.create(record))
    await store.write(record.task_id, lifecycle.start(store.epoch, now))
    for kind in ("synced", "unsynced", "nothing") * MARKED_WRITES:
        _say(f"begin {kind}\n")
        decide = lifecycle.report(1, ()) if kind == "nothing" else say("marked")
        await store.write(record.task_id, decide, synced=kind != "unsynced")
        _say(f"end {kind}\n")


def _say(text: str) -> None:
    os.write(1, text.encode())


async def _main(path: Path, *, marked: bool) -> None:
    store = SqliteStore(path, clock=SystemClock(), telemetry=Telemetry(), flush_after_s=0.01)
    await store.open()
    if marked:
        await _write_marked(store)
    else:
        await asyncio.gather(*(_live(store, number) for number in range(8)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), marked="--marked" in sys.argv))
