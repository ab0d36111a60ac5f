"""Which command is legal in which status of a task, and where it leads."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from taskpush.errors import IllegalTransition
from taskpush.models.events import Status


class Command(StrEnum):
    """What can be asked of a task; the words of the error messages."""

    START = "start"
    REPORT = "report on"
    COMPLETE = "complete"
    FAIL = "fail"
    TRY_AGAIN = "try again"
    CANCEL = "cancel"
    KEEP = "cancel and keep"
    STOP = "end as cancelled"
    INTERRUPT = "interrupt"
    RETRY = "retry"
    DELETE = "delete"


TRANSITIONS: Final[Mapping[tuple[Status, Command], Status]] = MappingProxyType(
    {
        (Status.PENDING, Command.START): Status.RUNNING,
        (Status.PENDING, Command.CANCEL): Status.CANCELLED,
        (Status.PENDING, Command.KEEP): Status.INTERRUPTED,
        (Status.PENDING, Command.FAIL): Status.FAILED,
        (Status.RUNNING, Command.REPORT): Status.RUNNING,
        (Status.RUNNING, Command.CANCEL): Status.RUNNING,
        (Status.RUNNING, Command.KEEP): Status.RUNNING,
        (Status.RUNNING, Command.COMPLETE): Status.COMPLETED,
        (Status.RUNNING, Command.FAIL): Status.FAILED,
        (Status.RUNNING, Command.TRY_AGAIN): Status.PENDING,
        (Status.RUNNING, Command.STOP): Status.CANCELLED,
        (Status.RUNNING, Command.INTERRUPT): Status.INTERRUPTED,
        (Status.FAILED, Command.RETRY): Status.PENDING,
        (Status.CANCELLED, Command.RETRY): Status.PENDING,
        (Status.INTERRUPTED, Command.RETRY): Status.PENDING,
        (Status.COMPLETED, Command.DELETE): Status.COMPLETED,
        (Status.FAILED, Command.DELETE): Status.FAILED,
        (Status.CANCELLED, Command.DELETE): Status.CANCELLED,
        (Status.INTERRUPTED, Command.DELETE): Status.INTERRUPTED,
    }
)
"""The one table of legal moves; a running task that is asked to cancel runs until it stops."""


def next_status(status: Status, command: Command) -> Status:
    """The status after `command`; raises `IllegalTransition` with expected and actual."""
    try:
        return TRANSITIONS[status, command]
    except KeyError:
        expected = [state for state, legal in TRANSITIONS if legal is command]
        raise IllegalTransition(command, status, expected=expected) from None
