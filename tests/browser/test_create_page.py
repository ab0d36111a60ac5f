"""The form for a new task against a real server, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.task_page import check_whole_log
from tests.support.server import ServerProcess

PROBLEM = "the server responded with a status of"


def test_a_task_created_by_the_form_is_watched_to_its_end(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(server.url)
    page.get_by_role("banner").get_by_role("link", name="New task").click()
    page.get_by_label("Iterations").fill("30")
    page.get_by_label("Log Every").fill("10")
    page.get_by_role("button", name="Create task").click()

    expect(page.locator("#task-status")).to_have_text("Completed")
    task_id = page.url.rpartition("/")[2]
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 100)
    expect(page.locator("#progress-percent")).to_have_text("100 %")
    expect(page.locator("#progress-steps")).to_have_text("Iteration 30 of 30")
    expect(page.locator("#result")).to_contain_text("num_components")
    expect(page.locator(".tile", has_text="max_temp")).to_contain_text("57")
    expect(page.locator("#chart")).to_have_attribute(
        "aria-label", "max_temp over iterations 1 to 30"
    )
    check_whole_log(page, server, task_id)
    assert page.title().startswith("iterate · Completed")


def test_what_the_server_refuses_stands_beside_its_field(
    server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = (f"{PROBLEM} 422",)
    page = visit.open(f"{server.url}/new?kind=iterate")
    iterations = page.get_by_label("Iterations")
    iterations.fill("-1")
    page.get_by_role("button", name="Create task").click()

    expect(page.locator("#field-iterations-error")).to_have_text("Must be at least 0.")
    expect(iterations).to_be_focused()
    expect(iterations).to_have_attribute("aria-invalid", "true")
    expect(iterations).to_have_attribute("aria-describedby", re.compile("field-iterations-error"))
    expect(page.locator("#field-pause_s-error")).to_be_hidden()
    assert page.url.endswith("/new?kind=iterate")


def test_a_task_is_done_again_with_other_params(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("iterate", iterations=7, log_every=3)
    server.wait_over(task_id)
    page = visit.open(f"{server.url}/tasks/{task_id}")
    page.get_by_role("link", name="Duplicate").click()
    expect(page.get_by_label("Log Every")).to_have_value("3")
    page.get_by_label("Iterations").fill("8")
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("#progress-steps")).to_have_text("Iteration 8 of 8")


def test_it_is_said_how_long_a_task_would_wait_and_take(
    server: ServerProcess, visit: Visit
) -> None:
    server.wait_over(server.create("drafts"))
    page = visit.open(f"{server.url}/new?kind=iterate")
    estimate = page.locator("#estimate")
    expect(estimate).to_contain_text("If you create it now")


def test_a_link_to_a_kind_that_is_not_here_says_so(server: ServerProcess, visit: Visit) -> None:
    page = visit.open(f"{server.url}/new?kind=of_another_server")
    expect(page.get_by_role("alert")).to_contain_text("no kind of_another_server")
    page.get_by_label("Kind").select_option("sleep")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_link_to_do_a_task_again_that_is_gone_leads_to_an_empty_form(
    server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = (f"{PROBLEM} 404",)
    page = visit.open(f"{server.url}/new?from=nosuch")
    expect(page.get_by_role("alert")).to_contain_text("The task to be done again cannot be read")
    page.get_by_role("link", name="Fill in an empty form").click()
    expect(page.get_by_role("button", name="Create task")).to_be_visible()
