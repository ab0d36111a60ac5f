"""What commands that talk to a server share: their options, and the client made from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from taskpush.cli import complete
from taskpush.cli.exits import errors_told

if TYPE_CHECKING:
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
TaskId = Annotated[
    str,
    typer.Argument(metavar="TASK_ID", help="The task's id.", autocompletion=complete.recent_tasks),
]
ActiveTaskId = Annotated[
    str,
    typer.Argument(metavar="TASK_ID", help="The task's id.", autocompletion=complete.active_tasks),
]
RetryableTaskId = Annotated[
    str,
    typer.Argument(
        metavar="TASK_ID", help="The task's id.", autocompletion=complete.retryable_tasks
    ),
]
CompletedTaskId = Annotated[
    str,
    typer.Argument(
        metavar="TASK_ID", help="The task's id.", autocompletion=complete.completed_tasks
    ),
]
OverTaskId = Annotated[
    str,
    typer.Argument(metavar="TASK_ID", help="The task's id.", autocompletion=complete.tasks_over),
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", help="Only tasks of this kind.", autocompletion=complete.kinds),
]


@contextmanager
def client_for(server: str, token: str | None) -> Iterator[Client]:
    """A client of that server, closed in the end; what it raises is told, and ends the command.

    A usage error when it is no address.
    """
    # Loaded by the commands that use it: help and completion answer at once.
    from taskpush.client import Client

    with _addresses_refused():
        client = Client(server, token=token)
    with errors_told(), client:
        yield client


@asynccontextmanager
async def async_client_for(
    server: str, token: str | None, on_change: Callable[[bool], None]
) -> AsyncIterator[AsyncClient]:
    """The same for asyncio, which tells whether there is a connection for watches."""
    from taskpush.client import AsyncClient

    with _addresses_refused():
        client = AsyncClient(server, token=token, on_connection_change=on_change)
    async with client:
        yield client


def refuse_bad_address(server: str) -> None:
    """Raise a usage error when it is no address of a server."""
    with _addresses_refused():
        parts = urlsplit(server)
        # Raises `ValueError` for what is none.
        _ = parts.port
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a server is named as http://host:port, not {server!r}")


@contextmanager
def _addresses_refused() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None
