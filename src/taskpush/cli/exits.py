"""Exit codes for scripts, and how errors become them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

import typer

from taskpush.cli.text import clean
from taskpush.client import (
    ClientError,
    RequestRefused,
    ServerUnreachable,
    TaskCancelled,
    TaskFailed,
    TaskInterrupted,
)


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


@contextmanager
def errors_told() -> Iterator[None]:
    """Say what went wrong on stderr, and end with the code that belongs to it."""
    try:
        yield
    except ClientError as error:
        _say(f"taskpush: {error}")
        for problem in error.errors if isinstance(error, RequestRefused) else ():
            _say(f"  {problem.loc}: {problem.message}")
        raise typer.Exit(_code_of(error)) from None


def _code_of(error: ClientError) -> ExitCode:
    match error:
        case TaskFailed():
            return ExitCode.FAILED
        case TaskCancelled():
            return ExitCode.CANCELLED
        case TaskInterrupted():
            return ExitCode.INTERRUPTED
        case ServerUnreachable():
            return ExitCode.UNREACHABLE
    return ExitCode.REFUSED


def _say(line: str) -> None:
    typer.echo(clean(line), err=True)
