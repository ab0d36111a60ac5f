"""Several tabs of one browser, real ones, that share one connection to a real server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, BrowserContext, Error, Page, WebSocket

from tests.support.proxy import SeverableLink, severable_link
from tests.support.server import ServerProcess
from tests.web.watch_in_chromium import serve_bundle

WATCH = """
async ([task, options]) => {
  const { createClient } = await import("/bundle-under-test/taskpush-client.js");
  window.client = createClient("/", options);
  window.seen = [];
  (async () => {
    for await (const event of client.watch(task)) if (event.seq !== null) seen.push(event);
    window.over = true;
  })().catch((error) => seen.push(String(error)));
}
"""
WITHIN_MS = 20_000


@dataclass(frozen=True)
class Network:
    """The way from the browser to the server, to be cut from another thread."""

    server: ServerProcess
    link: SeverableLink
    portal: BlockingPortal

    def cut(self) -> None:
        self.portal.call(self.link.cut)


@dataclass(frozen=True)
class Tab:
    """A page that watches the task."""

    page: Page
    sockets: list[WebSocket]

    @property
    def door(self) -> str:
        return str(self.page.evaluate("client.connection.door"))

    @property
    def connections(self) -> int:
        return sum(not socket.is_closed() for socket in self.sockets)

    def until(self, claim: str) -> None:
        self.page.wait_for_function(claim, timeout=WITHIN_MS)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with (
        ServerProcess(tmp_path_factory.mktemp("tabs") / "data") as server,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(severable_link(server.port)) as link,
    ):
        yield Network(server, link, portal)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


def test_three_tabs_have_one_connection_and_see_the_same(
    network: Network, context: BrowserContext
) -> None:
    tabs, task_id = _tabs(network, context)
    assert [tab.door for tab in tabs] == ["socketio", "tab", "tab"]
    assert _connections(tabs) == 1
    _all_see_everything(network, tabs, task_id)
    assert _until(tabs, lambda: _connections(tabs) == 0)


@pytest.mark.parametrize("end", ["closed", "crashed"])
def test_when_the_tab_with_the_connection_ends_another_takes_over(
    network: Network, context: BrowserContext, end: str
) -> None:
    tabs, task_id = _tabs(network, context)
    first, *others = tabs
    if end == "closed":
        first.page.close()
    else:
        _crash(first.page)
    assert _until(others, lambda: sorted(tab.door for tab in others) == ["socketio", "tab"])
    _until_live(others)
    assert _connections(others) == 1
    _all_see_everything(network, others, task_id)


def test_a_cut_of_the_one_connection_costs_no_tab_an_event(
    network: Network, context: BrowserContext
) -> None:
    tabs, task_id = _tabs(network, context)
    for cuts in (1, 2):
        tabs[1].until(f"seen.length >= {20 * cuts}")
        network.cut()
        assert _until(tabs, partial(_has_opened, tabs[0], cuts + 1))
        _until_live(tabs)
    assert _connections(tabs) == 1
    _all_see_everything(network, tabs, task_id)


def test_a_tab_in_which_nothing_runs_for_a_time_catches_up(
    network: Network, context: BrowserContext
) -> None:
    tabs, task_id = _tabs(network, context)
    seen = tabs[2].page.evaluate("seen.length")
    _hang(tabs[2], 4_000)
    tabs[0].until(f"seen.length > {seen} + 20")
    _all_see_everything(network, tabs[:2], task_id)
    tabs[2].until("window.over")
    assert tabs[2].page.evaluate("afterwards") < len(network.server.log_of(task_id)) - 10
    _all_see_everything(network, tabs[2:], task_id)


@pytest.mark.full
def test_a_tab_that_hangs_loses_the_connection_to_one_that_does_not(
    network: Network, context: BrowserContext
) -> None:
    tabs, task_id = _tabs(network, context)
    # Longer than the others wait: nothing of it runs meanwhile, and it still holds its lock.
    _hang(tabs[0], 9_000)
    assert _until(tabs, lambda: "socketio" in [tab.door for tab in tabs[1:]])
    assert _until(tabs, lambda: tabs[0].door == "tab")
    _until_live(tabs)
    assert sorted(tab.door for tab in tabs) == ["socketio", "tab", "tab"]
    assert _until(tabs, lambda: _connections(tabs) == 1)
    _all_see_everything(network, tabs, task_id)


def test_the_connection_outlives_the_watch_of_the_tab_that_has_it(
    network: Network, context: BrowserContext
) -> None:
    tabs, task_id = _tabs(network, context, count=2)
    first, other = tabs
    first.page.evaluate("client.close()")
    other.until("client.connection.door === 'socketio'")
    _all_see_everything(network, [other], task_id)


@pytest.mark.parametrize(
    ("options", "before"),
    [({"share": False}, ""), ({}, "delete Navigator.prototype.locks")],
    ids=["not-wanted", "no-locks"],
)
def test_tabs_that_cannot_or_shall_not_share_have_connections_of_their_own(
    network: Network, context: BrowserContext, options: dict[str, Any], before: str
) -> None:
    context.add_init_script(before)
    tabs, task_id = _tabs(network, context, count=2, **options)
    assert [tab.door for tab in tabs] == ["socketio", "socketio"]
    assert _connections(tabs) == 2
    _all_see_everything(network, tabs, task_id)


def test_tabs_with_a_token_share_when_they_say_so(
    network: Network, context: BrowserContext
) -> None:
    tabs, task_id = _tabs(network, context, count=2, token="a-token", share=True)
    assert [tab.door for tab in tabs] == ["socketio", "tab"]
    names = tabs[0].page.evaluate(
        "navigator.locks.query().then(({ held }) => held.map(({ name }) => name))"
    )
    assert not any("a-token" in name for name in names)
    _all_see_everything(network, tabs, task_id)


def _tabs(
    network: Network,
    context: BrowserContext,
    count: int = 3,
    **options: Any,
) -> tuple[list[Tab], str]:
    """Tabs that watch a task which goes on, the first one with the connection."""
    address = serve_bundle(context, network.link.url)
    tabs = [_tab(context.new_page(), address) for _ in range(count)]
    before = network.server.peer_ports
    task_id = network.server.create("iterate", iterations=10_000, pause_s=0.05)
    for tab in tabs:
        tab.page.evaluate(WATCH, [task_id, options])
        tab.until("seen.length > 0")
        _until_live([tab])
    assert len(network.server.peer_ports - before) <= _connections(tabs)
    return tabs, task_id


def _tab(page: Page, address: str) -> Tab:
    tab = Tab(page, [])

    def note(socket: WebSocket) -> None:
        tab.sockets.append(socket)

    page.on("websocket", note)
    page.goto(address)
    return tab


def _connections(tabs: list[Tab]) -> int:
    return sum(tab.connections for tab in tabs)


def _has_opened(tab: Tab, count: int) -> bool:
    return len(tab.sockets) == count


def _until_live(tabs: list[Tab]) -> None:
    for tab in tabs:
        tab.until("client.connection.state === 'live'")


def _all_see_everything(network: Network, tabs: list[Tab], task_id: str) -> None:
    network.server.call("POST", f"/api/tasks/{task_id}/cancel", {})
    for tab in tabs:
        tab.until("window.over")
        assert tab.page.evaluate("seen") == network.server.log_of(task_id)


def _hang(tab: Tab, ms: int) -> None:
    """Nothing runs in the page for so long; `afterwards` is how much it had seen by then."""
    tab.page.evaluate(
        """(ms) => void setTimeout(() => {
          const end = Date.now() + ms;
          while (Date.now() < end);
          window.afterwards = seen.length;
        }, 0)""",
        ms,
    )


def _crash(tab: Page) -> None:
    with pytest.raises(Error, match="crash"):
        tab.goto("chrome://crash")


def _until(tabs: list[Tab], claim: Callable[[], bool], within_s: float = 15) -> bool:
    deadline = time.monotonic() + within_s
    while not claim() and time.monotonic() < deadline:
        # What happens in the browser is noticed in calls of Playwright alone.
        tabs[0].page.wait_for_timeout(50)
    return claim()
