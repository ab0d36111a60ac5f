"""`taskpush keys`: the API keys of a server, made and revoked where its data is."""

from __future__ import annotations

import os
import pwd
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskpush.cli.exits import EXIT_CODES_HELP, ExitCode
from taskpush.cli.json_lines import print_json_line
from taskpush.cli.listing import show_keys
from taskpush.cli.options import JsonLinesOption
from taskpush.cli.text import clean
from taskpush.cli.values import duration_of

if TYPE_CHECKING:
    from taskpush.access.keys import ApiKey

Data = Annotated[
    Path, typer.Option(envvar="TASKPUSH_DATA", help="The server's folder, where keys are kept.")
]

keys = typer.Typer(
    help="API keys: who may use the server. It need not run, and heeds changes at once.",
    no_args_is_help=True,
)


@keys.command(epilog=EXIT_CODES_HELP)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.")],
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="create, read, control, report or admin; repeatable. Without: create, read and"
            " control."
        ),
    ] = None,
    owner: Annotated[
        str | None, typer.Option(help="Whose tasks it is for; without, the key's name.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Which tenant's; without, the server's own.")
    ] = None,
    expires: Annotated[
        timedelta | None,
        typer.Option(parser=duration_of, metavar="AGE", help="For how long it is good: 90d."),
    ] = None,
    data: Data = Path(".taskpush"),
    json_lines: JsonLinesOption = False,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept.

    With the first key, the server asks everybody who they are.
    """
    from taskpush.access import keys as store
    from taskpush.access.principal import LOCAL, Role

    try:
        roles = [Role(each) for each in role] if role else store.DEFAULT_ROLES
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--role") from None
    now = time.time()
    with _problems_told():
        key = store.create_key(
            data / store.FILE,
            name,
            roles=roles,
            owner=owner or name,
            tenant=tenant or LOCAL.tenant,
            now=now,
            expires_at=None if expires is None else now + expires.total_seconds(),
            by=_user(),
        )
    if json_lines:
        print_json_line(sys.stdout, {"name": name, "key": key})
    else:
        typer.echo(key)
    typer.echo("Keep it: it is not shown again. Show it as TASKPUSH_TOKEN or --token.", err=True)


@keys.command("list", epilog=EXIT_CODES_HELP)
def list_keys(data: Data = Path(".taskpush"), json_lines: JsonLinesOption = False) -> None:
    """List keys, the revoked ones too; never the keys themselves."""
    from taskpush.access import keys as store

    with _problems_told():
        found = store.read_keys(data / store.FILE)
    now = time.time()
    show_keys([_shown(key, now) for key in found], json_lines=json_lines)


@keys.command(epilog=EXIT_CODES_HELP)
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name, or its id.")],
    data: Data = Path(".taskpush"),
    json_lines: JsonLinesOption = False,
) -> None:
    """Let nobody in by that key any more; what it opened is closed within seconds."""
    from taskpush.access import keys as store

    with _problems_told():
        revoked = store.revoke_key(data / store.FILE, name, now=time.time(), by=_user())
    if json_lines:
        show_keys([_shown(revoked, time.time())], json_lines=True)
    else:
        typer.echo(f"revoked {revoked.name} ({revoked.id})")


@contextmanager
def _problems_told() -> Iterator[None]:
    from taskpush.access.keys import KeyProblem

    try:
        yield
    except (KeyProblem, OSError) as error:
        typer.echo(clean(f"taskpush: {error}"), err=True)
        raise typer.Exit(ExitCode.REFUSED) from None


def _shown(key: ApiKey, now: float) -> dict[str, object]:
    state = "revoked" if key.revoked_at is not None else "expired" if key.ended(now) else "in use"
    return {
        "name": key.name,
        "id": key.id,
        "state": state,
        "owner": key.owner,
        "tenant": key.tenant,
        "roles": [role.value for role in key.roles],
        "created_at": _time(key.created_at),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
    }


def _user() -> str:
    """Who sits at the shell: the name of the system's user, or its number."""
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
