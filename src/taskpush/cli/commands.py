"""The commands. Each says in its help what it takes, and all share the exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from taskpush.cli.exits import EXIT_CODES_HELP, ExitCode, errors_told, exit_code_of
from taskpush.cli.keys import keys
from taskpush.cli.listing import show_artifacts, show_audit, show_days, show_kinds, show_tasks
from taskpush.cli.render import Renderer, follow, print_json_line, renderer_for
from taskpush.cli.values import duration_of, params_of, size_of
from taskpush.cli.webhooks import webhooks
from taskpush.client import Client
from taskpush.core.retention import Keep, Retention

DEFAULT_SERVER: Final = "http://127.0.0.1:8000"

Server = Annotated[
    str,
    typer.Option("--server", envvar="TASKPUSH_SERVER", help="Address of the server."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="TASKPUSH_TOKEN",
        help="API key or token to show there; other users of the machine see options, so better"
        " as variable.",
    ),
]
JsonLinesOption = Annotated[
    bool, typer.Option("--json-lines", help="One JSON object per line, and nothing else.")
]
TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="The task's id.")]

app = typer.Typer(
    help="Run long jobs and watch every step of them live.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys, name="keys")
app.add_typer(webhooks, name="webhooks")


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def serve(context: typer.Context) -> None:
    """Serve the tasks of a Python module: `taskpush serve module:push`."""
    # The server's half of the package is loaded by those who serve.
    from taskpush.cli.serve import serve as command

    server = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    server.command()(command)
    server(context.args, prog_name="taskpush serve")


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The program and its words.")
    ],
    title: Annotated[
        str | None, typer.Option(help="What people call it; by default its first words.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the task; repeatable.")] = None,
    grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="From SIGTERM to SIGKILL, on a cancel.")
    ] = 10,
    pty: Annotated[
        bool | None,
        typer.Option(
            "--pty/--no-pty",
            help="Whether it writes to terminals, which is when most programs draw bars. By"
            " default where this command does.",
            show_default=False,
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Run a program as a task that can be watched: `taskpush run -- rsync -a here there`.

    Its output goes where it would go, and it ends as it would end: with its own exit code.
    """
    from taskpush.cli.run import run_command

    try:
        code = run_command(
            command,
            server=server,
            token=token,
            title=title,
            tags=tag or (),
            grace_s=grace,
            pty=pty,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None
    raise typer.Exit(code)


@app.command(epilog=EXIT_CODES_HELP)
def submit(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to run: see `kinds`.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Params; a value is JSON or else text."),
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
    params = params_of(words or (), json_file)
    renderer = renderer_for(sys.stdout, json_lines=json_lines)
    with errors_told(), client_for(server, token, renderer) as client:
        task = client.create_task(kind, params, title=title)
        if watch:
            raise typer.Exit(_watched(client, task.task_id, renderer))
        if json_lines:
            print_json_line(sys.stdout, dict(task))
        else:
            typer.echo(task.task_id)


@app.command(epilog=EXIT_CODES_HELP)
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
        raise typer.Exit(_watched(client, task_id, renderer, after=after))


@app.command("list", epilog=EXIT_CODES_HELP)
def list_tasks(
    status: Annotated[str | None, typer.Option(help="Only tasks with this status.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only tasks of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """List tasks, newest first."""
    with errors_told(), client_for(server, token) as client:
        tasks = client.list_tasks(status=status, kind=kind, limit=limit)
        show_tasks(tasks, json_lines=json_lines)


@app.command(epilog=EXIT_CODES_HELP)
def cancel(
    task_id: TaskId,
    keep: Annotated[
        bool, typer.Option("--keep", help="End it interrupted, for `retry` to go on with.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Ask a task to end; a running one ends when its handler has stopped."""
    with errors_told(), client_for(server, token) as client:
        task = client.cancel(task_id, keep=keep)
        if json_lines:
            print_json_line(sys.stdout, dict(task))
        else:
            over = task.final or task.status == "interrupted"
            typer.echo(task.status if over else f"{task.status}, asked to stop")


@app.command(epilog=EXIT_CODES_HELP)
def retry(
    task_id: TaskId,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Not from the newest checkpoint.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Watch it until it is over.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Give a task that failed, was cancelled or interrupted another attempt."""
    renderer = renderer_for(sys.stdout, json_lines=json_lines)
    with errors_told(), client_for(server, token, renderer) as client:
        task = client.retry(task_id, from_start=from_start)
        if watch:
            raise typer.Exit(_watched(client, task.task_id, renderer))
        if json_lines:
            print_json_line(sys.stdout, dict(task))
        else:
            typer.echo(f"{task.status}, attempt {task['attempt']}")


@app.command(epilog=EXIT_CODES_HELP)
def delete(task_id: TaskId, server: Server = DEFAULT_SERVER, token: Token = None) -> None:
    """Delete a task that is over, with its events and artifacts."""
    with errors_told(), client_for(server, token) as client:
        client.delete(task_id)
        typer.echo("deleted")


@app.command(epilog=EXIT_CODES_HELP)
def result(
    task_id: TaskId,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Print what a completed task returned, as JSON."""
    with errors_told(), client_for(server, token) as client:
        value = client.get_task_result(task_id)
        typer.echo(json.dumps(value, ensure_ascii=False, indent=None if json_lines else 2))


@app.command(epilog=EXIT_CODES_HELP)
def artifacts(
    task_id: TaskId,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """List the files that a task has made, with their addresses."""
    with errors_told(), client_for(server, token) as client:
        show_artifacts(client.artifacts(task_id), client.server_url, json_lines=json_lines)


@app.command(epilog=EXIT_CODES_HELP)
def kinds(
    server: Server = DEFAULT_SERVER, token: Token = None, json_lines: JsonLinesOption = False
) -> None:
    """List what the server can run."""
    with errors_told(), client_for(server, token) as client:
        show_kinds(client.kinds(), json_lines=json_lines)


@app.command(epilog=EXIT_CODES_HELP)
def stats(
    kind: Annotated[str | None, typer.Option(help="Only tasks of this kind.")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="So many, today included.")] = 30,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show what became of tasks, per day and kind."""
    with errors_told(), client_for(server, token) as client:
        show_days(client.stats(kind, days=days)["days"], json_lines=json_lines)


@app.command(epilog=EXIT_CODES_HELP)
def audit(
    task_id: Annotated[
        str | None, typer.Option("--task", metavar="TASK_ID", help="Only what was done to it.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Only what this owner asked for.")] = None,
    action: Annotated[
        str | None,
        typer.Option(
            help="Only cancel, retry, delete, issue_token, revoke_token, create_key or revoke_key."
        ),
    ] = None,
    since: Annotated[
        timedelta | None,
        typer.Option(parser=duration_of, metavar="AGE", help="Only what is newer: 7d, 12h."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show who did what, from where, newest first; for admins."""
    moment = None if since is None else datetime.now(UTC) - since
    with errors_told(), client_for(server, token) as client:
        entries = client.audit(
            task_id=task_id, owner=owner, action=action, since=moment, limit=limit
        )
        show_audit(entries, json_lines=json_lines)


@app.command(epilog=EXIT_CODES_HELP)
def prune(
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=duration_of, metavar="AGE", help="What ended longer ago: 30d, 12h."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="COUNT", help="All but so many, the newest.")
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option(parser=size_of, metavar="SIZE", help="What does not fit: 50GiB, 500MB."),
    ] = None,
    logs: Annotated[
        bool, typer.Option("--logs", help="Trim logs only; tasks, results and files stay.")
    ] = False,
    kind: Annotated[str | None, typer.Option(help="Only tasks of this kind.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and touch nothing.")
    ] = False,
    data: Annotated[
        Path, typer.Option(envvar="TASKPUSH_DATA", help="Folder for the database and artifacts.")
    ] = Path(".taskpush"),
    json_lines: JsonLinesOption = False,
) -> None:
    """Delete finished tasks beyond any of the limits, while no server runs."""
    limits = Keep(older_than, keep, max_size)
    if limits.is_unlimited:
        raise typer.BadParameter("say what goes: --older-than, --keep or --max-size")
    retention = Retention(**{"logs" if logs else "tasks": limits}, spare=timedelta(0))
    # The store is loaded by those who need it.
    from taskpush.cli.prune import Pruning
    from taskpush.cli.prune import prune as carry_out

    carry_out(Pruning(data, retention, kind, dry_run), json_lines=json_lines)


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of what servers push, which `/asyncapi.json` serves."""
    from importlib.metadata import version

    from taskpush.core.asyncapi import encoded_document

    typer.echo(encoded_document(version("taskpush")))


@contextmanager
def client_for(
    server: str, token: str | None, renderer: Renderer | None = None
) -> Iterator[Client]:
    """A client of that server, closed in the end; a usage error when it is no address."""
    on_change = None if renderer is None else renderer.connection
    try:
        client = Client(server, token=token, on_connection_change=on_change)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None
    with client:
        yield client


def _watched(
    client: Client, task_id: str, renderer: Renderer, *, after: str | None = None
) -> ExitCode:
    try:
        with renderer:
            status = follow(client, task_id, renderer, after=after)
    except KeyboardInterrupt:
        typer.echo(
            f"\nNo longer watching; the task goes on. Again: taskpush watch {task_id}", err=True
        )
        return ExitCode.STOPPED
    return exit_code_of(status)
