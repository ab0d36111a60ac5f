"""The commands about one task, and the list of them: from `submit` to `delete`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from taskpush.cli import complete
from taskpush.cli.exits import ExitCode, errors_told
from taskpush.cli.files import apart, with_files
from taskpush.cli.json_lines import print_json_line
from taskpush.cli.listing import show_artifacts, show_task, show_tasks
from taskpush.cli.options import (
    DEFAULT_SERVER,
    ActiveTaskId,
    CompletedTaskId,
    JsonLinesOption,
    KindOption,
    OverTaskId,
    RetryableTaskId,
    Server,
    TaskId,
    Token,
    client_for,
)
from taskpush.cli.values import params_of


def submit(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="What to run: see `kinds`.", autocompletion=complete.kinds
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE",
            help="Params; a value is JSON or else text, @FILE for a param that takes a file.",
            autocompletion=complete.params,
        ),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Params as JSON; - reads stdin.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Watch it until it is over.")] = False,
    title: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Create a task; prints its id, or watches it with --watch."""
    values, files = apart(words or ())
    params = params_of(values, json_file)
    with client_for(server, token) as client:
        filled = with_files(client, kind, params, files)
        task = client.create_task(kind, filled, title=title)
    if watch:
        raise typer.Exit(_watched(task.task_id, server, token, json_lines=json_lines))
    _tell(task.task_id, task, json_lines=json_lines)


def list_tasks(
    status: Annotated[str | None, typer.Option(help="Only tasks with this status.")] = None,
    kind: KindOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """List tasks, newest first."""
    with client_for(server, token) as client:
        tasks = client.list_tasks(status=status, kind=kind, limit=limit)
        show_tasks(tasks, json_lines=json_lines)


def show(
    task_id: TaskId,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show what is known of a task: its state, its progress, its params."""
    with client_for(server, token) as client:
        show_task(client.get_task(task_id), json_lines=json_lines)


def result(
    task_id: CompletedTaskId,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Print what a completed task returned, as JSON."""
    with client_for(server, token) as client:
        value = client.get_task_result(task_id)
        typer.echo(json.dumps(value, ensure_ascii=False, indent=None if json_lines else 2))


def cancel(
    task_id: ActiveTaskId,
    keep: Annotated[
        bool, typer.Option("--keep", help="End it interrupted, for `retry` to go on with.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Ask a task to end; a running one ends when its handler has stopped."""
    with client_for(server, token) as client:
        task = client.cancel(task_id, keep=keep)
    over = task.final or task.status == "interrupted"
    said = task.status if over else f"{task.status}, asked to stop"
    _tell(said, task, json_lines=json_lines)


def retry(
    task_id: RetryableTaskId,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Not from the newest checkpoint.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Watch it until it is over.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Give a task that failed, was cancelled or interrupted another attempt."""
    with client_for(server, token) as client:
        task = client.retry(task_id, from_start=from_start)
    if watch:
        raise typer.Exit(_watched(task.task_id, server, token, json_lines=json_lines))
    _tell(f"{task.status}, attempt {task['attempt']}", task, json_lines=json_lines)


def delete(
    task_id: OverTaskId,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Delete a task that is over, with its events and artifacts."""
    with client_for(server, token) as client:
        client.delete(task_id)
    _tell("deleted", {"task_id": task_id, "deleted": True}, json_lines=json_lines)


def artifacts(
    task_id: TaskId,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """List the files that a task has made, with their addresses."""
    with client_for(server, token) as client:
        show_artifacts(client.artifacts(task_id), client.server_url, json_lines=json_lines)


def _watched(task_id: str, server: str, token: str | None, *, json_lines: bool) -> ExitCode:
    """Show the task until it is over; ends as it did."""
    # Loaded by those who watch.
    from taskpush.cli.watching.following import Followed
    from taskpush.cli.watching.session import Watching

    with errors_told():
        return Watching(server, token, json_lines).tasks(Followed({task_id: None}))


def _tell(said: str, answer: Mapping[str, Any], *, json_lines: bool) -> None:
    """What the server answered, as a line of JSON; without `--json-lines` what it comes to."""
    if json_lines:
        print_json_line(sys.stdout, dict(answer))
    else:
        typer.echo(said)
