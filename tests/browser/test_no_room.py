"""The dashboard, and a server that has no room for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.attacks import raw
from tests.browser.conftest import Visit
from tests.support.server import ServerProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that lets each principal have one connection."""
    settings = {"max_connections_per_principal": "1"}
    with ServerProcess(tmp_path / "data", settings=settings) as process:
        yield process


def test_the_page_says_when_it_tries_again_and_does(server: ServerProcess, visit: Visit) -> None:
    with raw.peer(server.port) as other:
        other.join()
        visit.page.goto(server.url)
        expect(visit.page.locator("body")).to_contain_text("Trying again at")
    expect(visit.page.locator("#connection-text")).to_have_text("Live")
