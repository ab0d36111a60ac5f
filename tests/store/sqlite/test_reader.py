"""Every question walks an index in its own order, so that none is slow in a large file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskpush.models.events import Status
from taskpush.store.base import TaskFilter
from taskpush.store.sqlite import reader
from taskpush.store.sqlite.database import open_database
from taskpush.store.sqlite.selection import selection

FILTERS = [
    TaskFilter("local", owner=owner, status=status, kind=kind, tag=tag, q=q, created_after=after)
    for owner, status, kind, tag, q, after in product(
        (None, "ann"),
        (None, Status.RUNNING),
        (None, "layout"),
        (None, "x"),
        (None, "some"),
        (None, datetime(2026, 1, 1, tzinfo=UTC)),
    )
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    with closing(open_database(tmp_path / "tasks.db")) as database:
        yield database._connection


def test_a_page_of_tasks_is_found_in_order_and_from_its_place_on(
    connection: apsw.Connection,
) -> None:
    for where in FILTERS:
        chosen, bindings = selection(where)
        plan = _plan(
            connection,
            reader._ENTRIES.replace("{chosen}", chosen),
            **bindings,
            before=10,
            limit=10,
        )
        assert "TEMP B-TREE" not in plan
        place = "task<?" if where.tag else "rowid<?"
        assert f"tenant=? AND {'tag=? AND ' if where.tag else ''}" in plan
        assert place in plan
        if where.status and not where.tag:
            assert "by_status" in plan


def test_the_queue_is_read_from_its_index_alone(connection: apsw.Connection) -> None:
    plan = _plan(connection, reader._WAITING)
    assert "USING COVERING INDEX tasks_waiting" in plan
    assert "TEMP B-TREE" not in plan


def test_what_runs_is_found_without_what_is_over(connection: apsw.Connection) -> None:
    text = reader._ENTRIES.replace("{chosen}", reader._ABANDONED)
    plan = _plan(connection, text, epoch="e")
    assert "USING INDEX tasks_running" in plan
    assert "TEMP B-TREE" not in plan


def test_the_newest_ends_of_a_kind_are_found_without_its_other_tasks(
    connection: apsw.Connection,
) -> None:
    text = reader._ENTRIES.replace("{chosen}", reader._ENDED)
    plan = _plan(connection, text, kind="layout", limit=10)
    assert "USING INDEX tasks_finished_by_kind" in plan
    assert "TEMP B-TREE" not in plan


def test_keys_and_deleted_ids_are_looked_up(connection: apsw.Connection) -> None:
    plan = _plan(connection, reader._KEYS, names="[]")
    assert "tenant=? AND owner=? AND key=?" in plan
    assert "SCAN idempotency_keys" not in plan
    assert "SCAN deleted_tasks" not in _plan(connection, reader._DELETED, task_ids="[]")


def _plan(connection: apsw.Connection, text: str, **bindings: Any) -> str:
    explained = "EXPLAIN QUERY PLAN " + text
    return "\n".join(str(row[3]) for row in connection.execute(explained, bindings))
