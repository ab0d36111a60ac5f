"""How long a client waits for a server that does not answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """A server that was reached before is waited for; one that never was is given up at once."""

    # One request, or one attempt to connect.
    request_timeout_s: float = 30.0
    # Trying a request again, all tries together.
    retry_for_s: float = 10.0
    # A watch that has lost its server; None means for ever.
    reconnect_for_s: float | None = 300.0


@dataclass(slots=True)
class Contact:
    """Whether the server was ever reached, through whichever door."""

    made: bool = False
