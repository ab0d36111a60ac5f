"""How many connections are open, and whose: nobody may have so many that others have none.

A connection is what stays open: a session of Engine.IO whatever its transport, a stream, a poll
that waits. Each has a `Place`, from the moment it is let in until it has gone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from taskpush.access.admission import NO_ACCESS_CONFIGURED, Admission
from taskpush.access.hosts import address_of
from taskpush.core.limits import Limits
from taskpush.core.rates import Rates
from taskpush.errors import ConnectionLimit, ServerFull
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import LimitReached

THIS_MACHINE: Final = "this machine"
"""What all connections from loopback and Unix sockets are counted by."""
IPV6_PREFIX: Final = 64
"""What one subscriber is given at least, and can take addresses from at will (RFC 6177)."""
SAID_PER_S: Final = 0.1
SAID_AT_ONCE: Final = 3
"""How often the log says that a limit was reached."""


class Turnstile:
    """Counts those who come in and leave; whoever would be one too many is told to come back."""

    def __init__(
        self, limits: Limits, telemetry: Telemetry, monotonic: Callable[[], float]
    ) -> None:
        self._limits = limits
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._said = Rates(SAID_PER_S, SAID_AT_ONCE)
        self._inside = 0
        # How many each address and each principal has; none has 0.
        self._of: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """How many connections there are."""
        return self._inside

    @property
    def counted(self) -> int:
        """How many addresses and principals have any."""
        return len(self._of)

    def enter(self, scope: Mapping[str, Any], admission: Admission | None = None) -> Place:
        """Let in who sent that request, as who it is, unless that is still to be shown.

        Raises `ConnectionLimit` or `ServerFull`.
        """
        address = network_of(scope)
        allowed = self._limits.connections_per_address.of(local=address == THIS_MACHINE)
        self._check(address, allowed, f"from {address}")
        if self._inside >= self._limits.connections:
            self._say("server_full", "all", self._limits.connections)
            raise ServerFull
        place = Place(self, address)
        self._inside += 1
        self._add(address, 1)
        if admission is not None:
            try:
                place.claim(admission)
            except ConnectionLimit:
                place.leave()
                raise
        return place

    # What a place calls.

    def claimed(self, admission: Admission) -> Hashable:
        """Count one more of the principal; returns what it is counted by."""
        principal, credential = admission.principal, admission.credential
        # A browser with a token must not use up what its owner's other programs need.
        token = "" if principal.scope is None else credential
        allowed = self._limits.connections_per_principal.of(local=is_local(admission))
        who = (principal.tenant, principal.owner, token)
        self._check(who, allowed, f"of {principal.tenant}/{principal.owner}")
        self._add(who, 1)
        return who

    def unclaimed(self, who: Hashable) -> None:
        """One less of whom it was counted by."""
        self._add(who, -1)

    def left(self, address: str) -> None:
        """A connection from that address has gone."""
        self._inside -= 1
        self._add(address, -1)

    def _check(self, who: Hashable, allowed: int | None, whose: str) -> None:
        if allowed is not None and self._of.get(who, 0) >= allowed:
            self._say("connection_limit", whose, allowed)
            raise ConnectionLimit(f"at most {allowed} connections {whose} at once")

    def _add(self, who: Hashable, change: int) -> None:
        number = self._of.get(who, 0) + change
        if number:
            self._of[who] = number
        else:
            del self._of[who]

    def _say(self, code: str, whose: str, limit: int) -> None:
        if not self._said.take(code, 1, self._monotonic()):
            self._telemetry.emit(LimitReached(code, whose, limit))


class Place:
    """One connection's place. Leaving, or giving something back, twice is the same as once."""

    __slots__ = ("_address", "_turnstile", "_who")

    def __init__(self, turnstile: Turnstile, address: str) -> None:
        # None once it has left.
        self._turnstile: Turnstile | None = turnstile
        self._address = address
        # None until somebody has claimed it.
        self._who: Hashable = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    @property
    def is_local(self) -> bool:
        """Whether it is somebody on this machine."""
        return self._address == THIS_MACHINE

    def claim(self, admission: Admission) -> None:
        """It is a connection of that principal's; raises `ConnectionLimit`."""
        assert self._turnstile is not None
        self.give_back()
        self._who = self._turnstile.claimed(admission)

    def give_back(self) -> None:
        """It is nobody's any more."""
        who, self._who = self._who, None
        if who is not None and self._turnstile is not None:
            self._turnstile.unclaimed(who)

    def leave(self) -> None:
        """The connection has gone."""
        self.give_back()
        turnstile, self._turnstile = self._turnstile, None
        if turnstile is not None:
            turnstile.left(self._address)


def is_local(admission: Admission) -> bool:
    """Whether nobody had to show anything."""
    return admission.credential == NO_ACCESS_CONFIGURED.credential


def network_of(scope: Mapping[str, Any]) -> str:
    """What a request is counted by: its address, of IPv6 the network, or `THIS_MACHINE`.

    The address is what the gate has established, which behind a trusted proxy is the client's.
    """
    client = scope.get("client")
    if not client:
        return THIS_MACHINE  # A Unix socket.
    address = address_of(client[0])
    if address is None:
        return str(client[0])
    if address.is_loopback:
        return THIS_MACHINE
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
