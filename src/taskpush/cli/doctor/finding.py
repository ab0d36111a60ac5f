"""What an examination found, one check at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    check: str
    state: State
    said: str
    # What to do about it; empty when there is nothing to do.
    advice: str = ""


def ok(check: str, said: str) -> Finding:
    """All is well."""
    return Finding(check, State.OK, said)


def warning(check: str, said: str, advice: str) -> Finding:
    """It works, and may surprise somebody."""
    return Finding(check, State.WARNING, said, advice)


def failed(check: str, said: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, State.FAILED, said, advice)
