"""`taskpush serve`: one command from a module to a running server."""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Final, Never

import typer
from rich.console import Console
from uvicorn.importer import ImportFromStringError, import_from_string

from taskpush.access.hosts import address_of, is_loopback
from taskpush.app import TaskPush
from taskpush.cli.exits import ExitCode
from taskpush.cli.serving.stopping import JobServer
from taskpush.composition.wiring import VERSION
from taskpush.serving.server import config_for, listen, url_of
from taskpush.telemetry.bus import LineFormatter

COMPRESS_ABOVE_BYTES: Final = 1024
"""What `--compress` means unless the settings say more; smaller events gain little."""

err = Console(stderr=True, highlight=False, soft_wrap=True)


def serve(
    app: Annotated[str, typer.Argument(metavar="APP", help="module:push, the TaskPush to serve.")],
    host: Annotated[
        str, typer.Option(envvar="TASKPUSH_HOST", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, envvar="TASKPUSH_PORT", help="Port; 0 takes a free one."),
    ] = 8000,
    data: Annotated[
        Path | None, typer.Option(help="Folder for the database and artifacts.", show_default=False)
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of a page elsewhere that may use this server; repeatable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Name that this server answers to, besides localhost; repeatable."),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of a proxy to heed X-Forwarded-… of; repeatable."),
    ] = None,
    insecure_public: Annotated[
        bool, typer.Option(help="Listen beyond loopback although everybody may do everything.")
    ] = False,
    webhook_allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Host, address or network that webhooks may be sent to although it is private;"
            " repeatable."
        ),
    ] = None,
    compress: Annotated[
        bool, typer.Option(help="Compress large events, for clients that take it.")
    ] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve a TaskPush application until Ctrl-C or SIGTERM; the second one waits for nobody."""
    push = _load(app)
    _configure(
        push,
        data=data,
        allow_origins=allow_origin or None,
        allow_hosts=_own_names(host, allow_host, push),
        trusted_proxies=trusted_proxy or None,
        insecure_public=insecure_public or None,
        webhook_allow=webhook_allow or None,
        compress_above=COMPRESS_ABOVE_BYTES
        if compress and push.settings.compress_above is None
        else None,
    )
    if push.settings.command_kind:
        push.take_commands()
    if not (push.access_configured or push.settings.public or is_loopback(host)):
        _refuse(
            f"{host} is reachable from other machines, and no access is configured: anybody could"
            " run and read tasks. Make an API key with `taskpush keys create`, listen on 127.0.0.1,"
            " or say --insecure-public."
        )
    listener = _listen(host, port)
    _log_at(log_level)
    _announce(push, listener, public=not is_loopback(host))
    deflate = push.settings.compress_above is not None
    config = config_for(push, deflate=deflate, lifespan="on")
    code = JobServer(config, push).serve_on(listener)
    if code:
        raise typer.Exit(code)


def _log_at(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _load(target: str) -> TaskPush:
    sys.path.insert(0, os.getcwd())
    try:
        push = import_from_string(target)
    except ImportFromStringError as error:
        _refuse(str(error))
    if not isinstance(push, TaskPush):
        _refuse(f"{target} is a {type(push).__name__}, not a TaskPush")
    return push


def _own_names(host: str, allow_host: list[str] | None, push: TaskPush) -> list[str] | None:
    """The hosts to answer to: as said, and the name to listen on; None for as it is."""
    listed = allow_host or list(push.settings.allow_hosts)
    # Addresses are known by where a request comes in.
    named = address_of(host) is None
    return [*listed, host] if named else allow_host or None


def _configure(push: TaskPush, **options: object) -> None:
    """Replace the settings that were said; None says nothing."""
    said = {name: value for name, value in options.items() if value is not None}
    try:
        push.configure(**said)
    except ValueError as error:
        _refuse(str(error))


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        _refuse(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port")


def _announce(push: TaskPush, listener: socket.socket, *, public: bool) -> None:
    err.print(f"[bold]taskpush {VERSION}[/bold] on {url_of(listener)}  (API: /docs)")
    where = "in memory" if push.settings.store == "memory" else str(push.settings.data.resolve())
    err.print(f"  kinds  {', '.join(push.kinds) or 'none registered'}")
    err.print(f"  data   {where}")
    if push.access_configured:
        err.print(f"  access {push.access_words}")
    elif public:
        err.print("  access [bold red]everybody who reaches this address may do everything[/]")
    else:
        err.print("  access this machine only, without login")


def _refuse(message: str) -> Never:
    err.print(f"[bold red]taskpush serve:[/] {message}", markup=True)
    raise typer.Exit(ExitCode.USAGE)
