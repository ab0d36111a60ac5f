"""The real example in the dashboard, as somebody meets it: created, watched, cancelled, retried."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import KILLED, Visit
from tests.browser.task_page import check_whole_log, task_url
from tests.support.nginx import BUFFERS, Nginx, nginx
from tests.support.server import ServerProcess

# A run takes seconds; what the others show of the page's ways, other tests of this folder show
# with jobs that take none.
full = pytest.mark.full
BOM = {"bom_file": "config/bom_example.json"}
RUN_WITHIN_MS = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the example kinds, which a test may kill and start again."""
    folder = tmp_path_factory.mktemp("example")
    with ServerProcess(folder / "data", app="examples.gallery:push") as process:
        yield process


@pytest.fixture
def holding(server: ServerProcess, tmp_path: Path) -> Iterator[Nginx]:
    """A proxy that lets no WebSocket pass, and keeps streams until they are complete."""
    with nginx(tmp_path / "nginx", server.port, BUFFERS) as running:
        yield running


def _expect_status(page: Page, status: str) -> None:
    expect(page.locator("#task-status")).to_have_text(status, timeout=RUN_WITHIN_MS)


def test_a_layout_is_created_by_the_form_and_watched_to_its_end(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(f"{server.url}/new?kind=layout")
    expect(page.get_by_label("Bom File")).to_have_value("config/bom_example.json")
    page.get_by_label("Max Iterations").fill("3")
    page.get_by_role("button", name="Create task").click()
    _expect_status(page, "Running")
    expect(page.locator("#progress-stage")).to_contain_text("optimising")
    expect(page.locator("#progress-steps")).to_contain_text("of 3")

    _expect_status(page, "Completed")
    expect(page.locator("#progress-steps")).to_have_text("Iteration 3 of 3")
    expect(page.locator("#result")).to_contain_text("fine_mesh_max_temp")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("iterations 1 to 3$"))
    expect(page.locator("#artifact-list a")).to_contain_text(["layout_start.png", "layout.png"])
    check_whole_log(page, server, page.url.rpartition("/")[2])


def test_what_the_example_refuses_is_said_in_its_words(server: ServerProcess, visit: Visit) -> None:
    visit.expected_complaints = ("the server responded with a status of 422",)
    page = visit.open(f"{server.url}/new?kind=layout")
    page.get_by_label("Bom File").fill("config/nothing.json")
    page.get_by_role("button", name="Create task").click()
    expect(page.locator("#form-problem")).to_contain_text("'config/nothing.json' does not exist")
    assert "/new" in page.url


@full
def test_a_layout_is_cancelled(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("layout", **BOM, max_iterations=2000)
    page = visit.open(task_url(server, task_id))
    expect(page.locator("#progress-steps")).to_contain_text("Iteration", timeout=RUN_WITHIN_MS)
    page.get_by_role("button", name="Cancel task").click()
    _expect_status(page, "Cancelled")
    check_whole_log(page, server, task_id)


def test_a_failed_task_is_retried_and_both_attempts_are_shown(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("fail", message="no more", after_iterations=2)
    page = visit.open(task_url(server, task_id))
    _expect_status(page, "Failed")
    expect(page.locator("#failure-message")).to_have_text("no more")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator(".facts")).to_contain_text("attempt 2")
    _expect_status(page, "Failed")
    server.wait_over(task_id)
    check_whole_log(page, server, task_id)
    page.reload()
    check_whole_log(page, server, task_id)


@full
def test_a_layout_goes_on_over_a_killed_server_and_the_page_with_it(
    server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = KILLED
    task_id = server.create("layout", **BOM, max_iterations=8)
    page = visit.open(task_url(server, task_id))
    expect(page.locator('.log-line[data-tag="iteration"]')).not_to_have_count(0)
    server.kill()
    expect(page.locator("#connection-text")).to_contain_text("Recovering since")
    expect(page.locator(".task")).to_have_attribute("data-stale", "true")
    _expect_status(page, "Running")

    server.start()
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator(".task")).to_have_attribute("data-stale", "false")
    _expect_status(page, "Completed")
    expect(page.locator("#progress-steps")).to_have_text("Iteration 8 of 8")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("iterations 1 to 8$"))
    expect(page.locator(".facts")).to_contain_text("attempt 2")
    # No line is missing, and none is there twice.
    check_whole_log(page, server, task_id)


@full
def test_a_page_reloaded_in_mid_run_goes_on(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("layout", **BOM, max_iterations=5)
    page = visit.open(task_url(server, task_id))
    expect(page.locator('.log-line[data-tag="iteration"]')).not_to_have_count(0)
    page.reload()
    _expect_status(page, "Completed")
    check_whole_log(page, server, task_id)


@full
def test_without_websockets_a_task_is_watched_by_a_stream(
    server: ServerProcess, visit: Visit
) -> None:
    visit.page.route_web_socket("**", lambda socket: socket.close())
    task_id = server.create("layout", **BOM, max_iterations=5)
    visit.page.goto(task_url(server, task_id))
    expect(visit.page.locator("#connection-text")).to_have_text("Live by event stream")
    _expect_status(visit.page, "Completed")
    check_whole_log(visit.page, server, task_id)


def test_behind_a_proxy_that_holds_streams_back_a_task_is_watched_by_long_poll(
    server: ServerProcess, holding: Nginx, visit: Visit
) -> None:
    visit.expected_complaints = ("WebSocket connection to",)
    task_id = server.create("countdown", seconds=8, steps=40)
    visit.page.goto(f"{holding.url}/tasks/{task_id}")
    expect(visit.page.locator("#connection-text")).to_have_text("Live by long poll")
    _expect_status(visit.page, "Running")
    _expect_status(visit.page, "Completed")
    check_whole_log(visit.page, server, task_id)
