"""What happens inside the server that operators want to know: one frozen record per event.

Each has a stable `name` (the class's), used in logs; see `docs/reference/telemetry.md`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class TelemetryEvent:
    """Base: a stable name and a log level; the fields are the measurements."""

    name: ClassVar[str] = "event"
    level: ClassVar[int] = logging.INFO


@dataclass(frozen=True, slots=True)
class ServerStarted(TelemetryEvent):
    """The store is open, abandoned tasks are settled, the runner takes work."""

    name: ClassVar[str] = "server.started"
    epoch: str
    data: str
    interrupted: int
    pending: int


@dataclass(frozen=True, slots=True)
class DataExposed(TelemetryEvent):
    """Others of the machine may look into the data folder, which was there before."""

    name: ClassVar[str] = "data.exposed"
    level: ClassVar[int] = logging.WARNING
    folder: str
    mode: str


@dataclass(frozen=True, slots=True)
class ServerStopped(TelemetryEvent):
    """Everything was closed in order."""

    name: ClassVar[str] = "server.stopped"
    interrupted: int


@dataclass(frozen=True, slots=True)
class TaskStarted(TelemetryEvent):
    """A handler or a producer begins."""

    name: ClassVar[str] = "task.started"
    task_id: str
    kind: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ProducerLost(TelemetryEvent):
    """Nothing was heard of a producer outside the server while its lease ran."""

    name: ClassVar[str] = "producer.lost"
    level: ClassVar[int] = logging.WARNING
    task_id: str
    kind: str
    attempt: int
    producer_id: str


@dataclass(frozen=True, slots=True)
class TaskEnded(TelemetryEvent):
    """An attempt ended; `status` says how."""

    name: ClassVar[str] = "task.ended"
    task_id: str
    kind: str
    attempt: int
    status: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class HandlerRaised(TelemetryEvent):
    """A handler ended in an exception; the traceback is for operators, never for clients."""

    name: ClassVar[str] = "handler.raised"
    level: ClassVar[int] = logging.ERROR
    task_id: str
    kind: str
    attempt: int
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class OutcomeRefused(TelemetryEvent):
    """The store did not take an attempt's outcome: it was replaced, or the store is gone."""

    name: ClassVar[str] = "outcome.refused"
    level: ClassVar[int] = logging.WARNING
    task_id: str
    attempt: int
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class KindMissing(TelemetryEvent):
    """A pending task is of a kind that this server does not know; it stays pending."""

    name: ClassVar[str] = "kind.missing"
    level: ClassVar[int] = logging.WARNING
    task_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class SizeUnknown(TelemetryEvent):
    """A kind's `size` function failed; such tasks are estimated without a size. Said once."""

    name: ClassVar[str] = "size.unknown"
    level: ClassVar[int] = logging.WARNING
    kind: str
    error: str


@dataclass(frozen=True, slots=True)
class HandlerLeftBehind(TelemetryEvent):
    """A handler did not stop before the deadline; its task was ended without it."""

    name: ClassVar[str] = "handler.left_behind"
    level: ClassVar[int] = logging.WARNING
    task_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class AttemptBroken(TelemetryEvent):
    """An error of taskpush itself ended an attempt without an outcome."""

    name: ClassVar[str] = "attempt.broken"
    level: ClassVar[int] = logging.ERROR
    task_id: str
    traceback: str


@dataclass(frozen=True, slots=True)
class LoopBlocked(TelemetryEvent):
    """Something holds the event loop: pushes stand still until it gives way."""

    name: ClassVar[str] = "loop.blocked"
    level: ClassVar[int] = logging.WARNING
    # The kind and task whose handler was running, or None when it was not a handler.
    kind: str | None
    task_id: str | None
    blocked_s: float
    # Innermost frame of the loop's thread, as `file:line function`.
    where: str


@dataclass(frozen=True, slots=True)
class PacketRefused(TelemetryEvent):
    """A client sent what no client of the protocol sends; its connection was closed."""

    name: ClassVar[str] = "packet.refused"
    level: ClassVar[int] = logging.WARNING
    peer: str
    why: str


@dataclass(frozen=True, slots=True)
class RequestRefused(TelemetryEvent):
    """A request was not let in: its host, its origin, or where it came in."""

    name: ClassVar[str] = "request.refused"
    level: ClassVar[int] = logging.WARNING
    peer: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class AccessRefused(TelemetryEvent):
    """Somebody asked without a credential that is good; nothing of what was shown is told."""

    name: ClassVar[str] = "access.refused"
    level: ClassVar[int] = logging.WARNING
    peer: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class RefusalsUntold(TelemetryEvent):
    """So many more refusals of one sort and address were within the minute than were logged."""

    name: ClassVar[str] = "refusals.untold"
    level: ClassVar[int] = logging.WARNING
    # The name of their event.
    event: str
    address: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class LimitReached(TelemetryEvent):
    """Somebody was told to come back later; said a few times, then once in ten seconds."""

    name: ClassVar[str] = "limit.reached"
    level: ClassVar[int] = logging.WARNING
    code: str
    whose: str
    limit: int


@dataclass(frozen=True, slots=True)
class AuthenticateFailed(TelemetryEvent):
    """The application's `authenticate` raised what is no refusal; nobody was let in."""

    name: ClassVar[str] = "authenticate.failed"
    level: ClassVar[int] = logging.ERROR
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class KeysUnreadable(TelemetryEvent):
    """The file of API keys cannot be read; no key lets anybody in."""

    name: ClassVar[str] = "keys.unreadable"
    level: ClassVar[int] = logging.ERROR
    error: str


@dataclass(frozen=True, slots=True)
class JwksUnreadable(TelemetryEvent):
    """The issuer's keys cannot be read; those known before are good for an hour."""

    name: ClassVar[str] = "jwks.unreadable"
    level: ClassVar[int] = logging.WARNING
    error: str


@dataclass(frozen=True, slots=True)
class StoreFailed(TelemetryEvent):
    """A commit failed; the writes of that batch did not take effect."""

    name: ClassVar[str] = "store.failed"
    level: ClassVar[int] = logging.ERROR
    error: str
    writes: int


@dataclass(frozen=True, slots=True)
class AuditForgotten(TelemetryEvent):
    """Entries of the audit trail that had become too old were removed."""

    name: ClassVar[str] = "audit.forgotten"
    entries: int


@dataclass(frozen=True, slots=True)
class UploadsForgotten(TelemetryEvent):
    """Files that clients had sent, and that no task has used in time, were removed."""

    name: ClassVar[str] = "uploads.forgotten"
    uploads: int


@dataclass(frozen=True, slots=True)
class RetentionPruned(TelemetryEvent):
    """Finished tasks beyond their limits were trimmed or deleted."""

    name: ClassVar[str] = "retention.pruned"
    deleted: int
    trimmed: int
    freed_bytes: int
    # By how much the database file is shorter.
    given_back_bytes: int
    took_s: float


@dataclass(frozen=True, slots=True)
class WebhookDelivered(TelemetryEvent):
    """A receiver has taken an event."""

    name: ClassVar[str] = "webhook.delivered"
    level: ClassVar[int] = logging.DEBUG
    task_id: str
    seq: int
    host: str
    tries: int


@dataclass(frozen=True, slots=True)
class WebhookFailed(TelemetryEvent):
    """A receiver has not taken an event, which is sent again unless it was given up."""

    name: ClassVar[str] = "webhook.failed"
    level: ClassVar[int] = logging.WARNING
    task_id: str
    seq: int
    host: str
    tries: int
    error: str
    given_up: bool
