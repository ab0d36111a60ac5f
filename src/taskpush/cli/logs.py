"""The command `logs`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from taskpush.cli.exits import ExitCode, errors_told
from taskpush.cli.options import DEFAULT_SERVER, JsonLinesOption, Server, TaskId, Token
from taskpush.cli.values import duration_of


class Level(StrEnum):
    """From the least to the most important."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def logs(
    task_id: TaskId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the task is over.")
    ] = False,
    level: Annotated[Level, typer.Option(help="Only from this level on.")] = Level.DEBUG,
    since: Annotated[
        timedelta | None,
        typer.Option(parser=duration_of, metavar="AGE", help="Only what is newer: 10min, 2h."),
    ] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=0, help="Of what there is only so many lines.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Print what a task has logged, and the errors of its attempts."""
    # Loaded by those who read logs: help and completion answer at once.
    from taskpush.cli.logbook import Logbook, Wanted

    moment = None if since is None else datetime.now(UTC) - since
    wanted = Wanted(tuple(Level)[tuple(Level).index(level) :], moment)
    book = Logbook(task_id.lower(), wanted, json_lines=json_lines)
    with errors_told():
        try:
            asyncio.run(book.print_from(server, token, tail=tail, follow=follow))
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.STOPPED) from None
