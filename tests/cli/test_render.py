"""What a watched task looks like: a bar, plain lines, JSON lines."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from rich.console import Console

from taskpush.cli.render import Bar, JsonLines, Lines, renderer_for, said
from taskpush.client import Resync, WatchEvent, WatchItem
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
    with Lines(stream) as lines:
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


def test_a_terminal_gets_a_bar_with_the_log_above_it() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=140, highlight=False)
    with Bar(console) as bar:
        for item in run():
            bar.show(item)
            bar.connection(True)
            bar._progress.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    for part in ("optimise", "25 %", "iteration 5/20", "1:15 left", "max_temp 45.5", "100 %"):
        assert part in text
    assert "warning: [bold]hot\ufffd[2J" in text
    assert "completed: Task completed" in text


def test_a_bar_says_when_the_connection_is_lost() -> None:
    stream = io.StringIO()
    with Bar(Console(file=stream, force_terminal=True, width=140)) as bar:
        bar.connection(False)
        bar.show(WatchEvent.parse(wire.volatile(1, "queue", position=3)))
        bar._progress.refresh()
    assert "connection lost" in stream.getvalue()
    assert "queue position 3" in stream.getvalue()


def test_a_bar_without_a_total_still_moves() -> None:
    stream = io.StringIO()
    with Bar(Console(file=stream, force_terminal=True, width=140)) as bar:
        bar.show(progress(1, progress_percent=None, completed=7, unit="pages", stage="read"))
        bar._progress.refresh()
    assert "7 pages" in stream.getvalue()


def test_what_is_no_terminal_gets_lines() -> None:
    assert isinstance(renderer_for(io.StringIO()), Lines)
    assert isinstance(renderer_for(io.StringIO(), json_lines=True), JsonLines)


def test_volatile_states_are_no_lines_of_their_own() -> None:
    assert said(progress(1, progress_percent=3)) is None
