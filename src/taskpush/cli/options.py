"""What commands that talk to a server share: their options, and the client made from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from taskpush.cli.render import Renderer
    from taskpush.client import AsyncClient, Client

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
def client_for(server: str, token: str | None) -> Iterator[Client]:
    """A client of that server, closed in the end; a usage error when it is no address."""
    # Loaded by the commands that use it: help and completion answer at once.
    from taskpush.client import Client

    with _addresses_refused():
        client = Client(server, token=token)
    with client:
        yield client


@asynccontextmanager
async def async_client_for(
    server: str, token: str | None, screen: Renderer | None = None
) -> AsyncIterator[AsyncClient]:
    """The same for asyncio; the screen is told of the connection."""
    from taskpush.client import AsyncClient

    on_change = None if screen is None else screen.connection
    with _addresses_refused():
        client = AsyncClient(server, token=token, on_connection_change=on_change)
    async with client:
        yield client


@contextmanager
def _addresses_refused() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None
