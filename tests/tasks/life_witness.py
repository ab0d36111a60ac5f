"""Somebody who hears every event of a task from its creation on, and believes nothing else."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, TaskRecord, VolatileEvent
from tests.tasks.life_model import Said

Envelope = dict[str, Any]

FINAL = {"completed", "failed", "cancelled"}


class Witness:
    """Of one task: checks each event against those before it."""

    def __init__(self, task_id: str) -> None:
        self.events: list[LoggedEvent] = []
        self.bodies: list[Envelope] = []
        # The newest of each type that still applies.
        self.latest: dict[EventType, VolatileEvent] = {}
        self._task_id = task_id
        self._rev = 0

    def hear(self, event: LoggedEvent, epoch: str) -> None:
        """A logged event, of a store with that epoch."""
        body: Envelope = json.loads(event.body)
        kind, data = body["event_type"], body["data"]
        assert body["task_id"] == event.task_id == self._task_id
        assert (body["seq"], body["epoch"]) == (event.seq, event.epoch)
        assert (body["attempt"], kind) == (event.attempt, event.event_type.value)
        assert event.epoch == epoch
        assert event.seq == len(self.events) + 1, "a hole, or the same again"
        is_final = kind == "status_change" and data["final"]
        assert is_final == event.final
        if kind == "status_change":
            assert data["final"] == (data["status"] in FINAL)
        if self.bodies:
            self._check_order(body)
        self.events.append(event)
        self.bodies.append(body)
        if kind == "status_change" and data["status"] != "pending":
            self.latest.pop(EventType.QUEUE, None)
        self.latest = {
            each: newest for each, newest in self.latest.items() if newest.attempt >= event.attempt
        }

    def hear_volatile(self, event: VolatileEvent) -> None:
        body: Envelope = json.loads(event.body)
        assert (body["task_id"], body["attempt"]) == (event.task_id, event.attempt)
        assert (body["rev"], body["seq"]) == (event.rev, None)
        assert body["event_type"] == event.event_type.value
        assert event.attempt == self.bodies[-1]["attempt"]
        assert not self.events[-1].final, "after the final event"
        assert event.rev > self._rev, "a rev that does not rise"
        assert _at(body) >= _at(self.bodies[-1]), "the time fell"
        self._rev = event.rev
        self.latest[event.event_type] = event

    def said(self) -> list[Said]:
        """The log in the model's words."""
        return [(each["attempt"], each["event_type"], _what(each)) for each in self.bodies]

    def check_record(self, record: TaskRecord) -> None:
        """The record is the fold of the events."""
        told = _Fold()
        for body in self.bodies:
            told.take(body)
        assert (record.status.value, record.attempt) == (told.status, told.attempt)
        assert record.final == self.events[-1].final
        assert record.message == told.message
        # A cancel that the attempt has not obeyed yet has a reason, and no event.
        assert record.cancel_requested or record.reason == told.reason
        assert (record.error.error if record.error else None) == told.error
        assert record.result == told.result
        assert (record.checkpoint.label if record.checkpoint else None) in (told.saved, None)
        assert told.resumable in (None, record.resumable)
        assert record.head == self.events[-1].position
        assert record.last_event_at == _at(self.bodies[-1])
        assert (record.runner is not None) == (told.status == "running")
        assert (record.finished_at is not None) == (told.status in {*FINAL, "interrupted"})

    def _check_order(self, body: Envelope) -> None:
        last, before = self.bodies[-1], self.events[-1]
        assert _at(body) >= _at(last), "the time fell"
        assert body["attempt"] >= last["attempt"], "an old attempt spoke"
        if body["attempt"] > last["attempt"]:
            assert body["attempt"] == last["attempt"] + 1
            assert body["data"]["status"] == "pending"
        else:
            assert not before.final, "something followed the final event"


class _Fold:
    """What the events of a task make of it, one after the other."""

    status = ""
    attempt = 0
    message: str | None = None
    reason: str | None = None
    error: str | None = None
    result: Any = None
    saved: str | None = None
    resumable: bool | None = None
    _failed_now = False

    def take(self, body: Envelope) -> None:
        data = body["data"]
        self.attempt = body["attempt"]
        match body["event_type"]:
            case "error":
                self.error, self._failed_now = data["error"], True
            case "checkpoint":
                self.saved = data["label"]
            case "status_change":
                self.status = data["status"]
                self.message, self.reason = data.get("message"), data.get("reason")
                self.result, self.resumable = data.get("result"), data.get("resumable")
                if not self._failed_now and self.status != "running":
                    self.error = None
                self._failed_now = False


def _at(body: Envelope) -> datetime:
    return datetime.fromisoformat(body["timestamp"])


def _what(body: Envelope) -> object:
    data = body["data"]
    match body["event_type"]:
        case "status_change":
            return data["status"]
        case "error":
            assert data["status"] == ("pending" if data["will_retry"] else "failed")
            return data["will_retry"]
        case "log":
            return data["message"]
        case "checkpoint":
            return data["label"]
        case _:
            return data["iteration"]
