"""What a watched task looks like: bars, plain lines, JSON lines."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from taskpush.cli.watching.render import LOST, RESET, Bars, JsonLines, Lines, renderer_for
from taskpush.cli.watching.said import count_said, said
from taskpush.client import FeedChange, FeedReset, Resync, Task, WatchEvent, WatchItem
from tests.client import wire

PROGRESS = {
    "progress_percent": 25,
    "current_iteration": 5,
    "max_iterations": 20,
    "stage": "optimise",
    "eta_seconds": 75.4,
}


def event(seq: int, event_type: str, **data: Any) -> WatchEvent:
    return WatchEvent.parse(wire.logged(seq, event_type, **data))


def progress(rev: int, **data: Any) -> WatchEvent:
    return WatchEvent.parse(wire.volatile(rev, **data))


def run() -> list[WatchItem]:
    return [
        event(1, "status_change", status="running", message="Task started"),
        progress(1, **PROGRESS),
        event(2, "iteration_complete", iteration=5, metrics={"max_temp": 45.5}),
        event(3, "log", level="warning", message="[bold]hot\x1b[2J"),
        Resync.parse(wire.resync(4)),
        event(5, "artifact", name="plan.json", size_bytes=2048, url="/a"),
        event(6, "checkpoint"),
        event(7, "error", error="no room", error_type="NoPlan", will_retry=True),
        event(8, "mood", colour="blue"),
        event(9, "status_change", status="completed", final=True, message="Task completed"),
    ]


def plain(items: list[WatchItem]) -> list[str]:
    stream = io.StringIO()
    with Lines(stream, io.StringIO()) as lines:
        for item in items:
            lines.show(item)
    return [line.partition(" ")[2] for line in stream.getvalue().splitlines()]


def test_plain_lines_tell_the_story() -> None:
    assert plain(run()) == [
        "running: Task started",
        "progress 25 % iteration 5/20 optimise 1:15 left",
        "iteration 5: max_temp 45.5",
        "warning: [bold]hot\ufffd[2J",
        "history was cut (the history was cut short); now running",
        "artifact plan.json (2.0 KiB) /a",
        "checkpoint",
        "error: NoPlan: no room (will be tried again)",
        "completed: Task completed",
    ]


def test_plain_progress_is_said_every_ten_percent_and_with_every_stage() -> None:
    items: list[WatchItem] = [progress(rev, progress_percent=rev) for rev in range(1, 31)]
    items += [progress(31, progress_percent=31, stage="report")]
    items += [progress(32, progress_percent=2, stage="report")]
    shown = plain(items)
    assert shown == [f"progress {n}" for n in ("1 %", "11 %", "21 %", "31 % report", "2 % report")]


def test_json_lines_are_the_envelopes() -> None:
    stream = io.StringIO()
    items = run()
    with JsonLines(stream) as lines:
        for item in items:
            lines.show(item)
    values = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(values) == len(items)
    assert [value["event_type"] for value in values] == [item.event_type for item in items]
    assert values[0] == items[0].raw
    assert values[4] == {"event_type": "resync", **items[4].raw}


def test_what_only_moves_the_bar_is_no_line() -> None:
    assert said(progress(1, progress_percent=3)) is None
    assert said(event(8, "mood", colour="blue")) is None


def bars(height: int = 24) -> tuple[Bars, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, height=height)
    # The events are of a fixed moment, and so is what is left of them.
    return Bars(console, lambda: datetime.fromisoformat(wire.TIMESTAMP)), stream


def seen(stream: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


def summary(n: int, status: str = "running", **more: Any) -> Task:
    task_id = f"{n:06}{wire.TASK[6:-6]}{n:06}"
    final = status in {"completed", "failed", "cancelled"}
    return Task(
        {"task_id": task_id, "kind": "layout", "status": status, "final": final, "attempt": 1}
        | more
    )


def test_a_terminal_gets_a_bar_with_the_log_above_it() -> None:
    screen, stream = bars()
    with screen:
        screen.expect(Task(wire.snapshot(1) | {"kind": "layout"}))
        for item in run():
            screen.show(item)
            screen.tick()
    text = seen(stream)
    for part in ("optimise", "25 %", "iteration 5/20", "1:15 left", "max_temp 45.5"):
        assert part in text
    assert "warning: [bold]hot\ufffd[2J\n" in text
    assert "\x1b[2J" not in stream.getvalue()
    assert "completed: Task completed" in text
    assert "\u2713 layout  completed" in text.splitlines()[-1]


def test_a_bar_says_since_when_the_connection_is_lost() -> None:
    screen, stream = bars()
    with screen:
        screen.expect(Task(wire.snapshot(1)))
        screen.connection(False)
        screen.tick()
        assert "connection lost, trying again … (0 s)" in seen(stream)
        stream.truncate(0)
        screen.connection(True)
        screen.tick()
        assert "connection lost" not in seen(stream)


def test_lines_say_that_the_connection_was_lost_and_is_back_beside_the_lines() -> None:
    stream, notices = io.StringIO(), io.StringIO()
    with Lines(stream, notices) as lines:
        for connected in (True, False, False, True):
            lines.connection(connected)
    # Its end is no loss.
    lines.connection(False)
    assert notices.getvalue().splitlines() == [LOST, "connected again"]
    assert stream.getvalue() == ""


def test_tasks_of_a_feed_come_and_go() -> None:
    screen, stream = bars()
    with screen:
        screen.tick()
        assert "nothing waits or runs" in seen(stream)
        for task in (summary(1, title="First"), summary(2, "pending"), summary(3)):
            screen.change(FeedChange("all", task.task_id, task, None))
        assert [*screen._views] == [summary(n).task_id for n in (1, 2, 3)]
        done = summary(1, "failed", title="First", message="no plan\x1b[2J fits")
        for _ in range(2):
            screen.change(FeedChange("all", done.task_id, done, None))
        screen.change(FeedChange("all", summary(3).task_id, None, None))
        assert [*screen._views] == [summary(2).task_id]
        screen.tick()
        assert seen(stream).count("First 000001: failed: no plan\ufffd[2J fits") == 1
        screen.change(FeedReset("all"))
        assert not screen._views


def test_lines_of_a_feed_tell_states_and_steps() -> None:
    stream = io.StringIO()
    halfway = {"progress": {"progress_percent": 50}}
    with Lines(stream, io.StringIO()) as lines:
        for item in (
            FeedChange("all", summary(1).task_id, summary(1, message="Task started"), None),
            FeedChange("all", summary(1).task_id, summary(1, latest=halfway), None),
            FeedChange("all", summary(1).task_id, summary(1, latest=halfway), None),
            FeedReset("all"),
            FeedChange("all", summary(1).task_id, summary(1, "completed"), None),
            FeedChange("all", summary(1).task_id, None, None),
        ):
            lines.change(item)
    assert [line.partition(" ")[2] for line in stream.getvalue().splitlines()] == [
        "layout 000001: running: Task started",
        "layout 000001: progress 50 %",
        RESET,
        "layout 000001: completed",
        "layout 000001: deleted",
    ]


def test_json_lines_of_a_feed_are_what_the_feed_said() -> None:
    stream = io.StringIO()
    with JsonLines(stream) as lines:
        lines.change(FeedReset("all"))
        lines.change(FeedChange("all", summary(1).task_id, summary(1), "e.1.1"))
        lines.change(FeedChange("all", summary(1).task_id, None, "e.1.2"))
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"feed": "all", "reset": True},
        {"feed": "all", "task": dict(summary(1)), "cursor": "e.1.1"},
        {
            "feed": "all",
            "task": {"task_id": summary(1).task_id, "deleted": True},
            "cursor": "e.1.2",
        },
    ]


def test_lines_of_several_tasks_begin_with_their_names() -> None:
    stream = io.StringIO()
    with Lines(stream, io.StringIO()) as lines:
        lines.expect(summary(1, title="First\n\x1b[2J"))
        lines.expect(Task(wire.snapshot(1) | {"kind": "layout"}))
        lines.show(event(2, "log", level="info", message="hot"))
    assert stream.getvalue().partition(" ")[2] == f"layout {wire.TASK[-6:]}: info: hot\n"


def test_a_long_log_is_not_drawn_line_by_line() -> None:
    screen, stream = bars()
    with screen:
        screen.expect(Task(wire.snapshot(1)))
        drawn = stream.getvalue().count("\x1b[2K")
        for seq in range(400):
            screen.show(event(seq, "log", message=f"line {seq}"))
        assert stream.getvalue().count("\x1b[2K") == drawn
    assert all(f"info: line {seq}\n" in seen(stream) for seq in range(400))


def test_what_is_no_terminal_gets_lines() -> None:
    assert isinstance(renderer_for(io.StringIO()), Lines)
    assert isinstance(renderer_for(io.StringIO(), json_lines=True), JsonLines)


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        ({"current_iteration": 9, "max_iterations": 20}, "iteration 9/20"),
        ({"completed": 1234567, "total": 2000000, "unit": "row"}, "1234567/2000000 row"),
        ({"completed": 3 << 20, "total": 5 << 20, "unit": "byte"}, "3.0 MiB/5.0 MiB"),
        ({"completed": 1536, "unit": "byte"}, "1.5 KiB"),
        ({"completed": 2.5, "total": 4}, "2.5/4"),
        ({}, ""),
    ],
)
def test_counts_are_said_in_full_and_bytes_as_sizes(
    progress: dict[str, object], shown: str
) -> None:
    assert count_said(progress) == shown


def test_an_exception_is_named_once_in_a_line() -> None:
    def told(error: str, error_type: str) -> str | None:
        return said(event(1, "error", error=error, error_type=error_type, code="c"))

    assert told("KeyError: 'to'", "KeyError") == "error: KeyError: 'to'"
    assert told("too hot", "OddError") == "error: OddError: too hot"
    assert told("ValueError", "ValueError") == "error: ValueError"


def test_what_a_command_writes_to_standard_error_is_told_apart() -> None:
    def told(level: str, stream: str) -> str | None:
        return said(event(1, "log", level=level, message="12 %", fields={"stream": stream}))

    assert told("info", "stderr") == "stderr: 12 %"
    assert told("info", "stdout") == "info: 12 %"
    assert told("error", "stderr") == "error: 12 %"
