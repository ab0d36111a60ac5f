"""The commands that go on: `watch`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from taskpush.cli.exits import ExitCode, errors_told, exit_code_of
from taskpush.cli.options import (
    DEFAULT_SERVER,
    JsonLinesOption,
    Server,
    TaskId,
    Token,
    client_for,
)
from taskpush.cli.render import Renderer, follow, renderer_for
from taskpush.client import Client


def watch(
    task_id: TaskId,
    after: Annotated[
        str | None,
        typer.Option(help="Start after this position, epoch:seq or seq, or `now`."),
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show a task live until it is over. Ctrl-C stops the watching, not the task."""
    renderer = renderer_for(sys.stdout, json_lines=json_lines)
    with errors_told(), client_for(server, token, renderer) as client:
        # A watch waits for a task that does not exist yet; here that is a mistake.
        client.get_task(task_id)
        raise typer.Exit(watched(client, task_id, renderer, after=after))


def watched(
    client: Client, task_id: str, renderer: Renderer, *, after: str | None = None
) -> ExitCode:
    """Show the task until it is over, or until Ctrl-C."""
    try:
        with renderer:
            status = follow(client, task_id, renderer, after=after)
    except KeyboardInterrupt:
        typer.echo(
            f"\nNo longer watching; the task goes on. Again: taskpush watch {task_id}", err=True
        )
        return ExitCode.STOPPED
    return exit_code_of(status)
