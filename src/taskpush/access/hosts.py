"""Which names this server answers to.

A page whose name is made to point at this machine after it was loaded (DNS rebinding) is of the
server's own origin as far as a browser can tell. Only the `Host` header still has the page's name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

_AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")
_PATTERN: Final = re.compile(r"\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")


class HostPolicy:
    """Decides by the `Host` header: names of loopback, the address that was reached, a list.

    An address cannot be made to mean another machine as a name can, so a client that wrote the very
    address at which it arrived is what it seems.
    """

    def __init__(self, allow_hosts: Sequence[str]) -> None:
        self._all = "*" in allow_hosts
        self._names = frozenset(allow_hosts)
        self._suffixes = tuple(name[1:] for name in allow_hosts if name.startswith("*."))

    def __call__(self, host: str, arrived_at: str | None) -> bool:
        """Whether `host` (a name or an address, any port) is one of this server's.

        `arrived_at` is the address of this side of the connection; None where there is none.
        """
        if self._all:
            return True
        match = _AUTHORITY.fullmatch(host.lower())
        if match is None:
            return False
        name = match["name"].strip("[]")
        if name == "localhost" or name in self._names or name.endswith(self._suffixes):
            return True
        address = address_of(name)
        return address is not None and (address.is_loopback or address == address_of(arrived_at))


def host_pattern(text: str) -> str:
    """`text` as a `HostPolicy` takes it: a name, `*.` and a name, an address, or `*`.

    Raises `ValueError` for anything else, such as a name with a port.
    """
    pattern = text.strip().lower()
    bare = pattern[1:-1] if pattern.startswith("[") and pattern.endswith("]") else pattern
    if _PATTERN.fullmatch(bare) is None or (":" in bare and address_of(bare) is None):
        raise ValueError(f"{text!r} is not a host such as jobs.example.org (without a port)")
    return bare


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, a name or an address."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def address_of(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `text` is; None when it is a name, a path or nothing.

    IPv4 over an IPv6 socket (`::ffff:192.0.2.1`) is IPv4.
    """
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
