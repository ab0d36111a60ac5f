"""Who was let in, by which credential, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from taskpush.access.principal import LOCAL, Principal

LATEST: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
"""Later times have no date. There are issuers that count milliseconds."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A principal, as a credential has shown it.

    An `authenticate` hook may return one instead of a bare principal, to say how long it holds.
    """

    principal: Principal
    # Which credential it was, without anything secret: `key:3f9a…`, `jwt`, `token:…`, `hook`.
    credential: str = "hook"
    # Unix time; None when it does not expire by itself.
    expires_at: float | None = None
    # The credentials that this one was made with, and falls with.
    parents: tuple[str, ...] = ()

    @property
    def expires(self) -> datetime | None:
        """When it expires, as a date."""
        at = self.expires_at
        return None if at is None else datetime.fromtimestamp(min(at, LATEST), UTC)


NO_ACCESS_CONFIGURED: Final = Admission(LOCAL, "none")
