"""Tickets: what a browser's `EventSource`, which can send no header, shows instead of a credential.

A ticket stands in an address, so it is good once, and for seconds.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Final

from taskpush.access.admission import Admission
from taskpush.errors import TaskPushError, Unauthenticated

GOOD_FOR_S: Final = 30.0
MAX_TICKETS: Final = 10_000
MAX_OF_ONE: Final = 200
"""Tickets that one credential may have at a time."""

Whose = tuple[str, str, str]
"""Tenant, owner and credential."""


class Tickets:
    """The tickets that were given out and not used, each for what its credential may."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # By a hash, in the order in which they expire.
        self._waiting: dict[bytes, tuple[float, Admission]] = {}
        self._of_one: Counter[Whose] = Counter()

    def issue(self, admission: Admission) -> tuple[str, float]:
        """A ticket, and when it expires; raises `rate_limited`."""
        self._forget_expired()
        of_one = self._of_one[_whose(admission)]
        if of_one >= MAX_OF_ONE or len(self._waiting) >= MAX_TICKETS:
            raise TaskPushError("too many tickets wait to be used", code="rate_limited")
        ticket = secrets.token_urlsafe(32)
        expires_at = self._now() + GOOD_FOR_S
        self._waiting[_hash(ticket)] = (expires_at, admission)
        self._of_one[_whose(admission)] += 1
        return ticket, expires_at

    def redeem(self, ticket: str) -> Admission:
        """Who was given the ticket, which is good no more; raises `Unauthenticated`."""
        self._forget_expired()
        _, admission = self._waiting.pop(_hash(ticket), (0.0, None))
        if admission is None:
            raise Unauthenticated("the ticket is not known, was used, or is too old")
        self._return(admission)
        return admission

    def _forget_expired(self) -> None:
        now = self._now()
        while self._waiting:
            oldest = next(iter(self._waiting))
            expires_at, admission = self._waiting[oldest]
            if expires_at > now:
                return
            del self._waiting[oldest]
            self._return(admission)

    def _return(self, admission: Admission) -> None:
        whose = _whose(admission)
        self._of_one[whose] -= 1
        if not self._of_one[whose]:
            del self._of_one[whose]


def _whose(admission: Admission) -> Whose:
    """All whom an application lets in by itself have the same name of a credential."""
    return admission.principal.tenant, admission.principal.owner, admission.credential


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).digest()
