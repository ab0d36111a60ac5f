"""How a kind's tasks are limited, repeated, queued and heard: values, checked when made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict, get_args

from taskpush.core.backoff import full_jitter_s
from taskpush.core.retention import Retention
from taskpush.models.webhooks import Webhook
from taskpush.runner.sendable import plain

MAX_ATTEMPTS: Final = 100
MAX_TIMEOUT_S: Final = 366 * 24 * 3600.0

Resume = Literal["manual", "auto"]
"""Whether an interrupted task waits for somebody to retry it."""
QueueVisibility = Literal["anonymous", "titles", "none"]
"""What a reader of the queue sees of others' entries."""
ConcurrencyKey = Literal["owner"] | Callable[[Mapping[str, Any]], str]
"""What tasks have in common of which one runs at a time: their owner, or a text made of params."""
Key = tuple[str, ...]
"""Tenant and owner, or the one text: a text that reads like an owner is none."""
Size = Callable[[Mapping[str, Any]], float]
"""How large a task with these params is, in whatever unit; run times are in proportion to it."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failed attempt waits for the next: up to `first_s`, then up to twice as long each
    time, never more than `longest_s`. A random share of that, so that tasks that failed together
    are not tried together.

    Raises `ValueError` for what is no such pair of seconds.
    """

    first_s: float = 1.0
    longest_s: float = 300.0

    def __post_init__(self) -> None:
        if not (_is_seconds(self.first_s) and _is_seconds(self.longest_s)):
            raise ValueError("Backoff: first_s and longest_s are seconds, at least 0")
        if self.first_s > self.longest_s:
            raise ValueError("Backoff: first_s is at most longest_s")

    def delay_s(self, failures: int, random: Callable[[], float]) -> float:
        """Seconds after so many failures; `random` gives numbers from 0 to 1."""
        return full_jitter_s(failures, random, base_s=self.first_s, cap_s=self.longest_s)


class PolicyOptions(TypedDict, total=False):
    """The fields of `Policy`, as the options of a registration."""

    timeout_s: float | None
    max_attempts: int
    backoff: Backoff | None
    resume: Resume
    concurrency_key: ConcurrencyKey | None
    queue_limit: int | None
    queue_visibility: QueueVisibility
    retention: Retention | None
    size: Size | None
    capture_print: bool
    webhooks: tuple[Webhook, ...]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What holds for every task of a kind. Raises `ValueError` or `TypeError` for a bad value."""

    # How long an attempt may take when the create does not say; None means as long as it likes.
    timeout_s: float | None = None
    # How often a task is tried when the create does not say.
    max_attempts: int = 1
    # None means the default one.
    backoff: Backoff | None = None
    # With "auto", what its server or worker took down goes on by itself.
    resume: Resume = "manual"
    # None: only the kind's concurrency limits how many run.
    concurrency_key: ConcurrencyKey | None = None
    # How many tasks may be pending; a create beyond is refused. None means as many as come.
    queue_limit: int | None = None
    queue_visibility: QueueVisibility = "anonymous"
    # None: finished tasks are kept as the server's settings say, together with those of others.
    retention: Retention | None = None
    # None: run times do not depend on the params.
    size: Size | None = None
    # Whether what the handler prints becomes `log` events.
    capture_print: bool = False
    # Where events of every task of the kind are sent, beside what its create asks for.
    webhooks: tuple[Webhook, ...] = ()

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not (
            _is_seconds(self.timeout_s) and 0 < self.timeout_s <= MAX_TIMEOUT_S
        ):
            raise ValueError("timeout_s must be a number above 0, at most a year")
        if type(self.max_attempts) is not int or not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            raise ValueError(f"max_attempts must be an integer from 1 to {MAX_ATTEMPTS}")
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise TypeError("backoff must be a Backoff")
        if self.resume not in get_args(Resume):
            raise ValueError('resume must be "manual" or "auto"')
        if not (self.concurrency_key in (None, "owner") or callable(self.concurrency_key)):
            raise TypeError('concurrency_key must be "owner" or a function of the params')
        if self.queue_limit is not None and (
            type(self.queue_limit) is not int or self.queue_limit < 1
        ):
            raise ValueError("queue_limit must be an integer of at least 1")
        if self.queue_visibility not in get_args(QueueVisibility):
            raise ValueError('queue_visibility must be "anonymous", "titles" or "none"')
        if not isinstance(self.retention, Retention | None):
            raise TypeError("retention must be a Retention")
        if not (self.size is None or callable(self.size)):
            raise TypeError("size must be a function of the params")
        if type(self.capture_print) is not bool:
            raise TypeError("capture_print must be True or False")
        if not all(isinstance(each, Webhook) for each in self.webhooks):
            raise TypeError("webhooks are Webhooks, or addresses")

    def retry_in_s(self, failures: int, random: Callable[[], float]) -> float:
        """Seconds until the next attempt after so many failures."""
        return (self.backoff or Backoff()).delay_s(failures, random)

    def key_of(self, tenant: str, owner: str, params: Mapping[str, Any]) -> Key | None:
        """The key of which one task runs at a time; None when there is no such limit.

        Owners of different tenants are different, whatever they are called; a text made of params
        names something of the server's, which tenants share.

        Raises what the kind's own function raises, and `TypeError` when it gives no text.
        """
        if self.concurrency_key is None or self.concurrency_key == "owner":
            return None if self.concurrency_key is None else (tenant, owner)
        key = self.concurrency_key(params)
        if type(key) is not str:
            raise TypeError(f"concurrency_key gave a {type(key).__name__}, not a text")
        return (key,)

    def size_of(self, params: Mapping[str, Any]) -> float | None:
        """How large a task with these params is; None when its kind does not say.

        Raises what the kind's own function raises, and `ValueError` when it gives no number above
        zero.
        """
        if self.size is None:
            return None
        size: object = plain(self.size(params))
        if isinstance(size, bool) or not isinstance(size, int | float):
            raise ValueError(f"size gave a {type(size).__name__}, not a number")
        if not (math.isfinite(size) and size > 0):
            raise ValueError(f"size gave {size}, not a number above 0")
        return float(size)


def _is_seconds(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )
