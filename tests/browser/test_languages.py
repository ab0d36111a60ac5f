"""The page in Chinese: nothing of ours is left in English."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import EXPECT_WITHIN_MS
from tests.support.server import ServerProcess

WORDS = """() => {
  const texts = [document.title];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const {parentElement, data} = walker.currentNode;
    if (!parentElement.closest("noscript, #kind")) texts.push(data);
  }
  for (const node of document.querySelectorAll("*"))
    for (const name of ["aria-label", "placeholder", "title", "alt"])
      texts.push(node.getAttribute(name) ?? "");
  return texts;
}"""
"""Everything that can be read or heard on the page."""
NAMES = {"taskpush", "english", "api", "json", "utc", "kib", "mib", "websocket", "local", "all"}
"""Names are the same in all languages; so are those of units, of the owner without access, and of
the feed that the pages follow."""
PAGES = ("", "new?kind=iterate", "queue", "history", "connections", "tasks/no-such-task")
THEIRS = {"iterate", "iterates", "narrow", "iterations", "pause", "log", "every", "max", "temp"} | {
    *("min", "clearance", "line", "iteration", "valueerror", "component", "battery", "does"),
    *("not", "fit", "fail", "message", "traceback", "seconds", "file", "run", "experiment"),
    *("dir", "final", "num", "components", "experiments", "layout", "page", "html", "text"),
    *("application", "files", "job", "that", "and", "how", "many", "long", "each", "waits"),
    *("what", "says", "beside", "them", "async"),
}
"""Words of the kinds that the tests run."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser that is set to Chinese."""
    expect.set_options(timeout=EXPECT_WITHIN_MS)
    with browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900}) as context:
        yield context.new_page()


def _english(page: Page) -> set[str]:
    """The words on the page that are neither names nor what a kind said."""
    texts: list[str] = page.evaluate(WORDS)
    plain = (re.sub(r"[0-9a-f]{8}-[0-9a-f-]+|\b[0-9a-f]{8}\b|\S+/\S+", " ", text) for text in texts)
    found = {word.lower() for text in plain for word in re.findall(r"[A-Za-z]{3,}", text)}
    return found - NAMES - THEIRS


def test_no_english_is_left_in_chinese(server: ServerProcess, page: Page) -> None:
    tasks = {
        "completed": server.create("iterate", iterations=30, log_every=10),
        "failed": server.create("fail"),
        "files": server.create("files"),
    }
    for task_id in tasks.values():
        server.wait_over(task_id)
    tasks["running"] = server.create("iterate", iterations=100_000, pause_s=0.05)
    tasks["kept"] = server.create("narrow", seconds=600)
    tasks["waiting"] = server.create("narrow", seconds=600)
    server.call("POST", f"/api/tasks/{tasks['kept']}/cancel", {})
    for place in PAGES + tuple(tasks.values()):
        path = f"tasks/{place}" if place in tasks.values() else place
        page.goto(f"{server.url}/{path}")
        expect(page.locator("#connection-text")).to_have_text("实时")
        expect(page.locator("main h1, main .blank").first).to_be_visible()
        assert _english(page) == set(), path
    page.goto(f"{server.url}/new?kind=iterate")
    page.locator("#field-iterations").fill("-1")
    page.get_by_text("标题、标签和优先级").click()
    page.locator("#extra-title").fill("题" * 201)
    page.locator("#task-form button[type=submit]").click()
    expect(page.locator("#extra-title-error")).to_have_text("至多 200 个字符。")
    page.locator("#extra-title").fill("")
    page.locator("#task-form button[type=submit]").click()
    expect(page.locator("#field-iterations-error")).to_have_text("应不小于 0。")
    assert _english(page) == set()
    for name in ("running", "waiting"):
        server.call("POST", f"/api/tasks/{tasks[name]}/cancel", {})
