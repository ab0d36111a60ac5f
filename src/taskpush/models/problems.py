"""What clients are told of wrong fields, from what Pydantic found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Final

from pydantic_core import ErrorDetails

from taskpush.errors import FieldProblem
from taskpush.models.values import is_clean_text, is_safe_number

MAX_TEXT: Final = 200
"""Longer texts are left out of `ctx`: the message has them."""


def field_problem(found: ErrorDetails, loc: str, message: str | None = None) -> FieldProblem:
    """One finding, at `loc`; `message` in the place of Pydantic's own."""
    said = found["msg"] if message is None else message
    return FieldProblem(loc, said, type=found["type"], ctx=_travelling(found.get("ctx", {})))


def _travelling(ctx: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """The numbers and short texts of it; an exception that a validator raised is a message."""
    told = {name: _told(value) for name, value in ctx.items()}
    return {name: value for name, value in told.items() if value is not None}


def _told(value: Any) -> str | float | bool | None:
    match value:
        case bool():
            return value
        case int() | float():
            return value if is_safe_number(value) else None
        case str():
            return value if len(value) <= MAX_TEXT and is_clean_text(value) else None
        case date() | time() | timedelta() | Decimal():
            return str(value)
        case _:
            return None
