"""A browser, and pages in it that notice what must never happen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that a test serves itself comes from no address, and could open no WebSocket here.
    "--disable-features=LocalNetworkAccessChecks",
)
EXPECT_WITHIN_MS = 15_000
GIVEN_UP = "WebSocket is closed before the connection is established"
"""What Chromium says where a page gives up a WebSocket that is still opening: after 20 s, or with
the door that it used meanwhile."""

KILLED = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
"""What Chromium says of requests to a server that was killed, by how far they were."""


@dataclass
class Visit:
    """One page, with what it asked the network for and what it complained about."""

    page: Page
    addresses: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    expected_complaints: tuple[str, ...] = ()
    """Parts of those that the test provokes: a browser reports every refused request."""

    def open(self, url: str) -> Page:
        """Load the page, and wait until it is live."""
        self.page.goto(url)
        expect(self.page.locator("#connection-text")).to_have_text("Live")
        return self.page

    def count_requests(self) -> list[str]:
        """The addresses that the page asks from now on, by the browser's own account: it grows.

        What is made in the page itself (`blob:`, `data:`) is no request.
        """
        asked: list[str] = []

        def note(event: dict[str, Any]) -> None:
            url = str(event["request"]["url"])
            if url.startswith("http"):
                asked.append(url)

        session = self.page.context.new_cdp_session(self.page)
        session.on("Network.requestWillBeSent", note)
        session.send("Network.enable")
        return asked

    def origins(self) -> set[str]:
        """Hosts and ports of everything that was asked for; a blob is the page's own."""
        return {
            urlsplit(address).netloc
            for address in self.addresses
            if not address.startswith(("blob:", "data:"))
        }

    def unexpected_complaints(self) -> list[str]:
        """What nobody provoked."""
        return [
            complaint
            for complaint in self.complaints
            if not any(part in complaint for part in (GIVEN_UP, *self.expected_complaints))
        ]


class NewVisit(Protocol):
    """Makes a page of its own, as of another browser."""

    def __call__(self, width: int, locale: str = "en") -> Visit: ...


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without its own talk to the network."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}")
    # The sync interface has an event loop running while it is open; closed with this folder's
    # tests, it can't meet those of other tests.
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False
        )
        try:
            yield chromium
        finally:
            chromium.close()


@pytest.fixture
def new_visit(browser: Browser) -> Iterator[NewVisit]:
    """Makes pages of a given width; at the end none may have complained or asked elsewhere."""
    expect.set_options(timeout=EXPECT_WITHIN_MS)
    visits: list[Visit] = []

    def make(width: int, locale: str = "en") -> Visit:
        visit = Visit(browser.new_page(viewport={"width": width, "height": 900}, locale=locale))
        visits.append(visit)

        def note_message(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                visit.complaints.append(f"{message.text} {message.location}")

        visit.page.on("console", note_message)
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("request", lambda request: visit.addresses.add(request.url))
        visit.page.on("websocket", lambda socket: visit.addresses.add(socket.url))
        return visit

    yield make
    for visit in visits:
        own = urlsplit(visit.page.url).netloc
        visit.page.close()
        assert visit.origins() == {own}
        assert visit.unexpected_complaints() == []


@pytest.fixture
def visit(new_visit: NewVisit) -> Visit:
    """A page on a desktop."""
    return new_visit(1280)
