"""A log is found by its key, wherever its end lies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskpush.errors import PositionGone
from taskpush.models.events import EventType
from taskpush.models.position import Position
from taskpush.store.sqlite import logs
from taskpush.store.sqlite.database import open_database
from taskpush.store.sqlite.logs import read_page, read_type
from taskpush.store.sqlite.store import SqliteStore
from taskpush.store.sqlite.tails import EventRow
from tests.store.harness import Harness, say

LENGTH = 9


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    with closing(open_database(tmp_path / "tasks.db")) as database:
        yield database._connection


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    path = tmp_path / "tasks.db"
    harness = Harness(lambda clock, telemetry: SqliteStore(path, clock=clock, telemetry=telemetry))
    await harness.store.open()
    yield harness
    await harness.store.close()


def test_a_page_of_the_log_is_sought_by_its_seq(connection: apsw.Connection) -> None:
    plan = _plan(connection, logs._PAGE, task_id="t", after=5, limit=10, max_bytes=100)
    assert "task=? AND seq>?" in plan
    assert "SCAN events" not in plan
    assert "TEMP B-TREE" not in plan


def test_artifacts_are_found_without_the_rest_of_the_log(connection: apsw.Connection) -> None:
    text = logs._OF_TYPE.replace("{events}", logs._APART)
    plan = _plan(connection, text, task_id="t", event_type="artifact")
    assert "INDEX events_apart (task=? AND event_type=?)" in plan
    assert "TEMP B-TREE" not in plan


async def test_a_page_is_the_same_wherever_the_end_of_the_log_lies(
    harness: Harness, tmp_path: Path
) -> None:
    task_id = (await harness.create_running()).task_id
    for text in "abcdef":
        await harness.store.write(task_id, say(text))
    await harness.store.write(task_id, harness.complete())
    log = await harness.log(task_id)
    rows = [EventRow(1, e.seq, 1, e.epoch, e.event_type.value, e.final, 0, e.body) for e in log]
    assert len(log) == LENGTH
    other = apsw.Connection(str(tmp_path / "tasks.db"))

    def page(after: int, limit: int, max_bytes: int, tail: list[EventRow]) -> Any:
        epoch = log[after - 1].epoch if after else None
        position = Position(after, epoch)
        return read_page(other, task_id, position, limit, max_bytes, tail)

    questions = [
        (after, limit, max_bytes)
        for after in range(LENGTH + 1)
        for limit in (1, 3, LENGTH, 100)
        for max_bytes in (1, 400, 100_000)
    ]
    expected = [page(*question, []) for question in questions]
    logged = read_type(other, task_id, EventType.LOG, [])
    for length in range(LENGTH, 1, -1):
        other.execute("DELETE FROM events WHERE seq > ?", (length,))
        for known in range(1, length + 1):
            # What was copied since the question was asked is in both.
            tail = rows[known:]
            assert [page(*question, tail) for question in questions] == expected
            assert read_type(other, task_id, EventType.LOG, tail) == logged
    with pytest.raises(PositionGone):
        read_page(other, task_id, Position(LENGTH + 1, log[0].epoch), 1, 1, rows)
    with pytest.raises(PositionGone):
        read_page(other, task_id, Position(LENGTH, "another"), 1, 1, rows)
    other.close()


def _plan(connection: apsw.Connection, text: str, **bindings: Any) -> str:
    explained = "EXPLAIN QUERY PLAN " + text
    return "\n".join(str(row[3]) for row in connection.execute(explained, bindings))
