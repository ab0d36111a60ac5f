"""Where the server may be made to connect to: it stands where others cannot reach.

Whoever names an address that a server connects to may aim at what trusts that server: its own
machine, its network, a cloud's metadata. Source: OWASP, "Server-Side Request Forgery Prevention".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from taskpush.errors import TaskPushError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
PORTS: Final = frozenset({443, 8443})
"""Of https, unless the host is listed."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            # Python calls parts of these global, or did in older versions.
            "192.0.0.0/24",
            "192.88.99.0/24",
            "64:ff9b:1::/48",
            "::/96",
            "fec0::/10",
            # Teredo, 6to4 and their like.
            "2001::/23",
            "2002::/16",
            # A public address that answers only inside of Azure, and tells secrets there.
            "168.63.129.16/32",
        ),
    )
)


def destination(text: str) -> str:
    """An entry of the list: an address, a network or a name, without a port."""
    if _network(text) is None and (not _NAME.fullmatch(text) or _address_like(text)):
        raise ValueError(f"{text!r} is no address, network or name of a host")
    return text


def refused(why: str) -> TaskPushError:
    """The error that says so."""
    return TaskPushError(why, code="webhook_refused")


class Destinations:
    """Decides which addresses may be connected to: public ones by https, and what is listed.

    An entry is a name, which is then trusted whatever it resolves to, an address or a network. By
    what is listed also http and any port may be used.
    """

    def __init__(self, allow: Sequence[str] = ()) -> None:
        networks = [_network(entry) for entry in allow]
        self._networks = [network for network in networks if network is not None]
        self._names = {
            entry.lower() for entry, network in zip(allow, networks, strict=True) if network is None
        }

    def check(self, url: str) -> None:
        """Raise `webhook_refused` unless events may be sent to the URL, as far as it tells."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise refused("the webhook's address is malformed") from None
        _check_form(url, parts)
        if self.lists(host):
            return
        if parts.scheme != "https" or (port or 443) not in PORTS:
            raise refused(
                "webhooks are sent by https, port 443 or 8443, but to hosts that are allowed"
            )
        if _address(host) is None:
            if _address_like(host) or "." not in host.rstrip("."):
                raise refused("the webhook's host is no full name")
        elif not self.permits(host):
            raise refused("the webhook's address is private")

    def lists(self, host: str) -> bool:
        """Whether the host of a URL is listed, by name or address."""
        address = _address(host)
        if address is None:
            return host.lower().rstrip(".") in self._names
        return self._is_listed(address)

    def permits(self, address: str) -> bool:
        """Whether that address, which a name resolved to, may be connected to."""
        found = _address(address)
        return found is not None and (self._is_listed(found) or is_public(found))

    def _is_listed(self, address: Address) -> bool:
        return any(form in network for form in _forms(address) for network in self._networks)


def is_public(address: Address) -> bool:
    """Whether the address belongs to the Internet at large, in every form that it can be read."""
    return all(
        form.is_global
        and not form.is_multicast
        and not form.is_reserved
        and not any(form in network for network in _NOT_PUBLIC)
        for form in _forms(address)
        # What maps an IPv4 address is judged by that.
        if not (isinstance(form, ipaddress.IPv6Address) and _embedded(form))
    )


def _forms(address: Address) -> list[Address]:
    """The address, and the IPv4 addresses that are embedded in it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    return [address, *_embedded(address)]


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The address that is reached by it, as IPv4-mapped or NAT64; other ways are not public."""
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [] if address.ipv4_mapped is None else [address.ipv4_mapped]


def _check_form(url: str, parts: SplitResult) -> None:
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise refused("a webhook is an http or https address")
    if parts.username is not None or parts.password is not None:
        raise refused("credentials do not stand in a webhook's address: what is sent is signed")
    if parts.fragment or not url.isprintable() or " " in url or "\\" in url:
        raise refused("the webhook's address is malformed")


def _address(host: str) -> Address | None:
    try:
        # A zone names an interface of this machine.
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _address_like(host: str) -> bool:
    """Some resolvers read `127.1`, `0x7f000001` and `2130706433` as addresses, too."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return last.isdigit() or last.startswith("0x")


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None
