"""The dashboard and a server that asks who it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import expect

from taskpush.access.keys import create_key, revoke_key
from taskpush.access.principal import OWNERS_ROLES
from tests.browser.axe import violations
from tests.browser.conftest import Visit
from tests.support.server import ServerProcess

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
REFUSED = "the server responded with a status of 401"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server of the test's own, which it may ask for keys."""
    process = ServerProcess(tmp_path / "data")
    with process:
        yield process


def test_the_page_asks_for_a_token_keeps_it_for_the_tab_and_is_told_when_it_has_ended(
    server: ServerProcess, visit: Visit
) -> None:
    path = server.data / "keys.json"
    key = create_key(path, "ann", roles=OWNERS_ROLES, owner="ann", now=time.time())
    task = server.call("POST", "/api/tasks", {"kind": "files", "params": {}}, token=key)[1]
    visit.expected_complaints = (REFUSED,)
    page = visit.page
    page.goto(f"{server.url}/tasks/{task['task_id']}")
    expect(page.get_by_role("alert")).to_contain_text("Enter an API key or token")
    page.get_by_label("Token").fill("tp_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("does not accept this token")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == [], scheme
    page.get_by_label("Token").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#task-status")).to_have_text("Completed")
    assert _clients(visit) == 1
    with page.expect_download() as download:
        page.locator("#artifact-list a").first.click()
    assert download.value.path().read_bytes()
    page.reload()
    expect(page.locator("#connection-text")).to_have_text("Live")
    assert all(key not in address for address in visit.addresses)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.get_by_label("Token").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#connection-text")).to_have_text("Live")
    assert _clients(visit) == 1
    revoke_key(path, "ann", now=time.time())
    expect(page.get_by_role("alert")).to_contain_text("expired or was revoked")
    expect(page.get_by_label("Token")).to_be_visible()


def _clients(visit: Visit) -> int:
    """How many clients of taskpush the page has: each hears of the network once."""
    session = visit.page.context.new_cdp_session(visit.page)
    wanted = "getEventListeners(window).online.length"
    asked = {"expression": wanted, "includeCommandLineAPI": True}
    count: int = session.send("Runtime.evaluate", asked)["result"]["value"]
    return count
