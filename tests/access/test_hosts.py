"""Which names a server answers to."""

from __future__ import annotations

import pytest

from taskpush.access.hosts import HostPolicy, host_pattern, is_loopback

LOOPBACK = ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.8.9.1", "[::1]", "[::1]:8000"]
NOT_OURS = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "localhost@evil.example",
    "localhost:port",
    "localhost/../evil.example",
    "127.0.0.1.nip.example",
    "192.0.2.9",
    "0.0.0.0",
    "[::ffff:127.0.0.1",
    "2130706433",
    " localhost",
    "localhost\n",
    "*",
    "",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_answered_to_by_its_names_and_addresses(host: str) -> None:
    assert HostPolicy([])(host, "127.0.0.1")


@pytest.mark.parametrize("host", NOT_OURS)
def test_nothing_else_is_answered_to(host: str) -> None:
    assert not HostPolicy([])(host, "127.0.0.1")


@pytest.mark.parametrize(
    ("host", "arrived_at", "ours"),
    [
        ("192.0.2.1:8000", "192.0.2.1", True),
        ("192.0.2.1:8000", "::ffff:192.0.2.1", True),
        ("[2001:db8::1]", "2001:db8:0::1", True),
        ("192.0.2.2", "192.0.2.1", False),
        ("jobs.example", "192.0.2.1", False),
        ("jobs.example", "jobs.example", False),
        ("192.0.2.1", None, False),
    ],
)
def test_the_address_that_was_reached_is_answered_to(
    host: str, arrived_at: str | None, ours: bool
) -> None:
    assert HostPolicy([])(host, arrived_at) is ours


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("jobs.example", True),
        ("Jobs.Example:8443", True),
        ("192.0.2.9:80", True),
        ("[2001:db8::9]:80", True),
        ("a.apps.example", True),
        ("a.b.apps.example", True),
        ("apps.example", False),
        ("evil-apps.example", False),
        ("jobs.example.evil", False),
    ],
)
def test_listed_names_are_answered_to(host: str, ours: bool) -> None:
    listed = ["jobs.example", "192.0.2.9", "2001:db8::9", "*.apps.example"]
    assert HostPolicy(listed)(host, "127.0.0.1") is ours


@pytest.mark.parametrize("host", NOT_OURS)
def test_a_star_leaves_it_to_somebody_else(host: str) -> None:
    assert HostPolicy(["*"])(host, None)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Jobs.Example", "jobs.example"),
        ("*.apps.example", "*.apps.example"),
        ("[2001:DB8::9]", "2001:db8::9"),
        ("192.0.2.9", "192.0.2.9"),
        ("*", "*"),
    ],
)
def test_names_are_taken_as_people_write_them(said: str, meant: str) -> None:
    assert host_pattern(said) == meant


@pytest.mark.parametrize(
    "said", ["jobs.example:8000", "http://jobs.example", "a b", "*.*", "a..b", "", "1:2", "jobs.*"]
)
def test_what_is_no_name_is_a_mistake(said: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        host_pattern(said)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_told_from_the_rest(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here
    assert not is_loopback("jobs.example")
