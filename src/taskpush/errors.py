"""Errors that cross a door: each has a stable code, an HTTP status and a sentence for people.

The table in `docs/reference/errors.md` is checked against `CODES` by the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class CodeSpec:
    """What a code means, whichever door it leaves through."""

    status: int
    title: str


CODES: Final[Mapping[str, CodeSpec]] = MappingProxyType(
    {
        "invalid_json": CodeSpec(400, "The body is not valid JSON"),
        "invalid_request": CodeSpec(422, "The request does not have the expected shape"),
        "invalid_params": CodeSpec(422, "The params do not fit the kind"),
        "unknown_kind": CodeSpec(422, "No such kind is registered"),
        "webhook_refused": CodeSpec(422, "Nothing is sent to that address"),
        "invalid_position": CodeSpec(422, "The position is malformed"),
        "credential_in_address": CodeSpec(400, "Credentials are not taken from the address"),
        "unauthenticated": CodeSpec(401, "It is not known who asks"),
        "access_ended": CodeSpec(401, "The credential has expired or was revoked"),
        "forbidden": CodeSpec(403, "This is not allowed"),
        "host_refused": CodeSpec(400, "The request is for a host that this server is not"),
        "origin_refused": CodeSpec(403, "Pages of that origin may not use this server"),
        "local_only": CodeSpec(403, "The server takes requests of its own machine only"),
        "not_found": CodeSpec(404, "No such task"),
        "no_such_page": CodeSpec(404, "Nothing is served at this address"),
        "method_not_allowed": CodeSpec(405, "This address does not take that method"),
        "artifact_not_found": CodeSpec(404, "No such artifact"),
        "upload_not_found": CodeSpec(404, "No such upload"),
        "upload_in_use": CodeSpec(409, "Tasks use this upload"),
        "upload_limit": CodeSpec(409, "Too many uploads"),
        "task_id_taken": CodeSpec(409, "A task with this id exists already"),
        "task_not_finished": CodeSpec(409, "The task has not finished yet"),
        "task_interrupted": CodeSpec(409, "The task was interrupted"),
        "task_failed": CodeSpec(409, "The task failed"),
        "task_cancelled": CodeSpec(409, "The task was cancelled"),
        "result_gone": CodeSpec(410, "The result was deleted with its task"),
        "idempotency_conflict": CodeSpec(422, "The idempotency key was used with another body"),
        "illegal_transition": CodeSpec(409, "The task's state does not allow this"),
        "stale_attempt": CodeSpec(409, "This attempt is not the task's present one"),
        "not_external": CodeSpec(409, "Handlers of the server run tasks of this kind"),
        "started_elsewhere": CodeSpec(409, "A program outside the server has to start this"),
        "producer_conflict": CodeSpec(409, "Another producer reports this attempt"),
        "producer_gap": CodeSpec(409, "Events before these are missing"),
        "position_gone": CodeSpec(410, "The log cannot be continued from this position"),
        "request_timeout": CodeSpec(408, "The body did not arrive in time"),
        "payload_too_large": CodeSpec(413, "The payload is too large"),
        "connection_limit": CodeSpec(429, "Too many connections"),
        "subscription_limit": CodeSpec(429, "Too many subscriptions on this connection"),
        "rate_limited": CodeSpec(429, "Too many requests"),
        "unknown_event": CodeSpec(400, "No such event"),
        "not_started": CodeSpec(503, "taskpush has not been started"),
        "shutting_down": CodeSpec(503, "The server is shutting down"),
        "store_unavailable": CodeSpec(503, "The store cannot be written"),
        "server_full": CodeSpec(503, "The server takes no more connections for the moment"),
        "queue_full": CodeSpec(503, "The kind's queue takes no more tasks for the moment"),
        "internal_error": CodeSpec(500, "Something went wrong on the server"),
    }
)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that is wrong with one field: `loc` is a dotted path such as `params.seed`.

    `message` is for people; for programs, and for words in other languages, `type` names what is
    wrong (as Pydantic does, where it found it), and `ctx` has the numbers and texts of the message.
    """

    loc: str
    message: str
    # None when there is no name for it.
    type: str | None = None
    ctx: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """As a problem document has it."""
        said: dict[str, object] = {"loc": self.loc, "message": self.message}
        if self.type is not None:
            said["type"] = self.type
        if self.ctx:
            said["ctx"] = dict(self.ctx)
        return said


def failure_said(error_type: str, error: str) -> str:
    """Why a task failed, in one line: the exception's name, unless its message has it already."""
    if not error_type or error == error_type or error.startswith(f"{error_type}: "):
        return error
    return f"{error_type}: {error}" if error else error_type


class TaskPushError(Exception):
    """Base of every error that has a code.

    `detail` is shown to clients, so it never holds secrets, paths or tracebacks.
    """

    code: str = "internal_error"
    # When to try again; None means that the status's usual answer holds.
    retry_after_s: int | None = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: str | None = None,
        problems: Sequence[FieldProblem] = (),
        extra: Mapping[str, object] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        if code is not None:
            self.code = code
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s
        self.spec = CODES[self.code]
        self.detail: str = detail if detail is not None else self.spec.title
        self.problems = tuple(problems)
        self.extra = dict(extra or {})
        super().__init__(self.detail)

    @property
    def problem(self) -> dict[str, object]:
        """The problem document that tells it over HTTP. Source: RFC 9457."""
        document: dict[str, object] = {
            "type": "about:blank",
            "title": self.spec.title,
            "status": self.spec.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }
        if self.problems:
            document["errors"] = [each.as_json() for each in self.problems]
        if self.retry_after_s is not None:
            document["retry_after"] = self.retry_after_s
        return document


class InvalidJson(TaskPushError):
    """The text is not JSON, or holds a value that cannot travel (NaN, 2^63, a lone surrogate)."""

    code = "invalid_json"


class InvalidRequest(TaskPushError):
    """The request's shape is wrong; `problems` names the fields."""

    code = "invalid_request"


class Unauthenticated(TaskPushError):
    """No credential, or one that cannot be relied on; `detail` never says more than that."""

    code = "unauthenticated"


class AccessEnded(TaskPushError):
    """The credential was good once: it has expired, or was revoked."""

    code = "access_ended"


class Forbidden(TaskPushError):
    """Somebody who is known may not do this, with whatever task."""

    code = "forbidden"


class ConnectionLimit(TaskPushError):
    """One address or one principal has as many connections as it may."""

    code = "connection_limit"
    retry_after_s: int | None = 10


class ServerFull(TaskPushError):
    """All together have as many connections as there may be."""

    code = "server_full"
    retry_after_s: int | None = 10


class NotFound(TaskPushError):
    """The task does not exist, or not for this principal: the two look the same."""

    code = "not_found"


class IllegalTransition(TaskPushError):
    """The command does not fit the task's present status."""

    code = "illegal_transition"

    def __init__(self, command: str, status: str, *, expected: Sequence[str]) -> None:
        super().__init__(
            f"cannot {command} a task that is {status}; expected {' or '.join(expected)}",
            extra={"task_status": str(status)},
        )


class StartedElsewhere(TaskPushError):
    """Nobody would take the task up: those of its like are begun by the program that runs them."""

    code = "started_elsewhere"


class StaleAttempt(TaskPushError):
    """A write of an attempt that has ended or was replaced: the store refuses it (fencing)."""

    code = "stale_attempt"


class ProducerConflict(TaskPushError):
    """An attempt has one producer: whoever started it."""

    code = "producer_conflict"


class ProducerGap(TaskPushError):
    """A producer's events come in order, without holes; `expected` is the number to go on with."""

    code = "producer_gap"

    def __init__(self, *, expected: int) -> None:
        super().__init__(f"go on with producer_seq {expected}", extra={"expected": expected})
        self.expected = expected


class PositionGone(TaskPushError):
    """The position's event is not in the log (any more): `oldest` is the first retained seq."""

    code = "position_gone"

    def __init__(self, *, oldest: int, reason: str) -> None:
        super().__init__(reason, extra={"oldest": oldest})
        self.oldest = oldest
        self.reason = reason


class QueueFull(TaskPushError):
    """As many tasks of the kind are pending as its `queue_limit` allows; nothing was created.

    `wanted` is how many tasks of the kind the create has, `room` how many more would have fitted.
    """

    code = "queue_full"

    def __init__(self, kind: str, *, limit: int, wanted: int, room: int) -> None:
        super().__init__(
            f"{limit - room} tasks of kind {kind} are pending, of at most {limit}",
            extra={"kind": kind, "queue_limit": limit},
        )
        self.kind = kind
        self.limit = limit
        self.wanted = wanted
        self.room = room


class StoreUnavailable(TaskPushError):
    """The store could not commit; nothing of the write took effect."""

    code = "store_unavailable"


class StoreLocked(TaskPushError):
    """Another process has the data folder open."""

    code = "store_unavailable"
