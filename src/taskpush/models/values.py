"""JSON values that can travel: finite numbers, safe integers, well-formed text.

RFC 8259 leaves duplicate names, NaN and big integers to the reader; every reader of taskpush's
wire (JavaScript among them) must understand the same, so they are refused at the edge.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    StrictFloat,
    StrictInt,
)

from taskpush.errors import InvalidJson

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Largest integer that a double, and so JavaScript, holds exactly."""
MAX_DEPTH: Final = 100


_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _date_time(value: object) -> object:
    # Pydantic takes any number, also as text, for seconds since 1970.
    if not isinstance(value, str) or _DATE_TIME.match(value) is None:
        raise ValueError("a date and time as RFC 3339 has it, with an offset")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_date_time)]
"""A date and time that a client names."""


def is_safe_number(value: float) -> bool:
    """Whether every JSON reader gets the same number."""
    if isinstance(value, int):
        return abs(value) <= MAX_SAFE_INTEGER
    return math.isfinite(value)


def is_clean_text(value: str) -> bool:
    """Whether the text has a UTF-8 form (no lone surrogates)."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _safe_number(value: float) -> float:
    if not is_safe_number(value):
        raise ValueError("not a finite number, or an integer beyond 2^53 - 1")
    return value


def _clean_text(value: str) -> str:
    if not is_clean_text(value):
        raise ValueError("text contains a lone surrogate, which has no UTF-8 form")
    return value


CLEAN: Final = AfterValidator(_clean_text)
"""Of a text with a limit, to stand after it: a limit that stands after this counts items."""
Text = Annotated[str, CLEAN]
SafeInt = Annotated[int, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Number = Annotated[StrictInt | StrictFloat, AfterValidator(_safe_number)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidJson("an object has the same name twice")
    return result


def parse_json(raw: bytes | str) -> JsonValue:
    """Parse one JSON text strictly.

    Raises `InvalidJson` for what is not JSON, and for NaN, duplicate names, integers beyond
    ±(2^53 - 1), lone surrogates and nesting deeper than `MAX_DEPTH`.
    """
    try:
        value: JsonValue = json.loads(
            # NaN and its like are found with the rest, so that it is said where they stand.
            raw,
            object_pairs_hook=_unique_pairs,
            parse_constant=float,
        )
    except RecursionError:
        raise InvalidJson("the JSON is nested too deeply") from None
    except (ValueError, UnicodeDecodeError):
        raise InvalidJson from None
    for problem in value_problems(value):
        raise InvalidJson(problem)
    return value


def encoded(value: Any) -> bytes:
    """`value` as UTF-8 JSON that may be kept: it takes no more memory than it is long.

    What `orjson.dumps` returns holds on to the whole buffer, 4 KiB for the shortest value and
    16 KiB for one of 1,500 bytes (orjson 3.13). The copy takes an eighth of the encoding's time.
    """
    return b"%b" % orjson.dumps(value)


def value_problems(value: Any, where: str = "$", depth: int = 0) -> Iterator[str]:
    """Say, lazily, what in `value` cannot travel and where (`$.metrics.max_temp`).

    A request may hold half a million values: where one is, is only worked out when it is wrong.
    """
    if not isinstance(value, _CONTAINERS):
        if (problem := _problem(value)) is not None:
            yield f"{where}: {problem}"
        return
    level: list[tuple[Any, _Way]] = [(value, (None, where))]
    while level:
        deeper: list[tuple[Any, _Way]] = []
        for container, way in level:
            if depth >= MAX_DEPTH:
                yield f"{_place(way)}: nested more than {MAX_DEPTH} deep"
                continue
            named = isinstance(container, dict)
            for step, inner in container.items() if named else enumerate(container):
                if named and not (isinstance(step, str) and is_clean_text(step)):
                    yield f"{_place(way)}: a name that is not text"
                elif isinstance(inner, _CONTAINERS):
                    deeper.append((inner, (way, step)))
                elif (problem := _problem(inner)) is not None:
                    yield f"{_place((way, step))}: {problem}"
        level, depth = deeper, depth + 1


_CONTAINERS: Final = (dict, list, tuple)
_Way = tuple[Any, str | int]
"""The way to the container around it, None for the outermost, and the last step."""


def _place(way: _Way) -> str:
    steps: list[str] = []
    before: _Way | None = way
    while before is not None:
        before, step = before
        inside = f".{step}" if isinstance(step, str) else f"[{step}]"
        steps.append(inside if before is not None else str(step))
    return "".join(reversed(steps))


def _problem(value: Any) -> str | None:
    """What is wrong with something that holds nothing else; None when it can travel."""
    if isinstance(value, str):
        return None if is_clean_text(value) else "text with a lone surrogate"
    if value is None:
        return None
    if isinstance(value, int | float):
        return None if is_safe_number(value) else f"{_shown(value)} cannot travel as a JSON number"
    return f"a {type(value).__name__} is not a JSON value"


def _shown(value: float) -> str:
    """`value` for a message: short even where `str` would refuse (a huge integer)."""
    if isinstance(value, int) and abs(value) > 2**64:
        return f"an integer of {value.bit_length()} bits"
    return str(value)


def joined(problems: Iterable[str], limit: int = 5) -> str:
    """The first few problems as one sentence."""
    found = list(problems)
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return "; ".join(found[:limit]) + more
