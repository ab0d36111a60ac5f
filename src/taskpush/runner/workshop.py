"""What the attempts of a runner share."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskpush.clock import Clock
from taskpush.runner.recorder import DEFAULT_LOG_BUDGET, LogBudget
from taskpush.store.base import Store
from taskpush.store.blobs import Blobs
from taskpush.telemetry.bus import Telemetry

RunTimes = Callable[[], Sequence[float]]
"""What tasks of one kind and size took, shortest first, as of the moment of the call."""
ExpectedTimes = Callable[[str, Mapping[str, Any]], RunTimes]
"""The run times for a task of a kind, with its params."""


def unknown_times(_kind: str, _params: Mapping[str, Any]) -> RunTimes:
    """Nothing is known of earlier runs."""
    return tuple


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every attempt of a runner works with."""

    store: Store
    blobs: Blobs
    telemetry: Telemetry
    clock: Clock
    strict_reporting: bool = False
    # What worker processes find in their environment besides the server's.
    process_env: Mapping[str, str] = field(default_factory=dict)
    # How long a worker process may take to stop before it is terminated.
    grace_s: float = 5.0
    log_budget: LogBudget = DEFAULT_LOG_BUDGET
    run_times: ExpectedTimes = unknown_times
    # Numbers from 0 to 1, for the pauses between attempts.
    random: Callable[[], float] = random.random
