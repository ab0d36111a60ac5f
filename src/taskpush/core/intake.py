"""How long a server waits for the next part of what somebody sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PAUSE_S: Final = 10.0
"""Nothing comes for so long: it has stopped."""
FILE_PAUSE_S: Final = 30.0
"""The same of a file, which may come over a line that fails for a while."""
SLOWEST_BYTES_PER_S: Final = 1024
"""Slower than that for long: drops."""


@dataclass(slots=True)
class Intake:
    """A body that arrives. Only the time in which somebody waited for it counts."""

    pause_s: float = PAUSE_S
    # None: as slow as it likes, while something comes.
    bytes_per_s: int | None = SLOWEST_BYTES_PER_S
    waited_s: float = 0.0
    taken_bytes: int = 0

    @property
    def patience_s(self) -> float:
        """Seconds that its next part may take; 0 when it is too slow already."""
        if self.bytes_per_s is None:
            return self.pause_s
        due_s = self.pause_s + self.taken_bytes / self.bytes_per_s
        return max(0.0, min(self.pause_s, due_s - self.waited_s))

    def came(self, size_bytes: int, waited_s: float) -> None:
        """A part came, after so long."""
        self.taken_bytes += size_bytes
        self.waited_s += waited_s
