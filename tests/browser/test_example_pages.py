"""The pages with what the example kinds make of them, and what people do with it there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.task_page import task_url
from tests.support.server import ServerProcess

FEW = 15
"""More presses of Tab than that are no way for people."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server with the example kinds, that the module's tests share."""
    folder = tmp_path_factory.mktemp("examples")
    with ServerProcess(folder / "data", app="examples.gallery:push") as process:
        yield process


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name has the focus."""
    for _ in range(FEW):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() == 1 and focused.inner_text().strip() == name:
            return
    raise AssertionError(f"{FEW} tabs do not reach {name}")


def test_how_far_a_failed_task_came_is_not_shown_as_success(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("fail", after_iterations=3)
    server.wait_over(task_id)
    page = visit.open(server.url)
    row = page.get_by_role("row", name=task_id[-8:])
    expect(row).to_contain_text("75 %")
    expect(row.get_by_role("progressbar")).to_have_js_property("value", 75)
    colour = "(node) => getComputedStyle(node).color"
    chip = row.locator(".chip").evaluate(colour)
    assert row.locator(".percent").evaluate(colour) == chip

    row.get_by_role("link").click()
    expect(page.locator("#progress-percent")).to_have_text("75 %")
    assert page.locator("#progress-percent").evaluate(colour) == chip


def test_a_task_is_stopped_resumed_and_its_history_told(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("layout", max_iterations=400)
    page = visit.open(task_url(server, task_id))
    page.get_by_role("button", name="Stop, to go on later").click()
    expect(page.locator("#task-status")).to_have_text("Interrupted")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#task-status")).to_have_text("Running")
    steps = page.locator(".timeline > li")
    expect(steps).to_contain_text(
        ["Pending", "Running", "Interrupted asked for", "Pending tried again", "Running"]
    )
    expect(steps.last).to_contain_text("attempt 2")
    statistics = page.get_by_role("region", name="Statistics")
    expect(statistics.locator("dt").first).to_have_text("thermal_solutions")

    page.get_by_title("Show it large").first.click()
    picture = page.get_by_role("dialog").locator("img")
    expect(picture).to_be_visible()
    inside = "(node) => node.getBoundingClientRect().right <= innerWidth && node.naturalWidth > 0"
    assert picture.evaluate(inside)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Cancel task").click()
    expect(page.locator("#task-status")).to_have_text("Cancelled")


def test_the_keyboard_alone_creates_a_task_and_cancels_it(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(server.url)
    _tab_to(page, "New task")
    page.keyboard.press("Enter")
    kind = page.get_by_label("Kind", exact=True)
    expect(kind).to_be_visible()
    page.keyboard.press("Tab")
    expect(kind).to_be_focused()
    page.keyboard.type("countdown")
    expect(page.get_by_label("Seconds")).to_have_value("10")
    page.keyboard.press("Tab")
    page.keyboard.type("600")
    _tab_to(page, "Create task")
    page.keyboard.press("Enter")
    expect(page.locator("#task-status")).to_have_text("Running")
    _tab_to(page, "Cancel task")
    page.keyboard.press("Enter")
    expect(page.locator("#task-status")).to_have_text("Cancelled")


def test_a_task_started_here_is_told_of_once_the_browser_may(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.page
    page.context.grant_permissions(["notifications"])
    page.add_init_script(
        """window.told = [];
        window.Notification = class extends Notification {
          constructor(title, options) { super(title, options); told.push(this); }
        };"""
    )
    visit.open(f"{server.url}/new?kind=word_count")
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("#task-status")).to_have_text("Completed")
    address = page.url
    page.wait_for_function("told.length === 1")
    assert page.evaluate("told[0].title") == "word_count: Completed"
    page.get_by_role("link", name="History").click()
    page.evaluate("told[0].onclick()")
    expect(page.locator("#task-status")).to_have_text("Completed")
    assert page.url == address


def test_what_is_said_aloud_is_each_state_and_each_quarter(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(task_url(server, server.create("countdown", seconds=4, steps=200)))
    expect(page.locator("#task-status")).to_be_visible()
    page.evaluate(
        """() => {
          const spoken = document.getElementById("spoken");
          window.said = [spoken.textContent];
          new MutationObserver(() => {
            if (said.at(-1) !== spoken.textContent) said.push(spoken.textContent);
          }).observe(spoken, {childList: true, characterData: true, subtree: true});
        }"""
    )
    expect(page.locator("#task-status")).to_have_text("Completed")
    said: list[str] = page.evaluate("said")
    assert said[-1] == "Completed"
    assert set(said) <= {"Pending", "Running", *(f"Running {n} %" for n in (25, 50, 75, 100))} | {
        "Completed"
    }


def test_filters_are_kept_in_the_address_and_pages_begin_at_their_top(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 400})
    batch = [{"kind": "word_count", "params": {}, "tags": ["listed"]} for _ in range(40)]
    assert server.call("POST", "/api/tasks/batch", {"tasks": batch})[0] == 201
    visit.open(server.url)
    page.get_by_label("Tag", exact=True).select_option("listed")
    page.get_by_label("Order").select_option("kind")
    assert page.url.endswith("/?tag=listed&order=kind")
    expect(page.get_by_text("40 tasks").first).to_be_visible()
    page.mouse.wheel(0, 1200)
    page.wait_for_function("scrollY > 1000")
    page.locator(".rows .row a").nth(12).click()
    expect(page.locator("#task-status")).to_be_visible()
    assert page.evaluate("scrollY") == 0

    page.go_back()
    expect(page.get_by_label("Tag", exact=True)).to_have_value("listed")
    expect(page.get_by_label("Order")).to_have_value("kind")
    page.wait_for_function("scrollY > 1000")
    page.get_by_role("navigation").get_by_role("link", name="Tasks").click()
    expect(page.get_by_label("Tag", exact=True)).to_have_value("")


def test_a_finger_zooms_the_chart(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("fail", after_iterations=200)
    server.wait_over(task_id)
    browser = visit.page.context.browser
    assert browser is not None
    visit.open(server.url)
    size: ViewportSize = {"width": 360, "height": 780}
    with browser.new_context(has_touch=True, viewport=size, locale="en") as context:
        page = context.new_page()
        page.goto(task_url(server, task_id))
        plot = page.locator("#chart .u-over")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        y = box["y"] + box["height"] / 2
        hand = context.new_cdp_session(page)

        def touch(kind: str, *xs: int) -> None:
            points = [{"x": box["x"] + x, "y": y} for x in xs]
            hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", 60)
        for x in (80, 120, 160):
            touch("touchMove", x)
        touch("touchEnd")
        page.get_by_role("button", name="Show all").click()
        expect(page.get_by_role("button", name="Show all")).to_be_hidden()
