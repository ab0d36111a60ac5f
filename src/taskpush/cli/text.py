"""Numbers, times and foreign text as terminals show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


def clean(text: str) -> str:
    """The text without what a terminal would obey: a job's output must not drive it."""
    return "".join(mark if mark.isprintable() or mark in "\n\t" else "\ufffd" for mark in text)


def one_line(text: str) -> str:
    """The text on one line."""
    return " ".join(clean(text).split())


def duration(seconds: float) -> str:
    """Seconds as people say them: `45 s`, `2:05`, `1:02:05`."""
    whole = round(max(0.0, seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}:{minutes:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}" if minutes else f"{whole} s"


def size(count_bytes: float) -> str:
    """Bytes in binary units: `812 B`, `1.5 KiB`."""
    if count_bytes < 1024:
        return f"{count_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count_bytes /= 1024
        if count_bytes < 1024:
            return f"{count_bytes:.1f} {unit}"
    return f"{count_bytes / 1024:.1f} TiB"


def metrics(values: Mapping[str, object]) -> str:
    """Figures of an iteration: `max_temp 45.5, min_clearance 5.2`."""
    return ", ".join(f"{clean(name)} {_figure(value)}" for name, value in values.items())


def number(value: object) -> float | None:
    """The value, when it is a number."""
    return float(value) if isinstance(value, int | float) else None


def clock_time(moment: datetime) -> str:
    """The local time of day."""
    return moment.astimezone().strftime("%H:%M:%S")


def _figure(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else clean(str(value))
