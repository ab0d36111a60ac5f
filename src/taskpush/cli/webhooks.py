"""`taskpush webhooks`: the secrets that a server signs with, where its data is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from taskpush.cli.exits import EXIT_CODES_HELP, ExitCode
from taskpush.cli.text import clean

Data = Annotated[
    Path, typer.Option(envvar="TASKPUSH_DATA", help="The server's folder, where secrets are kept.")
]

webhooks = typer.Typer(
    help="Secrets that webhooks are signed with. The server need not run, and heeds changes at"
    " once.",
    no_args_is_help=True,
)


@webhooks.command(epilog=EXIT_CODES_HELP)
def secret(data: Data = Path(".taskpush")) -> None:
    """Print the secret that receivers check signatures with; the first is made now."""
    from taskpush.access.webhook_secrets import ensure_secret

    if not data.exists():
        typer.echo(clean(f"taskpush: {data} is new; no server has kept its data there"), err=True)
    typer.echo(_newest(ensure_secret, data))


@webhooks.command(epilog=EXIT_CODES_HELP)
def rotate(data: Data = Path(".taskpush")) -> None:
    """Make a new secret and print it. The one before signs, too, until `retire`."""
    from taskpush.access.webhook_secrets import rotate as carry_out

    typer.echo(_newest(carry_out, data))
    typer.echo("Give it to the receivers, then say: taskpush webhooks retire", err=True)


@webhooks.command(epilog=EXIT_CODES_HELP)
def retire(data: Data = Path(".taskpush")) -> None:
    """Sign by the newest secret alone."""
    from taskpush.access.webhook_secrets import retire as carry_out

    _newest(carry_out, data)


def _newest(act: Callable[[Path], list[str]], data: Path) -> str | None:
    """The newest secret after the act; None when there is none. Problems end the command."""
    from taskpush.access.webhook_secrets import FILE, SecretProblem

    try:
        return next(iter(act(data / FILE)), None)
    except (SecretProblem, OSError) as error:
        typer.echo(clean(f"taskpush: {error}"), err=True)
        raise typer.Exit(ExitCode.REFUSED) from None
