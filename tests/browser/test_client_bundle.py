"""The browser bundle of web/client in a real Chromium, against a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.server import ROOT, ServerProcess
from tests.web.package import PACKAGE, as_lines, built, logged, read_lines, run_node
from tests.web.watch_in_chromium import serve_bundle

DOORS = ("socketio", "sse", "long_poll", "poll")
ESBUILD = PACKAGE / "node_modules/esbuild/bin/esbuild"
COMPONENTS = """
import { createRoot } from "react-dom/client";
import { Job, Jobs } from "./jobs.tsx";

const root = createRoot(document.body.appendChild(document.createElement("main")));
globalThis.render = (id) => root.render(<><Job id={id} /><Jobs /></>);
"""
WATCH = """
([task, door]) => {
  window.lines = [];
  (async () => {
    for await (const line of watchAsLines("/", task, door ?? undefined)) window.lines.push(line);
  })();
}
"""


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


def test_the_page_of_the_documentation_works(server: ServerProcess, browser: Browser) -> None:
    text = (ROOT / "docs/how-to/browser.md").read_text(encoding="utf-8")
    page = _shown(browser, server, text.split("```html\n")[1].split("```")[0])
    page.click("button")
    expect(page.locator("li")).to_have_count(20)
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "100")
    expect(bar).to_have_attribute("aria-valuetext", re.compile("^Completed, 100 %"))
    expect(page.locator("task-progress .status")).to_have_text("Completed")
    page.context.close()


def test_the_element_says_why_a_task_failed_and_that_it_is_over(
    server: ServerProcess, browser: Browser
) -> None:
    task_id = server.create("fail")
    page = _shown(browser, server, _element(""))
    page.evaluate(
        """(id) => {
          const element = document.querySelector("task-progress");
          element.addEventListener("taskpush-end", ({ detail }) => { window.end = detail; });
          element.setAttribute("task-id", id);
        }""",
        task_id,
    )
    expect(page.locator("task-progress .status")).to_have_text("Failed")
    expect(page.locator("task-progress .stage")).to_contain_text("battery does not fit")
    page.wait_for_function("window.end")
    assert page.evaluate("window.end.status") == "failed"
    page.context.close()


def test_the_element_follows_light_and_dark_and_its_variables(
    server: ServerProcess, browser: Browser
) -> None:
    page = _shown(browser, server, _element("<style>:root{color-scheme:light dark}</style>"))
    colours = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours.add(_colour(page, ".track"))
    assert len(colours) == 2
    page.add_style_tag(content="task-progress { --task-progress-accent: rgb(1, 2, 3) }")
    assert _colour(page, ".bar") == "rgb(1, 2, 3)"
    page.context.close()


def test_the_hooks_of_react_show_what_is(server: ServerProcess, browser: Browser) -> None:
    page = _shown(browser, server, '<script type="module" src="react_page.js"></script>')
    task_id = server.create("iterate", iterations=10, pause_s=0.05)
    page.evaluate("(id) => render(id)", task_id)
    expect(page.locator("#job")).to_contain_text('completed 100 {"experiment_dir"')
    expect(page.locator("#jobs")).to_have_text(re.compile("^true .*completed"))
    expect(page.locator("#connection")).to_have_text("live socketio")
    expect(page.locator("#queue")).to_have_text("1 iterate")
    page.evaluate("leave()")
    page.wait_for_function("client.connection.state === 'offline'")
    page.context.close()


def test_a_hook_follows_another_task_another_mount_and_none(
    server: ServerProcess, browser: Browser
) -> None:
    page = _shown(browser, server, '<script type="module" src="react_page.js"></script>')
    runs, fails = server.create("iterate", iterations=10_000, pause_s=0.05), server.create("fail")
    job = page.locator("#job")
    # What an earlier task still says must not be shown for the later one.
    for task_id, shown in ((runs, "running"), (fails, "failed"), (None, "null"), (runs, "running")):
        page.evaluate("(id) => render(id)", task_id)
        expect(job).to_have_text(re.compile(f"^{shown} "))
    page.evaluate("leave()")
    page.wait_for_function("client.connection.state === 'offline'")
    page.evaluate("(id) => { render(id); leave(); render(id); }", runs)
    expect(job).to_have_text(re.compile("^running "))
    server.call("POST", f"/api/tasks/{runs}/cancel", {})
    expect(job).to_have_text(re.compile("^cancelled "))
    page.context.close()


def test_the_components_of_the_documentation_work(server: ServerProcess, browser: Browser) -> None:
    text = (ROOT / "docs/how-to/browser.md").read_text(encoding="utf-8")
    folder = built() / "tests"
    components = text.split("```tsx\n")[1].split("```")[0]
    # A kind that this server has.
    components = components.replace("kind:layout", "kind:iterate")
    (folder / "jobs.tsx").write_text(components, encoding="utf-8")
    (folder / "documented_page.tsx").write_text(COMPONENTS, encoding="utf-8")
    options = ("--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning")
    page_js = folder / "documented_page.js"
    run_node(ESBUILD, folder / "documented_page.tsx", *options, f"--outfile={page_js}")
    page = _shown(browser, server, '<script type="module" src="documented_page.js"></script>')
    task_id = server.create("iterate", iterations=20, pause_s=0.1)
    page.evaluate("(id) => render(id)", task_id)
    expect(page.locator("progress")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("{")
    expect(page.locator("ul.live li")).to_have_text(re.compile("iterate: completed"))
    page.context.close()


def _element(head: str) -> str:
    script = '<script type="module" src="taskpush-client.js"></script>'
    return f"<!doctype html>{head}{script}<task-progress></task-progress>"


def _colour(page: Page, part: str) -> str:
    read = """(part) => getComputedStyle(
      document.querySelector("task-progress").shadowRoot.querySelector(part)).backgroundColor"""
    return str(page.evaluate(read, part))


def _shown(browser: Browser, server: ServerProcess, html: str) -> Page:
    page = browser.new_context().new_page()
    page.goto(serve_bundle(page.context, server.url, html))
    return page


def _watched(page: Page, task_id: str, door: str | None) -> list[dict[str, Any]]:
    page.evaluate(WATCH, [task_id, door])
    return _ended(page)


def _ended(page: Page) -> list[dict[str, Any]]:
    page.wait_for_function("/^{.(ended|failed)/.test(window.lines.at(-1))", timeout=40_000)
    return read_lines(page.evaluate("window.lines"))
