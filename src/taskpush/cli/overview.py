"""The commands about the server's tasks as a whole: what it runs, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from taskpush.cli import complete
from taskpush.cli.exits import ExitCode
from taskpush.cli.listing import (
    show_audit,
    show_connections,
    show_days,
    show_kind,
    show_kinds,
    show_queues,
)
from taskpush.cli.options import (
    DEFAULT_SERVER,
    JsonLinesOption,
    KindOption,
    Server,
    Token,
    client_for,
)
from taskpush.cli.text import clean
from taskpush.cli.values import duration_of


def kinds(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help="Only this one, with its params.", autocompletion=complete.kinds
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """List what the server can run; of one kind, what its params mean."""
    with client_for(server, token) as client:
        known = client.kinds()
        if name is None:
            show_kinds(known, json_lines=json_lines)
            return
        chosen = [kind for kind in known if kind["name"] == name]
        if not chosen:
            typer.echo(clean(f"taskpush: the server has no kind {name}"), err=True)
            raise typer.Exit(ExitCode.REFUSED)
        show_kind(chosen[0], json_lines=json_lines)


def queue(
    kind: KindOption = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show who waits, in order, when they start, and how many run at once."""
    with client_for(server, token) as client:
        show_queues(client.queue(kind), json_lines=json_lines)


def stats(
    kind: KindOption = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="So many, today included.")] = 30,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show what became of tasks, per day and kind."""
    with client_for(server, token) as client:
        show_days(client.stats(kind, days=days)["days"], json_lines=json_lines)


def audit(
    task_id: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK_ID",
            help="Only what was done to it.",
            autocompletion=complete.recent_tasks,
        ),
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
    with client_for(server, token) as client:
        entries = client.audit(
            task_id=task_id, owner=owner, action=action, since=moment, limit=limit
        )
        show_audit(entries, json_lines=json_lines)


def connections(
    task_id: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK_ID",
            help="Only who watches it.",
            autocompletion=complete.recent_tasks,
        ),
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show who watches what, since when, and what waits for them, newest first; for admins."""
    with client_for(server, token) as client:
        found = client.connections(task_id=task_id, owner=owner, limit=limit)
        show_connections(found, json_lines=json_lines)
