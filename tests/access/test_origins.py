"""Which pages may use a server."""

from __future__ import annotations

import pytest

from taskpush.access.origins import OriginPolicy

HOST = "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8000", True),
        ("https://app.example", True),
        ("http://127.0.0.1:8001", False),
        ("http://127.0.0.1", False),
        ("http://evil.example", False),
        ("http://app.example", False),
        ("http://127.0.0.1:8000@evil.example", False),
        ("http://[half", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_the_own_origin_and_listed_ones_may_come(origin: str, allowed: bool) -> None:
    assert OriginPolicy(["https://app.example"])(origin, HOST) is allowed


def test_names_are_the_same_in_capitals() -> None:
    assert OriginPolicy([])("http://localhost:8000", "LocalHost:8000")


def test_who_names_no_host_has_no_pages() -> None:
    assert not OriginPolicy([])("null", "")


def test_a_star_allows_every_page() -> None:
    assert OriginPolicy(["*"])("http://evil.example", HOST)


def test_over_tls_a_page_that_anybody_on_the_way_could_write_may_not_come() -> None:
    policy = OriginPolicy(())
    assert policy("https://jobs.example.org", "jobs.example.org", secure=True)
    assert not policy("http://jobs.example.org", "jobs.example.org", secure=True)
    # A proxy that is not trusted may have taken the TLS off.
    assert policy("https://jobs.example.org", "jobs.example.org", secure=False)
