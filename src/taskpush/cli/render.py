"""Showing a watched task: a live bar on a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

from taskpush.cli.text import clean, clock_time, duration, metrics, one_line, size
from taskpush.client import Client, Resync, WatchEvent, WatchItem

_STYLES: Final = {
    "completed": "bold green",
    "failed": "bold red",
    "error": "red",
    "warning": "yellow",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "debug": "dim",
}
_PLAIN_STEP_PERCENT: Final = 10
_FIELDS: Final = ("percent", "iteration", "remaining", "metrics", "link")


class Renderer(Protocol):
    """Shows the items of one watch, in their order."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, item: WatchItem) -> None:
        """Show one item."""
        ...

    def connection(self, connected: bool) -> None:
        """The connection was lost, or is back. Any thread may say so."""
        ...


def renderer_for(stream: TextIO, *, json_lines: bool = False) -> Renderer:
    """What fits the stream."""
    if json_lines:
        return JsonLines(stream)
    console = Console(file=stream, highlight=False, soft_wrap=True)
    return Bar(console) if console.is_terminal else Lines(stream)


def follow(client: Client, task_id: str, renderer: Renderer, *, after: str | None = None) -> str:
    """Show the task until it is over; returns its status then."""
    status = ""
    for item in client.watch(task_id, after):
        renderer.show(item)
        if item.event_type in ("status_change", "resync"):
            status = str(item.data.get("status", ""))
    return status or client.get_task(task_id).status


class _Plain:
    """Base: nothing to set up, nothing to say about the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    def connection(self, connected: bool) -> None:
        return


class JsonLines(_Plain):
    """One envelope per line, as it came; a `resync` as its payload with `event_type`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, item: WatchItem) -> None:
        raw = item.raw if isinstance(item, WatchEvent) else {"event_type": "resync", **item.raw}
        print_json_line(self._stream, raw)


class Lines(_Plain):
    """One line per logged event, and progress every ten percent or stage."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_percent = -100.0
        self._shown_stage = ""

    def show(self, item: WatchItem) -> None:
        line = said(item)
        if item.event_type == "progress" and self._worth_a_line(item.data):
            line = _progress_line(item.data)
        if line is not None:
            when = clock_time(item.timestamp) if isinstance(item, WatchEvent) else "--:--:--"
            print(when, line, file=self._stream, flush=True)

    def _worth_a_line(self, data: Mapping[str, Any]) -> bool:
        percent = _number(data.get("progress_percent")) or 0.0
        stage = str(data.get("stage") or "")
        # A new attempt starts from the beginning.
        if percent < self._shown_percent:
            self._shown_percent = -100.0
        if stage == self._shown_stage and percent < self._shown_percent + _PLAIN_STEP_PERCENT:
            return False
        self._shown_percent, self._shown_stage = percent, stage
        return True


class Bar:
    """A bar that stays at the bottom, with everything that is logged above it."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(*_columns(), console=console, expand=True)
        fields: dict[str, Any] = dict.fromkeys(_FIELDS, "")
        self._task = self._progress.add_task("waiting", total=100.0, **fields)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, item: WatchItem) -> None:
        match item.event_type:
            case "progress":
                self._show_progress(item.data)
            case "queue":
                self._update(description=f"queue position {item.data.get('position')}")
            case "iteration_complete":
                self._update(metrics=metrics(_mapping(item.data.get("metrics"))))
            case "status_change":
                self._show_status(item.data)
        line = said(item)
        # Iterations pass by on the bar.
        if line is not None and item.event_type != "iteration_complete":
            self._progress.console.print(Text(line, style=_style(item)))

    def connection(self, connected: bool) -> None:
        self._update(link="" if connected else "connection lost, trying again …")

    def _show_progress(self, data: Mapping[str, Any]) -> None:
        percent = _number(data.get("progress_percent"))
        remaining_s = _number(data.get("eta_seconds"))
        self._update(
            description=one_line(str(data.get("stage") or data.get("message") or "running")),
            percent=_percent(data),
            iteration=_iteration(data),
            remaining="" if remaining_s is None else f"{duration(remaining_s)} left",
        )
        # Without a total the bar only shows that something moves.
        self._progress.update(
            self._task, total=None if percent is None else 100.0, completed=percent or 0.0
        )

    def _show_status(self, data: Mapping[str, Any]) -> None:
        status = clean(str(data.get("status", "")))
        self._update(description=status)
        if status == "completed":
            self._progress.update(self._task, total=100.0, completed=100.0)
            self._update(percent="100 %", remaining="")

    def _update(self, *, description: str | None = None, **fields: Any) -> None:
        self._progress.update(self._task, description=description, **fields)


def said(item: WatchItem) -> str | None:
    """The item as a line for people; None for what only moves the bar."""
    if isinstance(item, Resync):
        return f"history was cut ({one_line(item.reason)}); now {item.snapshot.get('status')}"
    data = item.data
    match item.event_type:
        case "status_change":
            return _joined(str(data.get("status")), data.get("message"), data.get("reason"))
        case "iteration_complete":
            figures = metrics(_mapping(data.get("metrics")))
            return f"iteration {data.get('iteration')}: {figures}"
        case "log":
            return f"{data.get('level', 'info')}: {clean(str(data.get('message', '')))}"
        case "error":
            again = " (will be tried again)" if data.get("will_retry") else ""
            return clean(f"error: {data.get('error_type', '')}: {data.get('error', '')}{again}")
        case "artifact":
            bytes_ = size(_number(data.get("size_bytes")) or 0)
            return clean(f"artifact {data.get('name')} ({bytes_}) {data.get('url', '')}".rstrip())
        case "checkpoint":
            return _joined("checkpoint", data.get("label"))
    return None


def print_json_line(stream: TextIO, value: Mapping[str, Any]) -> None:
    """The value as one line of JSON, written at once."""
    print(json.dumps(value, ensure_ascii=False), file=stream, flush=True)


def _columns() -> list[ProgressColumn]:
    return [
        SpinnerColumn(finished_text="•"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        *(_field(name) for name in _FIELDS),
    ]


def _field(name: str) -> ProgressColumn:
    column = Column(no_wrap=True, overflow="ellipsis")
    return TextColumn(f"{{task.fields[{name}]}}", markup=False, table_column=column)


def _progress_line(data: Mapping[str, Any]) -> str:
    remaining_s = _number(data.get("eta_seconds"))
    parts = [
        "progress",
        _percent(data),
        _iteration(data),
        one_line(str(data.get("stage") or "")),
        one_line(str(data.get("message") or "")),
        "" if remaining_s is None else f"{duration(remaining_s)} left",
    ]
    return " ".join(part for part in parts if part)


def _percent(data: Mapping[str, Any]) -> str:
    percent = _number(data.get("progress_percent"))
    return "" if percent is None else f"{percent:.0f} %"


def _iteration(data: Mapping[str, Any]) -> str:
    current, last = data.get("current_iteration"), data.get("max_iterations")
    if current is not None:
        return f"iteration {current}/{last}" if last is not None else f"iteration {current}"
    done, total = _number(data.get("completed")), _number(data.get("total"))
    if done is None:
        return ""
    unit = one_line(str(data.get("unit") or ""))
    return f"{done:g}/{total:g} {unit}".rstrip() if total is not None else f"{done:g} {unit}"


def _joined(head: str, *more: object) -> str:
    tail = ", ".join(one_line(str(part)) for part in more if part)
    return f"{one_line(head)}: {tail}" if tail else one_line(head)


def _style(item: WatchItem) -> str:
    word = item.data.get("status") if item.event_type == "status_change" else item.event_type
    return _STYLES.get(str(item.data.get("level") or word), "")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
