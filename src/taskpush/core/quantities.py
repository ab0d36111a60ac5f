"""Lengths of time and sizes as people write them: `30d`, `1.5 GiB`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

_TEXT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {"s": 1, "min": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
)
# A letter alone is binary, as in other tools.
_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "": 1,
        "b": 1,
        **{name: 1000**power for power, name in enumerate(("kb", "mb", "gb", "tb"), 1)},
        **{name: 1024**power for power, name in enumerate(("kib", "mib", "gib", "tib"), 1)},
        **{name: 1024**power for power, name in enumerate(("k", "m", "g", "t"), 1)},
    }
)


def parse_duration(text: str) -> timedelta:
    """A number with `s`, `min`, `h`, `d` or `w`; raises `ValueError` for anything else."""
    number, unit = _parts(text)
    if number is None or unit not in _SECONDS:
        raise ValueError(f"{text!r} is no length of time such as 90min, 12h, 30d or 8w")
    try:
        return timedelta(seconds=number * _SECONDS[unit])
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def parse_size(text: str) -> int:
    """A number of bytes, or of `kB`, `MB`, `GB`, `TB` (1000), `KiB` … or `K` … (1024).

    Raises `ValueError` for anything else.
    """
    number, unit = _parts(text)
    if number is None or unit not in _BYTES:
        raise ValueError(f"{text!r} is no size such as 500MB or 2GiB")
    return round(number * _BYTES[unit])


def _parts(text: str) -> tuple[float | None, str]:
    match = _TEXT.fullmatch(text.strip())
    return (float(match[1]), match[2].lower()) if match else (None, "")
