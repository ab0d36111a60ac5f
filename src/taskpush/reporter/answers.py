"""What the server's answers mean for a reporter. Protocol section 3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

DEFAULT_LEASE_S: Final = 15.0

_MISLED: Final = frozenset(
    {"host_refused", "origin_refused", "local_only", "no_such_page", "method_not_allowed"}
)
"""The address or the server's settings are not what they should be."""
_ABOUT_TASKS: Final = frozenset({"unknown_kind", "invalid_params"})
_EVENT: Final = re.compile(r"(?:body\.)?events\.(\d+)")


@dataclass(frozen=True, slots=True)
class Taken:
    """The server has it."""

    # None in the answer to a file.
    next_producer_seq: int | None
    cancel_wanted: bool
    # None when it was not said.
    lease_s: float | None


@dataclass(frozen=True, slots=True)
class Later:
    """Not now; the same again, after so many seconds at least."""

    why: str
    after_s: float = 0.0
    # Whether only somebody who looks after it can change that: the credential is no good.
    needs_help: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Events before these are missing."""

    expected: int


@dataclass(frozen=True, slots=True)
class Refused:
    """One event is wrong, the one at this index of the batch; None when it is not said which."""

    index: int | None
    why: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The request was."""


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing more is taken."""

    code: str
    why: str
    # What became of the task; None when it was not said.
    task_status: str | None = None


Verdict = Taken | Later | Gap | Refused | TooLarge | Over


def verdict(status: int, body: Mapping[str, Any], retry_after_s: float | None) -> Verdict:
    """What to do after an answer.

    An error without a code of ours came from something between here and the server, which may
    be gone the next time.
    """
    if status < 400:
        expected, lease_s = body.get("next_producer_seq"), body.get("lease_s")
        return Taken(
            expected if isinstance(expected, int) else None,
            body.get("cancel_wanted") is True,
            float(lease_s) if isinstance(lease_s, int | float) and lease_s > 0 else None,
        )
    code = body.get("code")
    detail = str(body.get("detail") or body.get("title") or f"HTTP {status}")
    if status == 401 or code in _MISLED:
        return Later(detail, retry_after_s or 0.0, needs_help=True)
    if not isinstance(code, str):
        strange = f"HTTP {status}, which is no answer of taskpush"
        return TooLarge() if status == 413 else Later(strange, retry_after_s or 0.0)
    if code == "producer_gap" and isinstance(body.get("expected"), int):
        return Gap(body["expected"])
    if status >= 500 or status == 429:
        return Later(detail, retry_after_s or 0.0)
    if status in (413, 422, 400) and code not in _ABOUT_TASKS:
        index = _index(body)
        if status == 413 and index is None:
            return TooLarge()
        return Refused(index, _why(body, detail))
    ended = body.get("task_status")
    return Over(code, detail, ended if isinstance(ended, str) else None)


def _index(body: Mapping[str, Any]) -> int | None:
    for problem in body.get("errors") or ():
        found = _EVENT.match(str(problem.get("loc", ""))) if isinstance(problem, dict) else None
        if found:
            return int(found[1])
    return None


def _why(body: Mapping[str, Any], detail: str) -> str:
    for problem in body.get("errors") or ():
        if isinstance(problem, dict) and problem.get("message"):
            return str(problem["message"])
    return detail
