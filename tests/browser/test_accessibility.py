"""What axe finds on each page: nothing serious, in light and in dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import NewVisit
from tests.browser.task_page import task_url
from tests.support.server import ServerProcess

HAVE_RESULTS = ("completed", "large_result")


@pytest.fixture(scope="module")
def tasks(server: ServerProcess) -> Iterator[dict[str, str]]:
    """One task of each sort, by its address."""
    made = {
        "completed": server.create("iterate", iterations=30, log_every=3),
        "failed": server.create("fail"),
        "files": server.create("files"),
        "long_text": server.create("long_text"),
        "large_result": server.create("large_result"),
    }
    for task_id in made.values():
        server.wait_over(task_id)
    running = server.create("iterate", iterations=100_000, pause_s=0.05)
    waiting = [server.create("narrow") for _ in range(3)][-1]
    yield made | {"running": running, "waiting": waiting}
    server.call("POST", f"/api/tasks/{running}/cancel", {})


def _open_everything(page: Page) -> None:
    """What is folded on a task's page: files, values as JSON, tracebacks."""
    show = page.get_by_role("button", name="Show", exact=True)
    while show.count():
        show.first.click()
    for summary in page.locator("summary").all():
        summary.click()


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
)
def test_no_page_has_a_serious_violation(
    server: ServerProcess,
    tasks: dict[str, str],
    new_visit: NewVisit,
    width: int,
    scheme: str,
) -> None:
    visit = new_visit(width)
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for name, task_id in tasks.items():
        page = visit.open(task_url(server, task_id))
        expect(page.locator("#task-status")).to_be_visible()
        if name in HAVE_RESULTS:
            expect(page.locator("#result summary")).to_be_visible()
        _open_everything(page)
        assert violations(page) == [], name
    for path in ("", "new?kind=iterate", "queue", "history", "connections"):
        page = visit.open(f"{server.url}/{path}")
        expect(page.locator("main h1")).to_be_visible()
        assert violations(page) == [], path
    page = visit.open(f"{server.url}/tasks/no-such-task")
    expect(page.get_by_text("There is no such task")).to_be_visible()
    assert violations(page) == []
