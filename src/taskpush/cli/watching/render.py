"""Showing what is watched: bars on a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from taskpush.cli.json_lines import print_json_line
from taskpush.cli.text import clock_time, duration, number, one_line
from taskpush.cli.watching.bars import board
from taskpush.cli.watching.said import joined, mapping, progress_said, said, style_of, style_of_word
from taskpush.cli.watching.view import TaskView, name_of
from taskpush.client import FeedItem, FeedReset, Task, WatchEvent, WatchItem

RESET: Final = "the server cannot tell what changed; the list begins anew"
LOST: Final = "connection lost, trying again …"
_PLAIN_STEP_PERCENT: Final = 10
_MOST_LINES: Final = 500
"""Lines that wait for the next tick; a replay has thousands of them, and a tick draws the bars."""

_TOLD_ENDS: Final = 1000


class Renderer(Protocol):
    """Shows what is watched, in its order, between entering and leaving it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def expect(self, task: Task) -> None:
        """The task's items will come."""
        ...

    def show(self, item: WatchItem) -> None:
        """Show one item of a task that was expected."""
        ...

    def change(self, item: FeedItem) -> None:
        """Show one item of a feed."""
        ...

    def connection(self, connected: bool) -> None:
        """The connection was lost, or is there."""
        ...

    def tick(self) -> None:
        """Time has passed. To be called several times a second."""
        ...


def renderer_for(stream: TextIO, *, json_lines: bool = False) -> Renderer:
    """What fits the stream."""
    if json_lines:
        return JsonLines(stream)
    console = Console(file=stream, highlight=False, soft_wrap=True)
    return Bars(console) if console.is_terminal else Lines(stream, sys.stderr)


class _Plain:
    """Base: nothing to set up, nothing that moves."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    def expect(self, task: Task) -> None:
        return

    def connection(self, connected: bool) -> None:
        return

    def tick(self) -> None:
        return


class JsonLines(_Plain):
    """One envelope per line, as it came; a `resync` as its payload with `event_type`.

    Of a feed `{feed, task, cursor}`, with the task as it came, or `{feed, reset: true}`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, item: WatchItem) -> None:
        raw = item.raw if isinstance(item, WatchEvent) else {"event_type": "resync", **item.raw}
        print_json_line(self._stream, raw)

    def change(self, item: FeedItem) -> None:
        if isinstance(item, FeedReset):
            print_json_line(self._stream, {"feed": item.feed, "reset": True})
            return
        gone = {"task_id": item.task_id, "deleted": True}
        task = gone if item.task is None else dict(item.task)
        print_json_line(self._stream, {"feed": item.feed, "task": task, "cursor": item.cursor})


class ConnectionNotices:
    """Says on a stream that the connection was lost, and that it is back; until it is left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = False
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The connection that ends now is not lost.
        self._left = True

    def connection(self, connected: bool) -> None:
        """The connection was lost, or is there."""
        if self._lost == connected and not self._left:
            self._lost = not connected
            print("connected again" if connected else LOST, file=self._stream, flush=True)


class Lines(ConnectionNotices, _Plain):
    """One line per logged event, and progress every ten percent or stage.

    Lines of several tasks begin with the task's name. What is to be said of the connection goes
    to `notices`.
    """

    def __init__(self, stream: TextIO, notices: TextIO) -> None:
        super().__init__(notices)
        self._out = stream
        self._names = _Names()
        # By task id.
        self._shown_progress: dict[str, tuple[float, str]] = {}
        self._shown_status: dict[str, tuple[object, object]] = {}

    def expect(self, task: Task) -> None:
        self._names.add(task)

    def show(self, item: WatchItem) -> None:
        line = said(item)
        if item.event_type == "progress" and self._worth_a_line(item.task_id, item.data):
            line = progress_said(item.data)
        if line is not None:
            when = clock_time(item.timestamp) if isinstance(item, WatchEvent) else "--:--:--"
            self._print(when, item.task_id, line)

    def change(self, item: FeedItem) -> None:
        now = clock_time(datetime.now(UTC))
        if isinstance(item, FeedReset):
            print(now, RESET, file=self._out)
            return
        task = item.task
        self._names.several = True
        if task is None:
            self._shown_status.pop(item.task_id, None)
            self._shown_progress.pop(item.task_id, None)
            self._print(now, item.task_id, "deleted")
            return
        self._names.add(task)
        status = (task.status, task.get("attempt"))
        if self._shown_status.get(item.task_id) != status:
            self._shown_status[item.task_id] = status
            self._print(now, item.task_id, joined(task.status, task.get("message")))
        progress = mapping(mapping(task.get("latest")).get("progress"))
        if task.status == "running" and progress and self._worth_a_line(item.task_id, progress):
            self._print(now, item.task_id, progress_said(progress))

    def _print(self, when: str, task_id: str, line: str) -> None:
        print(when, f"{self._names.prefix(task_id)}{line}", file=self._out, flush=True)

    def _worth_a_line(self, task_id: str, data: Mapping[str, Any]) -> bool:
        percent = number(data.get("progress_percent")) or 0.0
        stage = str(data.get("stage") or "")
        shown_percent, shown_stage = self._shown_progress.get(task_id, (-100.0, ""))
        # A new attempt starts from the beginning.
        if percent < shown_percent:
            shown_percent = -100.0
        if stage == shown_stage and percent < shown_percent + _PLAIN_STEP_PERCENT:
            return False
        self._shown_progress[task_id] = (percent, stage)
        return True


class Bars:
    """Bars that stay at the bottom, with everything that is logged above them.

    Bars of a feed come and go with its tasks. `now` is the clock by which times are told.
    """

    def __init__(self, console: Console, now: Callable[[], datetime] | None = None) -> None:
        self._console = console
        self._now = now or _now
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._views: dict[str, TaskView] = {}
        self._names = _Names()
        self._above: list[Text] = []
        # Tasks of a feed and attempts whose ends were said, the newest.
        self._told_ends: deque[tuple[str, object]] = deque(maxlen=_TOLD_ENDS)
        # Since when there is no connection; None while there is one, or none yet.
        self._lost_at: datetime | None = None

    def __enter__(self) -> Self:
        self._live.start()
        self.tick()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.tick()
        self._live.stop()

    def expect(self, task: Task) -> None:
        self._names.add(task)
        view = self._views[task.task_id] = TaskView(task.task_id, name_of(task))
        view.note_summary(task, self._now())

    def show(self, item: WatchItem) -> None:
        view = self._views.get(item.task_id)
        if view is not None:
            view.note(item, self._now())
        line = said(item)
        # Iterations pass by on the bar.
        if line is not None and item.event_type != "iteration_complete":
            at = item.timestamp if isinstance(item, WatchEvent) else self._now()
            self._say(at, item.task_id, Text(line, style=style_of(item)))

    def change(self, item: FeedItem) -> None:
        if isinstance(item, FeedReset):
            self._views.clear()
            return
        self._names.several = True
        if item.task is None:
            self._views.pop(item.task_id, None)
            return
        self._names.add(item.task)
        view = self._views.get(item.task_id) or TaskView(item.task_id, name_of(item.task))
        view.note_summary(item.task, self._now())
        if not view.is_over:
            self._views[item.task_id] = view
            return
        # Of one that is over a feed may still tell that its log was trimmed.
        ended = (item.task_id, item.task.get("attempt"))
        if ended not in self._told_ends:
            self._told_ends.append(ended)
            self._say(self._now(), item.task_id, Text(view.doing, style=style_of_word(view.status)))
        self._views.pop(item.task_id, None)

    def connection(self, connected: bool) -> None:
        self._lost_at = None if connected else self._lost_at or self._now()

    def tick(self) -> None:
        if self._above:
            lines, self._above = self._above, []
            self._console.print(Text("\n").join(lines))
        self._live.update(self._shown(), refresh=True)

    def _shown(self) -> Group:
        now = self._now()
        width, height = self._console.size
        # A terminal writes ^C behind the last line, where it must not begin another.
        width = max(1, width - len("^C"))
        # One line is the prompt's, one tells of the connection.
        lines = board(
            tuple(self._views.values()),
            now,
            width=width,
            height=max(1, height - 2),
            tell_apart=self._names.several,
        )
        if self._lost_at is not None:
            since = duration((now - self._lost_at).total_seconds())
            lines.append(Text(f"{LOST} ({since})"[:width], style="bold yellow"))
        elif not lines:
            lines.append(Text("nothing waits or runs"[:width], style="dim"))
        return Group(*lines)

    def _say(self, at: datetime, task_id: str, line: Text) -> None:
        prefix = f"{clock_time(at)} {self._names.prefix(task_id)}"
        self._above.append(Text.assemble((prefix, "dim"), line))
        if len(self._above) >= _MOST_LINES:
            self.tick()


class _Names:
    """What the tasks are called on lines, where there are several."""

    def __init__(self) -> None:
        self.several = False
        self._names: dict[str, str] = {}

    def add(self, task: Task) -> None:
        self._names[task.task_id] = name_of(task)
        self.several = self.several or len(self._names) > 1

    def prefix(self, task_id: str) -> str:
        if not self.several:
            return ""
        return one_line(f"{self._names.get(task_id, '')} {task_id[-6:]}") + ": "


def _now() -> datetime:
    return datetime.now(UTC)
