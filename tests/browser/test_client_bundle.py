"""The browser bundle of web/client in a real Chromium, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.server import ServerProcess
from tests.web.package import as_lines, logged, read_lines
from tests.web.watch_in_chromium import serve_bundle

DOORS = ("socketio", "sse", "long_poll", "poll")
WATCH = """
([task, door]) => {
  window.lines = [];
  (async () => {
    for await (const line of watchAsLines("/", task, door ?? undefined)) window.lines.push(line);
  })();
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that the tests share; it may be killed and started again."""
    process = ServerProcess(tmp_path_factory.mktemp("bundle") / "data")
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    """An empty page of the server's own origin, with the bundle."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(serve_bundle(context, server.url))
    yield page
    context.close()


@pytest.mark.parametrize("door", DOORS)
def test_a_page_sees_the_whole_log_once_and_in_order(
    server: ServerProcess, page: Page, door: str
) -> None:
    task_id = server.create("iterate", iterations=20, pause_s=0.02)
    lines = _watched(page, task_id, door)
    assert logged(lines) == as_lines(server.log_of(task_id))
    assert lines[-1] == {"ended": "completed"}


def test_a_page_misses_nothing_over_a_killed_server(server: ServerProcess, page: Page) -> None:
    task_id = server.create("stepwise", steps=40, pause_s=0.05)
    page.evaluate(WATCH, [task_id, None])
    page.wait_for_function("window.lines.length > 15")
    server.kill()
    server.start()
    lines = _ended(page)
    assert logged(lines) == as_lines(server.log_of(task_id))
    assert lines[-1] == {"ended": "completed"}


def test_a_page_without_a_network_goes_on_as_soon_as_it_has_one(
    server: ServerProcess, page: Page
) -> None:
    task_id = server.create("stepwise", steps=40, pause_s=0.05)
    page.evaluate(WATCH, [task_id, "sse"])
    page.wait_for_function("window.lines.length > 10")
    page.context.set_offline(True)
    server.wait_over(task_id)
    page.context.set_offline(False)
    lines = _ended(page)
    assert logged(lines) == as_lines(server.log_of(task_id))


def _watched(page: Page, task_id: str, door: str | None) -> list[dict[str, Any]]:
    page.evaluate(WATCH, [task_id, door])
    return _ended(page)


def _ended(page: Page) -> list[dict[str, Any]]:
    page.wait_for_function("/^{.(ended|failed)/.test(window.lines.at(-1))", timeout=40_000)
    return read_lines(page.evaluate("window.lines"))
