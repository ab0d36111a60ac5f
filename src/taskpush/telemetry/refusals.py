"""Refusals in the log: the first of each sort and address, then how many more there were.

Who is refused pays nothing for it, so a line for each would let anybody fill the disk.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Final

from taskpush.telemetry.bus import Subscriber
from taskpush.telemetry.events import (
    AccessRefused,
    PacketRefused,
    RefusalsUntold,
    RequestRefused,
    TelemetryEvent,
)

EACH: Final = 10
"""So many lines a minute about refusals of one sort and address."""
MINUTE_S: Final = 60.0
MAX_SOURCES: Final = 100
"""So many sorts and addresses are told apart within a minute; all others are counted as one."""
ELSEWHERE: Final = "elsewhere"

_Source = tuple[str, str, str]


class FewRefusals:
    """A subscriber that hands on what it is told, but not every refusal.

    Refusals have to be told on the event loop. `close` tells what was counted and not yet told.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        monotonic: Callable[[], float],
        *,
        each: int = EACH,
        minute_s: float = MINUTE_S,
    ) -> None:
        self._subscriber = subscriber
        self._monotonic = monotonic
        self._each = each
        self._minute_s = minute_s
        self._ends_s = 0.0
        # By name, address and code: how many there were within the minute.
        self._counts: Counter[_Source] = Counter()
        # None while nothing was left out.
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, event: TelemetryEvent) -> None:
        """For `Telemetry`."""
        if isinstance(event, AccessRefused | PacketRefused | RequestRefused):
            self._refused(event)
        else:
            self._subscriber(event)

    def close(self) -> None:
        """Say how many were left out, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, Counter()
        for (name, address, code), count in counts.items():
            if count > self._each:
                untold = RefusalsUntold(name, address, code, count - self._each)
                self._subscriber(untold)

    def _refused(self, event: AccessRefused | PacketRefused | RequestRefused) -> None:
        now_s = self._monotonic()
        if now_s >= self._ends_s:
            self.close()
            self._ends_s = now_s + self._minute_s
        code = "bad_packet" if isinstance(event, PacketRefused) else event.code
        source = (event.name, network_of(event.peer), code)
        if source not in self._counts and len(self._counts) >= MAX_SOURCES:
            source = (event.name, ELSEWHERE, code)
        self._counts[source] += 1
        if self._counts[source] <= self._each:
            self._subscriber(event)
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._ends_s - now_s, self.close)


def network_of(peer: str) -> str:
    """The address of `address:port`; of IPv6 the network that one subscriber is given."""
    host = peer.rpartition(":")[0] or peer
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
