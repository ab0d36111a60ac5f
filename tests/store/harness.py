"""What every test of a store needs: one on a clock of its own that can be closed and opened."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from taskpush.clock import ManualClock
from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide, Decision
from taskpush.ids import new_task_id
from taskpush.models.events import EventType, Status
from taskpush.models.position import START
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord
from taskpush.store.base import Announcement, Store, TaskFilter
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import TelemetryEvent

MakeStore = Callable[[ManualClock, Telemetry], Store]
Told = Sequence[Announcement]
LOCAL = TaskFilter(tenant="local")


class Harness:
    """An open store. `make` gives a store over what the one before it left behind."""

    def __init__(self, make: MakeStore) -> None:
        self.clock = ManualClock()
        self.said: list[TelemetryEvent] = []
        self._make = make
        self.store = make(self.clock, Telemetry(self.said.append))

    async def reopen(self) -> Store:
        """Close, and open as a new server would."""
        await self.store.close()
        self.store = self._make(self.clock, Telemetry(self.said.append))
        await self.store.open()
        return self.store

    def new_record(self, **fields: Any) -> TaskRecord:
        """A task that was not created yet."""
        birth: dict[str, Any] = {
            "task_id": new_task_id(),
            "kind": "layout",
            "tenant": "local",
            "owner": "ann",
            "params": {"bom_file": "bom.json"},
            "created_at": self.clock.now(),
        }
        return TaskRecord(**{**birth, **fields})

    async def create(self, **fields: Any) -> TaskRecord:
        """A pending task."""
        record = self.new_record(**fields)
        return (await self.store.write(record.task_id, lifecycle.create(record))).record

    async def create_running(self, **fields: Any) -> TaskRecord:
        """A task that this store's process executes."""
        record = await self.create(**fields)
        return (await self.store.write(record.task_id, self.start())).record

    async def create_completed(self, **fields: Any) -> TaskRecord:
        """A task that is over."""
        record = await self.create_running(**fields)
        return (await self.store.write(record.task_id, self.complete())).record

    def start(self) -> Decide:
        return lifecycle.start(self.store.epoch, self.clock.now())

    def complete(self, result: Any = None) -> Decide:
        return lifecycle.complete(1, self.clock.now(), result=result)

    async def log(self, task_id: str) -> Sequence[LoggedEvent]:
        """The whole log."""
        return (await self.store.read(task_id, START, 100_000)).events


def say(*texts: str, attempt: int = 1) -> Decide:
    """Append a `log` event for each text."""
    return lifecycle.report(attempt, [log_line(text) for text in texts])


def retry(record: TaskRecord | None) -> Decision:
    """What going back to pending will do: the next attempt begins."""
    assert record is not None
    again = replace(record, status=Status.PENDING, attempt=record.attempt + 1)
    return Decision(again, (NewEvent(EventType.STATUS_CHANGE, {"status": "pending"}),))


def log_line(text: str) -> NewEvent:
    return NewEvent(EventType.LOG, {"level": "info", "message": text})


def progress(percent: float) -> NewEvent:
    return NewEvent(EventType.PROGRESS, {"progress_percent": percent, "elapsed_seconds": 1.0})


def stats(**values: float) -> NewEvent:
    return NewEvent(EventType.STATS, {"elapsed_seconds": 1.0, **values})


def place(position: int) -> NewEvent:
    return NewEvent(
        EventType.QUEUE, {"kind": "layout", "position": position, "ahead": position - 1}
    )


def preview(content: bytes | str) -> NewEvent:
    media_type = "image/png" if isinstance(content, bytes) else "text/plain"
    return NewEvent(EventType.PREVIEW, {"media_type": media_type, "content": content})


def body_of(event: LoggedEvent | Any) -> dict[str, Any]:
    """The envelope."""
    envelope: dict[str, Any] = json.loads(event.body)
    return envelope


def texts_of(events: Sequence[LoggedEvent]) -> list[str]:
    """What the `log` events say."""
    return [
        body_of(event)["data"]["message"] for event in events if event.event_type is EventType.LOG
    ]


async def listed(harness: Harness, where: TaskFilter) -> list[str]:
    """The ids of a list, newest first."""
    return [record.task_id for record in (await harness.store.tasks(where, limit=50)).records]


def anyway(record: TaskRecord | None) -> Decision:
    """Delete or trim it, whatever its status."""
    return Decision(record) if record is not None else lifecycle.delete()(record)
