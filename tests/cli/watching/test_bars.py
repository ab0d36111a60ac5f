"""Bars that make do with the room there is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from taskpush.cli.watching.bars import board
from taskpush.cli.watching.view import TaskView
from taskpush.client import WatchEvent
from tests.client import wire

AT = datetime.fromisoformat(wire.TIMESTAMP)
PROGRESS: dict[str, Any] = {
    "progress_percent": 45.9,
    "current_iteration": 9,
    "max_iterations": 20,
    "stage": "optimise",
    "message": "placing part 9",
    "rate_per_s": 1.25,
    "elapsed_seconds": 7.0,
    "eta_seconds": 9.0,
}


def view(status: str = "running", name: str = "layout", **data: Any) -> TaskView:
    made = TaskView(wire.TASK, name)
    made.note(WatchEvent.parse(wire.logged(1, "status_change", status=status)), AT)
    if data:
        made.note(WatchEvent.parse(wire.volatile(1, "progress", **data)), AT)
    return made


def shown(*views: TaskView, width: int = 80, height: int = 24, after_s: float = 0) -> list[str]:
    now = AT + timedelta(seconds=after_s)
    return [line.plain for line in board(views, now, width=width, height=height, tell_apart=False)]


def test_a_bar_has_all_that_is_known_of_its_task() -> None:
    running = view(**PROGRESS)
    metrics = {"max_temp": 45.5}
    running.note(WatchEvent.parse(wire.logged(2, "iteration_complete", metrics=metrics)), AT)
    head, bar = shown(running, after_s=3)
    assert head.split(maxsplit=1)[1] == (
        "layout  optimise: placing part 9" + "10 s  6 s left".rjust(46)
    )
    assert bar.replace("━", "").replace("╸", "").split("  ") == [
        *("", "", "45 %", "iteration 9/20", "1.25/s", "max_temp 45.5")
    ]
    assert (len(head), len(bar)) == (80, 80)


@pytest.mark.parametrize("width", [1, 2, 8, 20, 40, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    running = view(name="A layout with a long name, 世界 and more", **PROGRESS)
    metrics = {f"metric_{n}": n / 7 for n in range(9)}
    running.note(WatchEvent.parse(wire.logged(2, "iteration_complete", metrics=metrics)), AT)
    lines = board(
        [running, view("pending"), view("failed"), view(progress_percent=None)],
        AT,
        width=width,
        height=24,
        tell_apart=True,
    )
    assert max(line.cell_len for line in lines) <= width


def test_in_little_room_the_figures_have_a_line_of_their_own() -> None:
    running = view(**PROGRESS)
    metrics = {"max_temp": 45.5}
    running.note(WatchEvent.parse(wire.logged(2, "iteration_complete", metrics=metrics)), AT)
    head, bar, figures = shown(running, width=40)
    assert "…" in head
    assert head.endswith("  7 s  9 s left")
    assert "45 %" in bar
    assert figures == "  max_temp 45.5"


def test_more_tasks_than_fit_get_a_line_each_and_those_that_run_come_first() -> None:
    views = [view("pending"), *(view(**PROGRESS) for _ in range(3))]
    lines = shown(*views, height=5)
    assert len(lines) == 4
    assert all("45 %  7 s  9 s left" in line for line in lines[:3])
    assert "pending" in lines[3]
    lines = shown(*views, height=3)
    assert len(lines) == 3
    assert lines[2] == "… and 2 more"


def test_a_waiting_task_says_when_it_starts() -> None:
    waiting = view("pending")
    queue = {"position": 3, "eta_seconds": 75, "eta_low": 60, "eta_high": 140}
    waiting.note(WatchEvent.parse(wire.volatile(1, "queue", **queue)), AT)
    (line,) = shown(waiting, after_s=15)
    assert "queue position 3" in line
    assert line.endswith("starts in 1:00 (1:00 to 2:20)")


def test_an_attempt_starts_from_the_beginning() -> None:
    retried = view(**PROGRESS)
    retried.note(WatchEvent.parse(wire.logged(2, "status_change", status="pending")), AT)
    retried.note(WatchEvent.parse(wire.logged(3, "status_change", status="running")), AT)
    lines = shown(retried, after_s=2)
    assert "45 %" not in "".join(lines)
    assert lines[0].endswith("  2 s")


def test_a_task_that_is_over_tells_how_long_it_took_for_good() -> None:
    ended = view(**PROGRESS)
    ended.note(
        WatchEvent.parse(
            wire.logged(2, "status_change", status="failed", final=True, message="no plan fits")
        ),
        AT,
    )
    assert shown(ended, after_s=60) == ["✗ layout  failed: no plan fits" + "7 s".rjust(50)]


def test_a_server_whose_clock_is_ahead_makes_no_time_negative() -> None:
    behind = AT - timedelta(hours=1)
    running = TaskView(wire.TASK, "layout")
    running.note(WatchEvent.parse(wire.logged(1, "status_change", status="running")), behind)
    assert running.elapsed_s(behind) == 0.0


def test_a_bar_without_a_total_moves() -> None:
    counting = view(progress_percent=None, completed=7, unit="pages", stage="read")
    assert "7 pages" in shown(counting)[1]
    marks = [
        tuple(
            span.style
            for span in board([counting], now, width=80, height=9, tell_apart=False)[1].spans
        )
        for now in (AT, AT + timedelta(seconds=1))
    ]
    assert marks[0] != marks[1]
