"""The audit trail: who did what, from where, when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from taskpush.errors import FieldProblem, InvalidRequest
from taskpush.models.events import Status
from taskpush.models.task import TaskRecord

ACCEPTED: Final = "accepted"
_PLACE: Final = re.compile(r"(\d{1,18})\.(-?\d{1,18})")


class Action(StrEnum):
    """What is noted. Not creates: a task's record says whose it is, and since when."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"
    ISSUE_TOKEN = "issue_token"
    REVOKE_TOKEN = "revoke_token"
    CREATE_KEY = "create_key"
    REVOKE_KEY = "revoke_key"


class Door(StrEnum):
    """Where somebody came in."""

    REST = "rest"
    SOCKET = "socket"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class Via:
    """How somebody came: by which credential (nothing secret), through which door, from where."""

    credential: str
    door: Door
    # None where the server was not reached over a network.
    address: str | None


class AuditEntry(BaseModel):
    """One line of the trail. Nothing of a task's params, title, log or result is in it."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    tenant: str
    owner: str | None = Field(description="Who asked; null at the server's own command line.")
    credential: str = Field(
        description="What was shown: `key:ID`, `token:ID`, `jwt`, `hook`, `none` while no access"
        " is configured, `user:NAME` of the system at the command line."
    )
    door: Door
    address: str | None = Field(description="Where it came from; null at the command line.")
    action: Action
    outcome: str = Field(
        default=ACCEPTED, description="`accepted`, or the code of the error that was answered."
    )
    task_id: str | None = None
    kind: str | None = None
    task_owner: str | None = Field(default=None, description="Whose the task is.")
    status: Status | None = Field(default=None, description="The task's when it was asked.")
    attempt: int | None = Field(default=None, description="The task's when it was asked.")
    target: str | None = Field(default=None, description="The key or token: `key:ID`, `token:ID`.")
    detail: str | None = None

    def about(self, task: TaskRecord) -> AuditEntry:
        """The entry with what the trail keeps of the task, as it stands before the action."""
        return self.model_copy(
            update={
                "task_id": task.task_id,
                "kind": task.kind,
                "task_owner": task.owner,
                "status": task.status,
                "attempt": task.attempt,
            }
        )


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a page holds. None means: any."""

    tenant: str
    task_id: str | None = None
    # Of who asked.
    owner: str | None = None
    action: Action | None = None
    # Inclusive.
    since: datetime | None = None

    def holds(self, entry: AuditEntry) -> bool:
        """Whether the entry is one of these."""
        return (
            entry.tenant == self.tenant
            and self.task_id in (None, entry.task_id)
            and self.owner in (None, entry.owner)
            and self.action in (None, entry.action)
            and (self.since is None or entry.at >= self.since)
        )


class AuditPlace(NamedTuple):
    """An entry's place in the trail, which is ordered by time."""

    at_us: int
    # Tells entries of one moment apart.
    number: int

    @staticmethod
    def parse(text: str) -> AuditPlace:
        """The place that a page's `next` names; raises `invalid_request` for another text."""
        match = _PLACE.fullmatch(text)
        if match is None:
            message = "this is not the `next` of a page"
            raise InvalidRequest(message, problems=[FieldProblem("after", message)])
        return AuditPlace(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.at_us}.{self.number}"


class PlacedEntry(NamedTuple):
    """An entry and its place."""

    place: AuditPlace
    entry: AuditEntry
