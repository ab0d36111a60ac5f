"""A task's id in a path."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from taskpush.errors import NotFound
from taskpush.ids import canonical_task_id

TaskIdPath = Annotated[str, Path(description="The task's id, a UUID.")]


def canonical(task_id: str) -> str:
    """The id in the form the store has; raises `NotFound`: what is no UUID cannot exist."""
    known = canonical_task_id(task_id)
    if known is None:
        raise NotFound
    return known
