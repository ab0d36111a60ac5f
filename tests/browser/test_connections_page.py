"""Who watches what, on the page for those who look after the server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from taskpush.access.keys import create_key
from taskpush.access.principal import OWNERS_ROLES, Role
from tests.browser.conftest import Visit
from tests.browser.task_page import task_url
from tests.support.server import ServerProcess

READS = re.compile(r"/api/(connections|server)")
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
  // A page that comes to be seen asks whether its connection stands, and a clock that is wound on
  // would not wait for the answer.
  const state = hidden ? "hidden" : "visible";
  Object.defineProperty(document, "visibilityState", {get: () => state, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def _titled(server: ServerProcess, title: str) -> str:
    body = {"kind": "sleep", "params": {}, "title": title}
    status, task = server.call("POST", "/api/tasks", body)
    assert status == 201
    return str(task["task_id"])


def _sign_in(visit: Visit, url: str, key: str) -> Page:
    page = visit.page
    page.goto(url)
    page.get_by_label("Token").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#connection-text")).to_have_text("Live")
    return page


def test_who_watches_appears_with_what_and_goes_when_they_leave(
    server: ServerProcess, new_visit: Callable[[int], Visit]
) -> None:
    page = new_visit(1280).open(server.url)
    page.get_by_role("link", name="Connections").click()
    rows = page.locator("#connections tbody tr")
    # The page itself.
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("list all")
    expect(rows).to_contain_text("WebSocket")
    expect(rows).to_contain_text("127.0.0.1")

    tasks = [_titled(server, "first watched"), _titled(server, "second watched")]
    watchers = [new_visit(1280) for _ in tasks]
    for watcher, task_id in zip(watchers, tasks, strict=True):
        watcher.open(task_url(server, task_id))
    expect(rows).to_have_count(3)
    for title in ("first watched", "second watched"):
        expect(rows.filter(has=page.get_by_role("link", name=title))).to_have_count(1)
    figures = page.locator("#server-figures")
    expect(figures).to_contain_text(re.compile(r"Connections\s*3 of 20,000"))
    expect(figures).to_contain_text(re.compile(r"Tasks running\s*2"))
    expect(figures).to_contain_text(re.compile(r"Pushes\s*[\d,]+/s"))
    expect(figures).to_contain_text("MiB")

    # To a page that is nobody's.
    watchers[0].page.goto(f"{server.url}/healthz")
    expect(rows).to_have_count(2)
    expect(page.get_by_role("link", name="first watched")).to_have_count(0)
    page.get_by_role("link", name="second watched").click()
    expect(page.locator("#task-title")).to_have_text("second watched")
    for task_id in tasks:
        server.call("POST", f"/api/tasks/{task_id}/cancel", {})


def test_it_is_asked_only_while_somebody_looks(server: ServerProcess, visit: Visit) -> None:
    page = visit.page
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url) if READS.search(it.url) else None)
    visit.open(f"{server.url}/connections")
    expect(page.locator("#connections")).to_be_visible()
    with page.expect_response(READS):
        page.clock.run_for(5000)
    page.evaluate(HIDE, True)
    before = len(asked)
    page.clock.run_for(15_000)
    expect(page.locator("#connection-text")).to_have_text("Live")
    assert len(asked) == before
    with page.expect_response(READS):
        page.evaluate(HIDE, False)


class _Keyed:
    """A server that asks who it is."""

    def __init__(self, server: ServerProcess) -> None:
        self.url = server.url
        self._path = server.data / "keys.json"

    def key(self, name: str, *roles: Role, tenant: str = "local") -> str:
        return create_key(self._path, name, roles=roles, owner=name, tenant=tenant, now=time.time())


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Keyed]:
    data: Path = tmp_path_factory.mktemp("keyed") / "data"
    with ServerProcess(data) as process:
        yield _Keyed(process)


def test_who_is_no_admin_is_told_so_and_not_led_there(
    keyed: _Keyed, new_visit: Callable[[int], Visit]
) -> None:
    owner = new_visit(1280)
    owner.expected_complaints = ("401",)
    page = _sign_in(owner, keyed.url, keyed.key("ann", *OWNERS_ROLES))
    expect(page.get_by_role("link", name="History")).to_be_visible()
    with page.expect_response("**/api/me"):
        page.goto(f"{keyed.url}/connections")
    expect(page.get_by_text("This page is for admins")).to_be_visible()
    expect(page.get_by_role("link", name="Connections")).to_have_count(0)
    assert not [address for address in owner.addresses if READS.search(address)]

    root = new_visit(1280)
    root.expected_complaints = ("401",)
    page = _sign_in(root, f"{keyed.url}/connections", keyed.key("root", Role.ADMIN))
    expect(page.locator("#connections tbody tr")).to_have_count(2)
    expect(page.locator("#server-figures")).to_be_visible()
    page.get_by_label("Only this owner").fill("ann")
    expect(page.locator("#connections tbody tr")).to_have_count(1)
    expect(page.locator("#connections tbody tr")).to_contain_text("key:")


def test_an_admin_of_a_tenant_sees_that_tenant_and_not_the_server(
    keyed: _Keyed, visit: Visit
) -> None:
    visit.expected_complaints = ("401",)
    key = keyed.key("theirs", Role.ADMIN, tenant="acme")
    page = _sign_in(visit, f"{keyed.url}/connections", key)
    expect(page.locator("#connections tbody tr")).to_have_count(1)
    expect(page.locator("#server-figures")).to_have_count(0)
