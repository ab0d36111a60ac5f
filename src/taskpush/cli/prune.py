"""`taskpush prune`: retention by hand, on the data folder of a server that does not run."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Never

import typer
from rich.console import Console
from rich.status import Status

from taskpush.cli.exits import ExitCode
from taskpush.cli.listing import show_pruned
from taskpush.cli.text import size
from taskpush.clock import SystemClock
from taskpush.core.retention import FinishedTask, Judge, Retention
from taskpush.errors import StoreLocked, TaskPushError
from taskpush.store.blobs import Blobs
from taskpush.store.sqlite.files import look_into
from taskpush.store.sqlite.store import SqliteStore
from taskpush.tasks.retention import Tally, Verdict, carry_out, verdicts
from taskpush.telemetry.bus import Telemetry, log_to

DATABASE: Final = "taskpush.db"

err = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(slots=True)
class Pruning:
    """One call of the command, and what it has done so far."""

    data: Path
    retention: Retention
    # None means all kinds.
    kind: str | None
    dry_run: bool
    by_kind: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))

    @property
    def database(self) -> Path:
        return self.data / DATABASE

    def file_bytes(self) -> int:
        """What the database takes, with what is not checkpointed yet."""
        paths = (self.database, self.database.with_name(f"{DATABASE}-wal"))
        return sum(path.stat().st_size for path in paths if path.exists())

    def note(self, removed: Iterable[Verdict]) -> None:
        for verdict in removed:
            self.by_kind[verdict.task.kind].add([verdict])

    def told(self) -> str:
        """How far it is."""
        tasks = sum(each.deleted + each.trimmed for each in self.by_kind.values())
        return f"{tasks:,} tasks, {size(sum(e.freed_bytes for e in self.by_kind.values()))}"


def prune(pruning: Pruning, *, json_lines: bool) -> None:
    """Remove what is beyond the limits, or say what that would be; ends with an exit code."""
    if not pruning.database.is_file():
        _refuse(f"{pruning.data} holds no tasks: there is no {DATABASE} in it")
    before = pruning.file_bytes()
    stopped = False
    try:
        with err.status("looking") as status:
            asyncio.run(_look(pruning, status) if pruning.dry_run else _remove(pruning, status))
    except StoreLocked as error:
        _refuse(f"{error.detail}: stop it first, or look with --dry-run")
    except TaskPushError as error:
        _refuse(error.detail)
    except KeyboardInterrupt:
        stopped = True
    show_pruned(
        _rows(pruning.by_kind),
        file_bytes=(before, pruning.file_bytes()),
        dry_run=pruning.dry_run,
        json_lines=json_lines,
    )
    if stopped:
        err.print("taskpush: stopped; what is beyond the limits can be pruned again", markup=False)
        raise typer.Exit(ExitCode.STOPPED)


async def _look(pruning: Pruning, status: Status) -> None:
    with look_into(pruning.database) as surveyor:

        async def finished(
            *,
            before: datetime | None = None,
            kind: str | None = None,
            after: FinishedTask | None = None,
            limit: int,
        ) -> Sequence[FinishedTask]:
            return surveyor.finished(before=before, kind=kind, after=after, limit=limit)

        blobs = Blobs(pruning.data)
        async for page in verdicts(finished, blobs, _judge(pruning), kind=pruning.kind):
            pruning.note(page)
            status.update(f"would go: {pruning.told()}")


async def _remove(pruning: Pruning, status: Status) -> None:
    telemetry = Telemetry(log_to(logging.getLogger("taskpush")))
    store = SqliteStore(pruning.database, clock=SystemClock(), telemetry=telemetry)
    blobs = Blobs(pruning.data)
    await store.open()
    try:
        async for page in verdicts(store.finished, blobs, _judge(pruning), kind=pruning.kind):
            async for done in carry_out(store, blobs, page):
                pruning.note(done)
                status.update(f"gone: {pruning.told()}")
        status.update("making the file shorter")
        await store.shrink()
    finally:
        await store.close()


def _judge(pruning: Pruning) -> Judge:
    return Judge(SystemClock().now(), pruning.retention)


def _rows(by_kind: Mapping[str, Tally]) -> list[dict[str, int | str]]:
    return [
        {
            "kind": kind,
            "deleted": tally.deleted,
            "trimmed": tally.trimmed,
            "freed_bytes": tally.freed_bytes,
        }
        for kind, tally in sorted(by_kind.items())
    ]


def _refuse(message: str) -> Never:
    err.print(f"taskpush: {message}", markup=False)
    raise typer.Exit(ExitCode.REFUSED)
