"""What JSON can spell, and whether taskpush lets it travel."""

from __future__ import annotations

import math
from typing import Any, Final

from hypothesis import strategies as st

MAX_SAFE_INTEGER: Final = 2**53 - 1

_TEXTS: Final = st.text(max_size=12) | st.text(
    st.characters(categories=["Cs", "Cc", "So", "Nd"]), max_size=6
)
_NUMBERS: Final = (
    st.integers(-5, 5)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([MAX_SAFE_INTEGER, MAX_SAFE_INTEGER + 1, -(10**300), 10**300])
    | st.floats()
)
_LEAVES: Final = st.none() | st.booleans() | _NUMBERS | _TEXTS


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=8,
) | st.sampled_from([50, 150, 300]).map(_deep)
"""Any value that some JSON encoder writes: deep, huge, NaN and lone surrogates too."""


def travels(value: object) -> bool:
    """Whether every JSON reader reads the same out of it; of nesting, what lies well within."""
    level = [value]
    for _ in range(100):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list):
                below += item
            elif not _leaf_travels(item):
                return False
        if not below:
            return True
        level = below
    return False


def _leaf_travels(leaf: object) -> bool:
    match leaf:
        case bool() | None:
            return True
        case int():
            return abs(leaf) <= MAX_SAFE_INTEGER
        case float():
            return math.isfinite(leaf)
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in leaf)
    raise AssertionError(f"no JSON: {leaf!r}")
