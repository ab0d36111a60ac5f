"""All commands by their names, and those that work on a server's own folder.

What talks to a server is in `tasks`, `watch`, `logs` and `overview`. All share the exit codes.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from taskpush.cli import overview, tasks
from taskpush.cli.doctor.command import doctor
from taskpush.cli.exits import EXIT_CODES_HELP
from taskpush.cli.keys import keys
from taskpush.cli.logs import logs
from taskpush.cli.options import DEFAULT_SERVER, JsonLinesOption, Server, Token
from taskpush.cli.values import duration_of, size_of
from taskpush.cli.watching.command import watch
from taskpush.cli.webhooks import webhooks
from taskpush.core.retention import Keep, Retention

app = typer.Typer(
    help="Run long jobs and watch every step of them live.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"taskpush {version('taskpush')}")
        raise typer.Exit


@app.callback()
def taskpush(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Run long jobs and watch every step of them live."""


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def serve(context: typer.Context) -> None:
    """Serve the tasks of a Python module: `taskpush serve module:push`."""
    from taskpush.cli.serving.collecting import collect_later

    collect_later()
    # The server's half of the package is loaded by those who serve.
    from taskpush.cli.serving.command import serve as command

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
    from taskpush.cli.running.command import run_command

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


for command in (
    tasks.submit,
    watch,
    tasks.result,
    tasks.cancel,
    tasks.retry,
    tasks.delete,
    tasks.artifacts,
    logs,
    tasks.show,
    overview.queue,
    overview.kinds,
    overview.stats,
    overview.audit,
    overview.connections,
    doctor,
):
    app.command(epilog=EXIT_CODES_HELP)(command)
app.command("list", epilog=EXIT_CODES_HELP)(tasks.list_tasks)
app.add_typer(keys, name="keys")
app.add_typer(webhooks, name="webhooks")


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
