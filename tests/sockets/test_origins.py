"""Which pages may open a socket."""

from __future__ import annotations

import pytest

from taskpush.sockets.origins import OriginPolicy

HOST = "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8000", True),
        ("https://app.example", True),
        ("http://127.0.0.1:8001", False),
        ("http://evil.example", False),
        ("http://app.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_the_own_origin_and_listed_ones_may_connect(origin: str, allowed: bool) -> None:
    assert OriginPolicy(["https://app.example"])(origin, HOST) is allowed


def test_a_star_allows_every_page() -> None:
    assert OriginPolicy(["*"])("http://evil.example", HOST)
