"""The bus: whoever notices something says it here; subscribers log or count it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from typing_extensions import override

from taskpush.telemetry.events import TelemetryEvent

Subscriber = Callable[[TelemetryEvent], None]


class Telemetry:
    """Hands each event to every subscriber, at once and in order. Safe to call from any thread."""

    def __init__(self, *subscribers: Subscriber) -> None:
        self._subscribers = subscribers

    def emit(self, event: TelemetryEvent) -> None:
        """Tell all subscribers; they must not block or raise."""
        for subscriber in self._subscribers:
            subscriber(event)


def log_to(logger: logging.Logger) -> Subscriber:
    """A subscriber that writes one line per event: its name, then its fields as `key=value`."""

    def write(event: TelemetryEvent) -> None:
        if logger.isEnabledFor(event.level):
            values = {f.name: getattr(event, f.name) for f in fields(event)}
            trace = values.pop("traceback", None)
            text = " ".join(f"{key}={_shown(value)}" for key, value in values.items())
            more = f"\n{_indented(trace)}" if trace else ""
            logger.log(event.level, "%s %s%s", event.name, text, more)

    return write


class LineFormatter(logging.Formatter):
    """A formatter for whom an exception's text is no line of the log either."""

    @override
    def formatException(self, ei: Any) -> str:
        return _indented(super().formatException(ei))


def _shown(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    quoted = text.encode("unicode_escape").decode().replace('"', r"\"")
    return f'"{quoted}"' if " " in text or quoted != text else text


def _indented(trace: str) -> str:
    """The traceback, which may quote what somebody sent: no line of it looks like one of the log's,
    and a terminal finds nothing to obey."""
    lines = trace.rstrip("\n").split("\n")
    return "\n".join(f"  {''.join(map(_plain, line))}" for line in lines)


def _plain(mark: str) -> str:
    return mark if mark.isprintable() else mark.encode("unicode_escape").decode()
