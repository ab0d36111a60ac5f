"""A task as the server showed it, readable like a dict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from taskpush.client.errors import BadAnswer


class Task(Mapping[str, Any]):
    """A snapshot, or a summary from a list: `task["params"]`, `task.task_id`.

    It does not change; ask the client again for a newer one. The fields are those of
    `GET /api/tasks/{id}`: protocol section 3.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: object) -> None:
        """Raises `BadAnswer` when the fields are not those of a task."""
        if not isinstance(fields, dict) or not isinstance(fields.get("task_id"), str):
            raise BadAnswer(f"the server sent a task that is none: {fields!r:.80}")
        self._fields: dict[str, Any] = fields

    @property
    def task_id(self) -> str:
        return str(self._fields["task_id"])

    @property
    def kind(self) -> str:
        return str(self._fields.get("kind", ""))

    @property
    def status(self) -> str:
        """`pending`, `running`, `completed`, `failed`, `cancelled` or `interrupted`."""
        return str(self._fields.get("status", ""))

    @property
    def final(self) -> bool:
        """Whether it is over for good, unless somebody retries it."""
        return self._fields.get("final") is True

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Task({self.task_id}, {self.kind}, {self.status})"
