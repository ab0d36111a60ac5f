"""Exit codes for scripts, and how errors become them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import typer

from taskpush.cli.text import clean

if TYPE_CHECKING:
    from taskpush.client import ClientError


class ExitCode(IntEnum):
    """What a command says to the script that called it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    INTERRUPTED = 4
    UNREACHABLE = 5
    REFUSED = 6
    STOPPED = 130


EXIT_CODES_HELP: Final = (
    "Exit codes: 0 done, or the task completed; 1 the task failed; 2 wrong usage; 3 the task was"
    " cancelled; 4 the task was interrupted; 5 the server cannot be reached; 6 the request was"
    " refused (no such task, invalid params, …); 130 stopped by Ctrl-C."
)

_OF_STATUS: Final = {
    "completed": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "cancelled": ExitCode.CANCELLED,
    "interrupted": ExitCode.INTERRUPTED,
}


def exit_code_of(status: str) -> ExitCode:
    """How a task that ended with this status makes the command end."""
    return _OF_STATUS.get(status, ExitCode.FAILED)


_FROM_BEST_TO_WORST: Final = (
    ExitCode.OK,
    ExitCode.CANCELLED,
    ExitCode.INTERRUPTED,
    ExitCode.FAILED,
    ExitCode.REFUSED,
    ExitCode.UNREACHABLE,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """How a command ends that had to do with several tasks."""
    return max(codes, key=_FROM_BEST_TO_WORST.index, default=ExitCode.OK)


@contextmanager
def errors_told() -> Iterator[None]:
    """Say what went wrong on stderr, and end with the code that belongs to it."""
    # The client is loaded by the commands that use it.
    from taskpush.client import ClientError

    try:
        yield
    except ClientError as error:
        say_error(error)
        raise typer.Exit(code_of(error)) from None


def say_error(error: ClientError, *, of: str | None = None) -> None:
    """Say on stderr what went wrong, and with which task when there are several."""
    from taskpush.client import RequestRefused

    _say(f"taskpush: {error}" if of is None else f"taskpush: {of}: {error}")
    for problem in error.errors if isinstance(error, RequestRefused) else ():
        _say(f"  {problem.loc}: {problem.message}")


def code_of(error: ClientError) -> ExitCode:
    """The code that belongs to what went wrong."""
    from taskpush import client

    match error:
        case client.TaskFailed():
            return ExitCode.FAILED
        case client.TaskCancelled():
            return ExitCode.CANCELLED
        case client.TaskInterrupted():
            return ExitCode.INTERRUPTED
        case client.ServerUnreachable():
            return ExitCode.UNREACHABLE
    return ExitCode.REFUSED


def _say(line: str) -> None:
    typer.echo(clean(line), err=True)
