"""What can be sent on: values as plain JSON, texts that have a UTF-8 form, and what both take.

Imports no asyncio: worker processes start with this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from types import NoneType
from typing import Any, Final

import orjson

from taskpush.models.events import MAX_EVENT_BYTES
from taskpush.models.values import MAX_DEPTH, is_clean_text, value_problems

MAX_DATA_BYTES: Final = MAX_EVENT_BYTES - 512
"""Room for `data`: the rest of an envelope is under 512 bytes."""

_PLAIN_TYPES: Final = frozenset({str, int, float, bool, NoneType})
_CUT_MARK: Final = " … [cut]"


def travelling(values: Mapping[Any, object], where: str) -> tuple[dict[str, Any], list[str]]:
    """The entries that can travel, as plain JSON values, and what is wrong with the others."""
    kept: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in values.items():
        if not isinstance(name, str) or not is_clean_text(name):
            problems.append(f"{where}: a name that is not text")
            continue
        inner = plain(value)
        found = list(islice(value_problems(inner, f"{where}.{name}"), 3))
        if found:
            problems += found
        else:
            kept[str(name)] = inner
    return kept, problems


def plain(value: Any, depth: int = 0) -> Any:
    """`value` with numpy's scalars, enums and other subclasses as what they stand for.

    What cannot be taken is given back as it is, for `value_problems` to name.
    """
    if type(value) in _PLAIN_TYPES or depth > MAX_DEPTH:
        return value
    match value:
        case Mapping():
            return {
                str(key) if isinstance(key, str) else key: plain(inner, depth + 1)
                for key, inner in value.items()
            }
        case list() | tuple():
            return [plain(inner, depth + 1) for inner in value]
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str.__str__(value)
    return _item(value, depth)


def _item(value: Any, depth: int) -> Any:
    """What a numpy or torch scalar holds; recognised by `.item()`, so neither is imported."""
    try:
        item = getattr(value, "item", None)
        if not callable(item) or getattr(value, "ndim", 0) != 0:
            return value
        inner = item()
    except Exception:  # noqa: BLE001 - somebody's object may answer with anything
        return value
    # A longdouble's item is a longdouble again.
    return value if type(inner) is type(value) else plain(inner, depth + 1)


def clean_text(value: object, where: str) -> tuple[str, list[str]]:
    """`value` as text that has a UTF-8 form, and what was wrong with it."""
    text = value if type(value) is str else shown(value)
    if is_clean_text(text):
        return text, []
    return without_surrogates(text), [f"{where}: text with a lone surrogate"]


def shown(value: object) -> str:
    """`str(value)`, also where that raises."""
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - whatever somebody's __str__ raises, the report goes on
        return f"<{type(value).__name__} that has no text>"


def reason(error: BaseException) -> str:
    """An exception's text; with its name where the text alone tells nobody what went wrong.

    `KeyError("to")` says `'to'`, `SystemExit(3)` says 3, and many say nothing.
    """
    text, name = shown(error), type(error).__name__
    if not text.strip():
        return name
    bare = type(error).__str__ is KeyError.__str__ or not any(map(str.isalpha, text))
    return f"{name}: {text}" if bare else text


def glimpse(value: object) -> str:
    """A few characters of `repr(value)`, also where that raises."""
    try:
        return f"{value!r:.40}"
    except Exception:  # noqa: BLE001 - as in `shown`; a huge integer is among them
        return f"a {type(value).__name__}"


def without_surrogates(text: str) -> str:
    """`text` with every lone surrogate replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, limit_bytes: int) -> str:
    """`text`, or its start and a mark: what it takes in JSON stays below `limit_bytes`."""
    if len(text) * 6 <= limit_bytes or len(orjson.dumps(text)) <= limit_bytes:
        return text
    kept = text[: limit_bytes - len(_CUT_MARK.encode())]
    room = limit_bytes - len(_CUT_MARK.encode())
    while len(orjson.dumps(kept)) > room:
        # An escaped character takes six bytes, so this ends after a few rounds.
        kept = kept[: min(len(kept) - 1, len(kept) * room // len(orjson.dumps(kept)))]
    return kept + _CUT_MARK


def encoded_size(data: Mapping[str, Any]) -> int:
    """What `data` takes on the wire, in bytes."""
    return len(orjson.dumps(data))
