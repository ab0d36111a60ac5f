"""Numbers and foreign text as terminals show them."""

from __future__ import annotations

import pytest

from taskpush.cli.listing import show_task, show_tasks
from taskpush.cli.text import clean, duration, metrics, one_line, size


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (60, "1:00"), (125, "2:05"), (3725, "1:02:05")],
)
def test_durations_read_like_a_clock(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_have_binary_units(count: int, shown: str) -> None:
    assert size(count) == shown


def test_a_job_cannot_drive_the_terminal() -> None:
    assert clean("hot \x1b[2J\x07\r gone\x9b31m") == "hot \ufffd[2J\ufffd\ufffd gone\ufffd31m"
    assert clean("two\nlines\t[bold]") == "two\nlines\t[bold]"


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n  b\tc ") == "a b c"


def test_figures_are_short() -> None:
    values = {"max_temp": 45.512345, "count": 3, "big": 123456.789}
    assert metrics(values) == "max_temp 45.512, count 3, big 1.2346e+05"


def test_a_list_says_the_percentage_that_a_watch_says(capsys: pytest.CaptureFixture[str]) -> None:
    task = {
        "task_id": "a",
        "created_at": "2026-01-01T00:00:00Z",
        "latest": {"progress": {"progress_percent": 99.7}},
    }
    show_tasks([task], json_lines=False)
    assert "\t99 %\t" in capsys.readouterr().out


def test_a_start_that_nobody_knows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    task = {"task_id": "a", "status": "pending", "latest": {"queue": {"position": 1}}}
    show_task(task, json_lines=False)
    assert "position 1, nobody knows yet when it starts" in capsys.readouterr().out
