"""The event that every server sends: the same bytes, with the moment it was sent inside."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any, Final

NAMESPACE: Final = "/tasks"
NAME: Final = "task_update"
DEFAULT_SIZE_BYTES: Final = 330
MARK: Final = b'"sent_us":'
"""Once in every event that is measured, and in nothing else that a server sends."""

_PADDING: Final = "min_clearance_"
_BARE_BYTES: Final = 274
"""A Socket.IO event with two-digit numbers and a padding name of no length."""


def now_us() -> int:
    """The clock in events: monotonic, and the same in all processes of a machine."""
    return time.monotonic_ns() // 1000


def metrics(size_bytes: int = DEFAULT_SIZE_BYTES) -> dict[str, float]:
    """The metrics of an event sent now; they make its Socket.IO packet `size_bytes` long."""
    padding = (_PADDING * (size_bytes // len(_PADDING) + 1))[: max(1, size_bytes - _BARE_BYTES)]
    return {"sent_us": now_us(), "max_temp": 45.5, padding: 0}


def envelope(channel: str, number: int, size_bytes: int = DEFAULT_SIZE_BYTES) -> dict[str, Any]:
    """What a peer sends as the `number`th event of `channel`: taskpush's envelope."""
    return {
        "task_id": channel,
        "event_type": "iteration_complete",
        "data": {"iteration": number, "metrics": metrics(size_bytes)},
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds"),
        "attempt": 1,
        "seq": number,
        "epoch": "k3v9x7q2",
    }


def packet(channel: str, number: int, size_bytes: int = DEFAULT_SIZE_BYTES) -> bytes:
    """The event as a Socket.IO packet in an Engine.IO message, for servers that send any bytes."""
    event = json.dumps([NAME, envelope(channel, number, size_bytes)], separators=(",", ":"))
    return f"42{NAMESPACE},{event}".encode()
