"""Statistics and retention walk an index of their own, and none of the tasks that go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskpush.store.sqlite import surveyor
from taskpush.store.sqlite.database import open_database


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    with closing(open_database(tmp_path / "tasks.db")) as database:
        yield database._connection


def test_the_newest_finished_tasks_are_found_in_order(connection: apsw.Connection) -> None:
    for condition, index in (
        ("TRUE", "tasks_finished"),
        ("kind = :kind", "tasks_finished_by_kind"),
    ):
        text = surveyor._FINISHED.replace("{conditions}", condition)
        plan = _plan(connection, text, kind="layout", before=10, order=0, limit=10)
        assert f"USING COVERING INDEX {index} (" in plan
        assert "finished_at<?" in plan
        assert "TEMP B-TREE" not in plan


def test_the_days_are_found_without_what_is_older(connection: apsw.Connection) -> None:
    text = surveyor._DAILY.replace("{conditions}", "t.tenant = :tenant")
    plan = _plan(connection, text, tenant="local", since=5)
    assert "USING COVERING INDEX tasks_ended (tenant=? AND finished_at>?" in plan


def _plan(connection: apsw.Connection, text: str, **bindings: Any) -> str:
    explained = "EXPLAIN QUERY PLAN " + text
    return "\n".join(str(row[3]) for row in connection.execute(explained, bindings))
