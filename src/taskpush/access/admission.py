"""Who was let in, by which credential, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from taskpush.access.principal import LOCAL, Principal


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


NO_ACCESS_CONFIGURED: Final = Admission(LOCAL, "none")
