"""The list of tasks against a real server, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisit, Visit
from tests.browser.task_page import overflow_px
from tests.support.server import ServerProcess


def test_a_task_created_elsewhere_appears_at_once_and_moves(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(server.url)
    body = {"kind": "iterate", "params": {"iterations": 5}, "title": "made elsewhere"}
    server.call("POST", "/api/tasks", {**body, "tags": ["abroad"]})
    row = page.get_by_role("row", name="made elsewhere")
    expect(row).to_contain_text("Completed")
    expect(row).to_contain_text("100 %")
    expect(row).to_contain_text("abroad")

    row.get_by_role("link").click()
    expect(page.locator("#task-title")).to_have_text("made elsewhere")
    page.go_back()
    expect(row).to_be_visible()


def test_the_tab_shows_how_many_run_and_how_far_they_are(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(server.url)
    icon = page.locator("link[rel=icon]")
    expect(icon).to_have_attribute("href", re.compile(r"/icon\.svg$"))
    tasks = [server.create("iterate", iterations=40, pause_s=0.25) for _ in range(2)]
    expect(page).to_have_title("(2) · Tasks · taskpush")
    expect(icon).to_have_attribute("href", re.compile("^data:image/png"))
    drawn = icon.get_attribute("href")
    assert drawn is not None
    # It is drawn anew as they go on.
    expect(icon).not_to_have_attribute("href", drawn)
    for task_id in tasks:
        server.call("POST", f"/api/tasks/{task_id}/cancel", {})
    expect(page).to_have_title("Tasks · taskpush")
    expect(icon).to_have_attribute("href", re.compile(r"/icon\.svg$"))


def test_the_list_is_searched_and_filtered(server: ServerProcess, visit: Visit) -> None:
    server.call("POST", "/api/tasks", {"kind": "iterate", "params": {}, "title": "Needle"})
    server.wait_over(server.create("fail"))
    page = visit.open(server.url)
    rows = page.locator(".rows .row")
    page.get_by_label("Search by title or id").fill("needle")
    expect(rows).to_have_count(1)
    page.get_by_label("Search by title or id").fill("")
    page.get_by_label("Status", exact=True).select_option("failed")
    expect(rows.first).to_contain_text("Failed")
    expect(page.locator('.rows .chip:not([data-status="failed"])')).to_have_count(0)


def test_thousands_of_tasks_are_scrolled_through(
    server: ServerProcess, new_visit: NewVisit
) -> None:
    batch = [{"kind": "collector", "params": {}, "tags": ["many"]} for _ in range(100)]
    for _ in range(6):
        assert server.call("POST", "/api/tasks/batch", {"tasks": batch})[0] == 201
    page = new_visit(1280).open(server.url)
    page.get_by_label("Tag", exact=True).select_option("many")
    rows = page.locator(".rows .row")
    expect(rows.first).to_be_visible()
    for _ in range(8):
        page.keyboard.press("End")
    expect(page.get_by_text("600 tasks")).to_be_visible()
    assert rows.count() < 60


def test_a_phone_needs_no_sideways_scrolling(server: ServerProcess, new_visit: NewVisit) -> None:
    page = new_visit(360).open(server.url)
    server.create("iterate")
    expect(page.locator(".rows .row").first).to_be_visible()
    for path in ("", "new", "queue", "history", "connections"):
        page.goto(f"{server.url}/{path}")
        expect(page.locator("main h1, main .blank").first).to_be_visible()
        assert overflow_px(page) == 0, path


@pytest.mark.parametrize(("locale", "word"), [("zh-CN", "任务"), ("de-DE", "Tasks")])
def test_it_speaks_the_language_of_the_browser(
    server: ServerProcess, visit: Visit, locale: str, word: str
) -> None:
    browser = visit.page.context.browser
    assert browser is not None
    visit.open(server.url)
    with browser.new_context(locale=locale) as context:
        page = context.new_page()
        page.goto(server.url)
        expect(page.get_by_role("heading", level=1)).to_have_text(word)


def test_light_and_dark_follow_the_system_until_somebody_chooses(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(server.url)
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) != light
    # By key: where it is on the page changes as rows come.
    page.get_by_role("radio", name="Light").press("Space")
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light


def test_the_keyboard_alone_leads_to_a_task(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("iterate")
    page = visit.open(server.url)
    expect(page.locator(".rows .row").first).to_be_visible()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.rows') !== null"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#task-status")).to_be_visible()
    assert task_id in page.url
