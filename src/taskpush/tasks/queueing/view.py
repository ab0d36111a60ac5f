"""What a reader of the queue sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskpush.access.policy import may, may_see_all
from taskpush.access.principal import Principal, Role
from taskpush.core.estimates import (
    Forecast,
)
from taskpush.models.queue import Accuracy, KindQueue, NextSubmission, QueueEntry
from taskpush.tasks.queueing.line import Line


def kind_queue(
    line: Line, principal: Principal, *, limit: int, now_s: float, next_size: float | None = None
) -> KindQueue:
    """The queue as the principal may see it.

    Of the first `limit` positions what the kind's `queue_visibility` shows, and the principal's
    own further back, at most as many again. `next_size` is that of a task to be submitted.
    """
    return KindQueue(
        kind=line.kind,
        slots=line.slots,
        running=len(line.running),
        waiting=len(line.waiting),
        queue_limit=line.spec.queue_limit if line.spec else None,
        entries=_visible(line, line.forecasts(now_s), principal, limit),
        next_submission=_next_submission(line, now_s, next_size),
        accuracy=accuracy(line, principal),
    )


def accuracy(line: Line, principal: Principal) -> Accuracy:
    """How past estimates of the tasks that the principal may read compare with the truth.

    How many there were of all is for those alone who may see all.
    """
    everything = may_see_all(principal)
    return line.accuracy(lambda record: everything or may(principal, Role.READ, record))


def _next_submission(line: Line, now_s: float, size: float | None) -> NextSubmission:
    run_s = line.run_s(size)
    return NextSubmission(
        **place_numbers(line.next_submission(now_s)),
        run_seconds=None if run_s is None else round(run_s, 1),
    )


def _visible(
    line: Line, forecasts: Sequence[Forecast], principal: Principal, limit: int
) -> list[QueueEntry]:
    visibility = line.spec.queue_visibility if line.spec else "none"
    entries: list[QueueEntry] = []
    own_beyond = 0
    for entry, forecast in zip(line.waiting, forecasts, strict=True):
        own = may(principal, Role.READ, entry.record)
        if forecast.position > limit:
            if own_beyond >= limit:
                break
            own_beyond += own
        if own or (visibility != "none" and forecast.position <= limit):
            # A token is for some tasks, and says nothing of the others.
            known = principal.scope is None and entry.record.tenant == principal.tenant
            shown = own or (visibility == "titles" and known)
            entries.append(
                QueueEntry(
                    **place_numbers(forecast),
                    own=own,
                    task_id=entry.task_id if own else None,
                    title=entry.record.title if shown else None,
                )
            )
    return entries


def place_numbers(forecast: Forecast) -> dict[str, Any]:
    """The fields that events and answers share; tenths of a second are all that can be meant."""
    span = forecast.start
    etas = (span.eta_s, span.low_s, span.high_s) if span else (None, None, None)
    names = ("eta_seconds", "eta_low", "eta_high")
    rounded = (None if eta is None else round(eta, 1) for eta in etas)
    return {
        "position": forecast.position,
        "ahead": forecast.ahead,
        **dict(zip(names, rounded, strict=True)),
    }
