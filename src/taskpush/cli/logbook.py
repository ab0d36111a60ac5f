"""The log of a task, read from its end or its start, and followed."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text

from taskpush.cli.json_lines import print_json_line
from taskpush.cli.options import async_client_for
from taskpush.cli.text import clean, clock_time
from taskpush.cli.watching.render import ConnectionNotices
from taskpush.cli.watching.said import mapping, mark_of, said, style_of_word
from taskpush.client import AsyncClient, RequestRefused, Resync, WatchEvent
from taskpush.models.position import Position

_FIRST_LOOK: Final = 200
"""So many events at the end of a log are read for a few lines, then four times as many, …"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines of a log are wanted."""

    levels: Sequence[str]
    # None means from the start.
    since: datetime | None

    def has(self, event: WatchEvent) -> bool:
        """Whether it is a line, and wanted."""
        level = level_of(event)
        newer = self.since is None or event.timestamp >= self.since
        # A level of somebody's own is none that anybody could have left out.
        return level is not None and newer and (level in self.levels or level not in _LEVELS)


_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})


def level_of(event: WatchEvent) -> str | None:
    """The level of a line of the log; None for what is no line of it."""
    if event.event_type == "error":
        return "error"
    return str(event.data.get("level") or "info") if event.event_type == "log" else None


@dataclass(slots=True)
class Logbook:
    """The lines of one task on standard output."""

    task_id: str
    wanted: Wanted
    json_lines: bool
    # None until an event was read.
    _position: Position | None = None
    _console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))

    async def print_from(
        self, server: str, token: str | None, *, tail: int | None, follow: bool
    ) -> None:
        """Print what there is, the newest `tail` lines or all, then `follow` until it is over."""
        notices = ConnectionNotices(sys.stderr)
        async with async_client_for(server, token, notices.connection) as client:
            with notices:
                if tail is None:
                    async for event in client.events(self.task_id):
                        self._read(event)
                else:
                    for event in await self._newest(client, tail):
                        self._print(event)
                if follow:
                    await self._follow(client)

    async def _newest(self, client: AsyncClient, count: int) -> Sequence[WatchEvent]:
        """The newest lines, without reading a long log from its start."""
        task = await client.get_task(self.task_id)
        head = int(mapping(task["position"])["seq"])
        look = max(_FIRST_LOOK, 2 * count)
        while True:
            start = max(0, head - look)
            try:
                lines = await self._last(client, start, count)
            except RequestRefused as error:
                if error.code != "position_gone":
                    raise
                # Retention has trimmed it meanwhile; its start is where it begins now.
                start = 0
                lines = await self._last(client, start, count)
            if len(lines) == count or start == 0:
                return lines
            look *= 4

    async def _last(self, client: AsyncClient, start: int, count: int) -> Sequence[WatchEvent]:
        lines: deque[WatchEvent] = deque(maxlen=count)
        async for event in client.events(self.task_id, start):
            self._position = event.position
            if self.wanted.has(event):
                lines.append(event)
        return lines

    async def _follow(self, client: AsyncClient) -> None:
        after = None if self._position is None else str(self._position)
        async for item in client.watch(self.task_id, after):
            if isinstance(item, Resync):
                typer.echo(clean(said(item) or ""), err=True)
            elif item.seq is not None:
                self._read(item)

    def _read(self, event: WatchEvent) -> None:
        self._position = event.position
        if self.wanted.has(event):
            self._print(event)

    def _print(self, event: WatchEvent) -> None:
        if self.json_lines:
            print_json_line(sys.stdout, event.raw)
            return
        level = level_of(event) or ""
        mark = level if event.event_type == "error" else mark_of(event.data)
        if event.event_type == "error":
            text = (said(event) or "").removeprefix("error: ")
        else:
            text = clean(str(event.data.get("message", "")))
        if not self._console.is_terminal:
            when = event.timestamp.astimezone().isoformat(sep=" ", timespec="milliseconds")
            words = (when, clean(mark).ljust(7), text, _fields(event))
            typer.echo(" ".join(filter(None, words)))
            return
        line = Text.assemble(
            (f"{self._when(event.timestamp)} ", "dim"),
            (f"{clean(mark):<7} {text}", style_of_word(level)),
        )
        if fields := _fields(event):
            line.append(f"  {fields}", "dim")
        self._console.print(line)

    def _when(self, moment: datetime) -> str:
        local = moment.astimezone()
        today = local.date() == datetime.now().astimezone().date()
        return clock_time(moment) if today else local.strftime("%Y-%m-%d %H:%M:%S")


def _fields(event: WatchEvent) -> str:
    fields: dict[str, Any] = dict(event.data.get("fields") or {})
    if mark_of(event.data) == "stderr":
        # The line says so already.
        del fields["stream"]
    return clean(
        " ".join(
            f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            for name, value in fields.items()
        )
    )
