"""What is sent to webhooks, and when again. Source: https://www.standardwebhooks.com, version 1."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, cast

from taskpush.models.task import LoggedEvent
from taskpush.models.webhooks import MAX_DELIVERIES, Delivery, DeliveryState, LoggedType

PREFIX: Final = "whsec_"
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
JITTER: Final = 0.2
"""A wait is longer or shorter by up to this share: receivers that come back are not overrun."""
DEFAULT_WAITS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
"""Between the tries of one event: about 17 hours and a half, all together."""
LONGEST_WAIT: Final = timedelta(hours=24)
"""Whatever a receiver asks for."""
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending one event."""

    # None when there was no answer.
    status: int | None
    # Why there was none, for the delivery log.
    error: str | None = None
    # What the receiver asked for; None unless it did.
    retry_after: timedelta | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def problem(self) -> str | None:
        """Why it was not taken; None when it was."""
        return None if self.is_taken else self.error or f"answered {self.status}"


def secret_bytes(secret: str) -> bytes:
    """The key that a `whsec_…` text stands for; raises `ValueError` for another text."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a webhook secret begins with {PREFIX}")
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(f"a webhook secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
    return key


def webhook_id(event: LoggedEvent) -> str:
    """The same however often the event is sent; it has no full stop, which separates what is
    signed."""
    return f"{event.task_id}:{event.epoch}:{event.seq}"


def signed_headers(secrets: Sequence[bytes], event: LoggedEvent, now: datetime) -> dict[str, str]:
    """The headers by which a receiver tells that the event is from here, and when it was sent.

    One signature by each secret, so that receivers may change to a new one at any time.
    """
    message_id, timestamp = webhook_id(event), str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), event.body))
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(it).decode()}" for it in digests),
    }


def retry_after_of(text: str | None, now: datetime) -> timedelta | None:
    """How long a `Retry-After` header asks to wait; None for none, and for what is none.

    Source: RFC 9110, section 10.2.3.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
        wait = at - now
    except (ValueError, TypeError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def after_answer(
    state: DeliveryState,
    event: LoggedEvent,
    answer: Answer,
    now: datetime,
    *,
    schedule: Sequence[timedelta],
    random: Callable[[], float],
) -> DeliveryState:
    """How far a webhook has come once the event, its next one, was sent.

    An event that was not taken is sent again after each of the schedule's waits, or when the
    receiver asks for it if that is later; then it is given up, and the next one's turn. A receiver
    that answers 410 is sent nothing more. `random` gives numbers from 0 to 1.
    """
    tries = state.tries + 1
    gone = answer.status == GONE
    wait = None
    if not (answer.is_taken or gone) and tries <= len(schedule):
        jittered = schedule[tries - 1] * (1 - JITTER + 2 * JITTER * random())
        wait = max(jittered, answer.retry_after or jittered)
    delivery = Delivery(
        webhook_id=webhook_id(event),
        seq=event.seq,
        event_type=cast("LoggedType", event.event_type.value),
        outcome="taken" if answer.is_taken else "given_up" if wait is None else "failed",
        tries=tries,
        tried_at=now,
        status=answer.status,
        error=answer.problem,
        next_try_at=None if wait is None else now + wait,
    )
    kept = [it for it in state.deliveries if it.webhook_id != delivery.webhook_id]
    deliveries = (*kept, delivery)[-MAX_DELIVERIES:]
    if wait is not None:
        return state.model_copy(
            update={"tries": tries, "next_try_at": now + wait, "deliveries": deliveries}
        )
    return DeliveryState(seq=event.seq, gone=gone, deliveries=deliveries)


def sent_again(state: DeliveryState, after: int) -> DeliveryState:
    """The state from which everything after that event is sent again, at once; nothing is left
    out that was not sent so far."""
    return DeliveryState(seq=min(after, state.seq), deliveries=state.deliveries)
