"""What commands that talk to a server share: their options, and the client made from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from taskpush.cli.render import Renderer
from taskpush.client import Client

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
