"""Where the server may be made to connect to."""

from __future__ import annotations

import ipaddress

import pytest

from taskpush.access.destinations import Destinations, destination, is_public
from taskpush.errors import TaskPushError

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


def code_of(url: str, *allow: str) -> str | None:
    """Of the refusal; None when events may be sent there."""
    try:
        Destinations(allow).check(url)
    except TaskPushError as error:
        return error.code
    return None


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_internet_at_large_is_refused(address: str) -> None:
    assert not Destinations().permits(address)
    host = f"[{address}]" if ":" in address else address
    assert code_of(f"https://{host}/hook") == "webhook_refused"


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert Destinations().permits(address)
    host = f"[{address}]" if ":" in address else address
    assert code_of(f"https://{host}/hook") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "https://example.org:22/hook",
        "https://example.org:99999/hook",
        "ftp://example.org/hook",
        "file:///etc/passwd",
        "gopher://example.org/",
        "//example.org/hook",
        "https:///hook",
        "https://ann:secret@example.org/hook",
        "https://@example.org/hook",
        "https://example.org/hook#part",
        "https://example.org/a b",
        "https://example.org\\@127.0.0.1/",
        "https://example.org/\nhook",
        "https://localhost/hook",
        "https://intranet/hook",
        "https://127.1/hook",
        "https://2130706433/hook",
        "https://0x7f000001/hook",
        "https://0x7f.1/hook",
        "https://0177.0.0.1/hook",
        "https://[::1/hook",
        "https://①②⑦.0.0.1/hook",
        "",
    ],
)
def test_an_address_that_could_mean_another_is_refused(url: str) -> None:
    assert code_of(url) == "webhook_refused"


def test_names_are_taken_whatever_they_may_resolve_to_later() -> None:
    assert code_of("https://hooks.example.org/in?token=1") is None
    assert code_of("https://hooks.example.org:8443/in") is None


def test_what_is_listed_may_be_reached_by_http_and_at_any_port() -> None:
    assert code_of("http://hooks.internal:9000/", "hooks.internal") is None
    assert code_of("http://HOOKS.internal.:9000/", "hooks.internal") is None
    assert code_of("http://other.internal:9000/", "hooks.internal") == "webhook_refused"
    assert code_of("http://a.hooks.internal/", "hooks.internal") == "webhook_refused"
    assert code_of("http://10.1.2.3:80/", "10.0.0.0/8") is None
    assert code_of("http://[::ffff:10.1.2.3]:80/", "10.0.0.0/8") is None
    assert code_of("http://11.1.2.3:80/", "10.0.0.0/8") == "webhook_refused"
    assert code_of("http://[::1]:80/", "::1") is None


def test_a_listed_network_holds_for_what_a_name_resolves_to() -> None:
    destinations = Destinations(["10.0.0.0/8"])
    assert destinations.permits("10.1.2.3")
    assert not destinations.permits("192.168.1.1")


def test_a_name_on_the_list_allows_no_address_to_others() -> None:
    destinations = Destinations(["localhost"])
    assert destinations.lists("localhost")
    assert not destinations.permits("127.0.0.1")


@pytest.mark.parametrize("entry", ["10.0.0.0/8", "::1", "localhost", "hooks.internal", "a_b.c"])
def test_an_entry_is_an_address_a_network_or_a_name(entry: str) -> None:
    assert destination(entry) == entry


@pytest.mark.parametrize("entry", ["", "10.0.0.1/8", "10.0.0", "http://a.b", "a.b:80", "*.a.b"])
def test_what_is_none_is_no_entry(entry: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        destination(entry)
