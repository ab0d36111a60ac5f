"""Watched tasks as lines of a terminal: bars that make do with the room there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.text import Text

from taskpush.cli.text import duration, metrics, number
from taskpush.cli.watching.said import count_said, percent_said, rate_said, style_of_word
from taskpush.cli.watching.view import TaskView

_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SPINS_PER_S: Final = 8
_MARKS: Final = {"completed": "✓", "failed": "✗", "cancelled": "■", "interrupted": "■"}
_GAP: Final = "  "
_MIN_BAR: Final = 10
_MAX_BAR: Final = 40
_PULSE: Final = 4


def board(
    views: Sequence[TaskView], now: datetime, *, width: int, height: int, tell_apart: bool
) -> list[Text]:
    """All tasks in at most `height` lines of `width`; those that run come first.

    When they don't fit with all that is known of them each gets one line, and when that is too
    much the last line says how many are not shown.
    """
    ordered = sorted(views, key=lambda view: (view.is_over, view.status != "running"))
    whole = [line for view in ordered for line in rows(view, now, width, tell_apart=tell_apart)]
    if len(whole) <= height:
        return whole
    shown = ordered if len(ordered) <= height else ordered[: max(0, height - 1)]
    lines = [_compact(view, now, width, tell_apart=tell_apart) for view in shown]
    if hidden := ordered[len(shown) :]:
        lines.append(_fitted(Text(f"… and {len(hidden)} more", style="dim"), width))
    return lines


def rows(view: TaskView, now: datetime, width: int, *, tell_apart: bool) -> list[Text]:
    """A task with everything that is known of it: one to three lines."""
    head = _between(_head(view, now, tell_apart=tell_apart), _times(view, now), width)
    if view.is_over or view.status == "pending":
        return [head]
    figures = Text(metrics(view.metrics), style="cyan")
    facts = [
        Text(fact)
        for fact in (
            percent_said(view.progress),
            count_said(view.progress),
            rate_said(view.progress),
        )
        if fact
    ]
    room = width - 2 - _MIN_BAR
    beside = [*facts, figures] if figures else facts
    own_line = sum(len(_GAP) + fact.cell_len for fact in beside) > room
    lines = [head, _bar_line(view, now, facts if own_line else beside, width)]
    if own_line and figures:
        lines.append(_fitted(Text(_GAP).append_text(figures), width))
    return lines


def _compact(view: TaskView, now: datetime, width: int, *, tell_apart: bool) -> Text:
    tail = Text(percent_said(view.progress) if view.status == "running" else "")
    left = _times(view, now)
    if tail and left:
        tail.append(_GAP)
    return _between(_head(view, now, tell_apart=tell_apart), tail.append_text(left), width)


def _head(view: TaskView, now: datetime, *, tell_apart: bool) -> Text:
    style = style_of_word(view.status)
    frame = int(now.timestamp() * _SPINS_PER_S) % len(_SPINNER)
    mark = _MARKS.get(view.status, "·" if view.status != "running" else _SPINNER[frame])
    head = Text.assemble((mark, style or "green"), " ", (view.name, "bold"))
    if tell_apart:
        head.append(f" {view.task_id[-6:]}", "dim")
    return head.append(_GAP).append(view.doing, style)


def _times(view: TaskView, now: datetime) -> Text:
    elapsed_s, left_s = view.elapsed_s(now), view.left_s(now)
    if view.status == "pending":
        return Text(_wait(view, left_s), style="dim")
    parts = [
        "" if elapsed_s is None else duration(elapsed_s),
        "" if left_s is None else f"{duration(left_s)} left",
    ]
    return Text(_GAP.join(part for part in parts if part), style="dim")


def _wait(view: TaskView, left_s: float | None) -> str:
    if left_s is None:
        return ""
    low, high = number(view.queue.get("eta_low")), number(view.queue.get("eta_high"))
    between = "" if low is None or high is None else f" ({duration(low)} to {duration(high)})"
    return f"starts in {duration(left_s)}{between}"


def _bar_line(view: TaskView, now: datetime, facts: Sequence[Text], width: int) -> Text:
    tail = Text()
    for fact in facts:
        if 2 + _MIN_BAR + tail.cell_len + len(_GAP) + fact.cell_len > width:
            break
        tail.append(_GAP).append_text(fact)
    cells = max(1, min(_MAX_BAR, width - 2 - tail.cell_len))
    return _fitted(Text(_GAP).append_text(_bar(view.percent, now, cells)).append_text(tail), width)


def _bar(percent: float | None, now: datetime, cells: int) -> Text:
    if percent is None:
        # Without a total the bar only shows that something moves.
        start = int(now.timestamp() * _SPINS_PER_S) % cells
        marks = {(start + offset) % cells for offset in range(min(_PULSE, cells))}
        return Text.assemble(
            *(("━", "green" if cell in marks else "bright_black") for cell in range(cells))
        )
    halves = int(min(max(percent, 0.0), 100.0) / 100 * cells * 2)
    done, half = divmod(halves, 2)
    return Text.assemble(
        ("━" * done + "╸" * half, "green"), ("━" * (cells - done - half), "bright_black")
    )


def _between(left: Text, right: Text, width: int) -> Text:
    """Both on one line, the right one at its end; the left one gives way first."""
    if not right:
        return _fitted(left, width)
    room = width - right.cell_len - len(_GAP)
    if room < width // 3:
        return _fitted(left, width)
    left = _fitted(left, room)
    left.pad_right(width - right.cell_len - left.cell_len)
    return left.append_text(right)


def _fitted(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
