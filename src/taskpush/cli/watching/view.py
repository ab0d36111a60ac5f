"""What is known of a watched task, as far as a bar shows it. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from taskpush.cli.text import number, one_line
from taskpush.cli.watching.said import mapping
from taskpush.client import Resync, WatchEvent, WatchItem


@dataclass(slots=True)
class TaskView:
    """The newest state of a task; `now` is this machine's time, events have the server's."""

    task_id: str
    # What people call it: its title, or else its kind.
    name: str
    status: str = ""
    # Why it is in that status; empty when nobody said.
    message: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)
    queue: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    # None unless an attempt runs, or has run.
    _began: datetime | None = None
    # None while nobody can tell.
    _due: datetime | None = None
    # None while it goes on.
    _ended: datetime | None = None

    def note(self, item: WatchItem, now: datetime) -> None:
        """Take what an item of its watch says."""
        if isinstance(item, Resync):
            self.note_summary(item.snapshot, now)
            return
        at = _known(item, now)
        match item.event_type:
            case "progress":
                self._note_progress(item.data, at)
            case "queue":
                self._note_queue(item.data, at)
            case "iteration_complete":
                self.metrics = mapping(item.data.get("metrics"))
            case "status_change":
                self._note_status(item.data, at)

    def note_summary(self, task: Mapping[str, Any], now: datetime) -> None:
        """Take what a list, a snapshot or a feed says."""
        latest = mapping(task.get("latest"))
        if task.get("title") or task.get("kind"):
            self.name = name_of(task)
        self.status = one_line(str(task.get("status") or ""))
        self.message = one_line(str(task.get("message") or ""))
        self._began = _moment(task.get("started_at"), now)
        finished = _moment(task.get("finished_at"), now)
        self._ended = None if self.status in ("pending", "running") else finished
        if self.status == "pending":
            self.progress = {}
            self._note_queue(mapping(latest.get("queue")), now)
        elif latest.get("progress"):
            self._note_progress(mapping(latest.get("progress")), now)

    @property
    def is_over(self) -> bool:
        """Whether nothing executes it, or will by itself."""
        return self.status not in ("", "pending", "running")

    @property
    def percent(self) -> float | None:
        """None while the total is unknown."""
        return (
            100.0 if self.status == "completed" else number(self.progress.get("progress_percent"))
        )

    @property
    def doing(self) -> str:
        """Its stage, and what it says of it; or else its status."""
        if self.status == "pending":
            place = number(self.queue.get("position"))
            return "pending" if place is None else f"queue position {place:g}"
        if self.is_over:
            why = "" if self.status == "completed" else self.message
            return f"{self.status}: {why}" if why else self.status
        stage, message = (
            one_line(str(self.progress.get(name) or "")) for name in ("stage", "message")
        )
        return f"{stage}: {message}" if stage and message else stage or message or self.status

    def elapsed_s(self, now: datetime) -> float | None:
        """How long the attempt has run; None when it has not begun."""
        if self._began is None:
            return None
        return max(0.0, ((self._ended or now) - self._began).total_seconds())

    def left_s(self, now: datetime) -> float | None:
        """How long until it ends, or until it starts; None while nobody can tell."""
        if self._due is None or self.is_over:
            return None
        return max(0.0, (self._due - now).total_seconds())

    def _note_progress(self, data: Mapping[str, Any], at: datetime) -> None:
        self.progress = data
        elapsed_s, left_s = number(data.get("elapsed_seconds")), number(data.get("eta_seconds"))
        if elapsed_s is not None:
            self._began = at - timedelta(seconds=elapsed_s)
        self._due = None if left_s is None else at + timedelta(seconds=left_s)

    def _note_queue(self, data: Mapping[str, Any], at: datetime) -> None:
        self.queue = data
        left_s = number(data.get("eta_seconds"))
        self._due = None if left_s is None else at + timedelta(seconds=left_s)

    def _note_status(self, data: Mapping[str, Any], at: datetime) -> None:
        self.status = one_line(str(data.get("status") or ""))
        self.message = one_line(str(data.get("message") or ""))
        self._due = None
        self._ended = at if self.is_over else None
        if not self.is_over:
            # A new attempt starts from the beginning.
            self.progress = {}
            self._began = at if self.status == "running" else None


def name_of(task: Mapping[str, Any]) -> str:
    """What people call the task."""
    return one_line(str(task.get("title") or task.get("kind") or task.get("task_id") or ""))


def _known(item: WatchEvent, now: datetime) -> datetime:
    """When it happened; a server's clock that is ahead must not make time negative."""
    return min(item.timestamp, now)


def _moment(text: object, now: datetime) -> datetime | None:
    try:
        return min(datetime.fromisoformat(str(text)), now) if text else None
    except ValueError:
        return None
