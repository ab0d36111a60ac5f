"""Which tasks a filter means, as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from taskpush.store.base import TaskFilter
from taskpush.store.rows import to_microseconds

_CHOSEN: Final = """
    SELECT id, doc FROM tasks AS t
    WHERE {conditions} AND id < :before ORDER BY id DESC LIMIT :limit
"""
# The tag's list is walked, newest first, and only what is on it is looked up.
_CHOSEN_BY_TAG: Final = """
    SELECT t.id, t.doc FROM task_tags AS g CROSS JOIN tasks AS t ON t.id = g.task
    WHERE g.tenant = :tenant AND {conditions} AND g.task < :before ORDER BY g.task DESC LIMIT :limit
"""
_CONDITIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenant": "t.tenant = :tenant",
        "owner": "owner = :owner",
        "status": "status = :status",
        "kind": "kind = :kind",
        "tag": "tag = :tag",
        "created_after": "created_at > :created_after",
        "created_before": "created_at < :created_before",
        "q": "(instr(folded_title, :q) OR instr(task_id, :q))",
    }
)


def selection(where: TaskFilter) -> tuple[str, dict[str, Any]]:
    """The statement that chooses tasks, newest first, and the bindings of its conditions."""
    conditions, bindings = conditions_of(where)
    if where.status is not None:
        # Few tasks have most statuses, while all may be of one kind: the + keeps the planner from
        # walking the kind's list.
        conditions = conditions.replace("kind = :kind", "+kind = :kind")
    chosen = _CHOSEN if where.tag is None else _CHOSEN_BY_TAG
    return chosen.replace("{conditions}", conditions), bindings


def conditions_of(where: TaskFilter) -> tuple[str, dict[str, Any]]:
    """What tasks `t`, and tags `g`, must fulfil, and the bindings of that."""
    bindings = {name: value for name, value in _given(where).items() if value is not None}
    return " AND ".join(_CONDITIONS[name] for name in bindings), bindings


def _given(where: TaskFilter) -> dict[str, Any]:
    return {
        "tenant": where.tenant,
        "owner": where.owner,
        "status": where.status.value if where.status else None,
        "kind": where.kind,
        "tag": where.tag,
        "created_after": _microseconds(where.created_after),
        "created_before": _microseconds(where.created_before),
        "q": where.q.casefold() if where.q is not None else None,
    }


def _microseconds(moment: datetime | None) -> int | None:
    return to_microseconds(moment) if moment is not None else None
