"""A context that keeps what a plain handler reports."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from taskpush import TaskCancelled, TaskContext

Item = TypeVar("Item")


@dataclass
class Recording:
    """Only what the handlers in examples/ call."""

    task_id: str = "task-1"
    cancel_after_iteration: int | None = None
    """None: nobody cancels."""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    """Each as it comes back from JSON."""
    resumed_from: Any = None
    artifacts: dict[str, tuple[bytes, str | None]] = field(default_factory=dict)
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("recording"))

    def as_context(self) -> TaskContext:
        return cast("TaskContext", self)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [values for call, values in self.calls if call == name]

    def progress(
        self, done: float | None = None, total: float | None = None, **more: object
    ) -> None:
        self.calls.append(("progress", {"done": done, "total": total, **more}))

    def iteration(self, i: int, metrics: Mapping[str, float] | None = None) -> None:
        self.calls.append(("iteration", {"i": i, "metrics": dict(metrics or {})}))
        if i == self.cancel_after_iteration:
            raise TaskCancelled

    def log(self, message: str, level: str = "info", **fields: object) -> None:
        self.calls.append(("log", {"message": message, "level": level, **fields}))

    def stats(self, **values: object) -> None:
        self.calls.append(("stats", values))

    def artifact(
        self, name: str, content_or_path: Path | bytes | str, media_type: str | None = None
    ) -> None:
        content = content_or_path
        if isinstance(content, Path):
            content = content.read_bytes()
        self.artifacts[name] = (
            content.encode() if isinstance(content, str) else content,
            media_type,
        )

    def checkpoint(self, state: object, label: str | None = None) -> None:
        self.checkpoints.append(json.loads(json.dumps(state)))

    def track(self, iterable: Iterable[Item], **_: object) -> Iterable[Item]:
        return iterable
