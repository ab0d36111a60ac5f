"""The text form of a place in a list of tasks."""

from __future__ import annotations

import re
from typing import Final

from taskpush.errors import FieldProblem, InvalidRequest

_TEXT: Final = re.compile(r"t([1-9a-f][0-9a-f]{0,14})")


def encode_cursor(order: int) -> str:
    """`next` of a page whose last task has this place in the order of creation."""
    return f"t{order:x}"


def decode_cursor(text: str) -> int:
    """The place that `text` stands for; raises `invalid_request` for what no page gave."""
    match = _TEXT.fullmatch(text)
    if match is None:
        message = "this is not the `next` of a page"
        raise InvalidRequest(message, problems=[FieldProblem("after", message)])
    return int(match[1], 16)
