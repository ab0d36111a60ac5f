"""How large tasks are, as the `size` functions of their kinds say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskpush.runner.kind import KindSpec
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import SizeUnknown


class Sizes:
    """Asks the functions, and tells operators of those that fail, once per kind."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._told: set[str] = set()

    def of(self, spec: KindSpec | None, params: Mapping[str, Any]) -> float | None:
        """The size of a task with these params; None without a function, or when it fails."""
        if spec is None:
            return None
        try:
            return spec.size_of(params)
        except Exception as error:  # noqa: BLE001 - the kind's own function; its task is estimated without size
            if spec.name not in self._told:
                self._told.add(spec.name)
                self._telemetry.emit(SizeUnknown(spec.name, f"{type(error).__name__}: {error}"))
            return None
