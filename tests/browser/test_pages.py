"""Every page under its Content-Security-Policy, in each language: nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisit
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def paths(server: ServerProcess) -> Iterator[list[str]]:
    """One address of each sort, with tasks that show all that a page has."""
    made = [
        server.create("iterate", iterations=30, log_every=3),
        server.create("files"),
        server.create("fail"),
        server.create("large_result"),
    ]
    for task_id in made:
        server.wait_over(task_id)
    running = server.create("paint_thread", pictures=100_000, pause_s=0.05)
    yield ["", "new", "new?kind=iterate", f"new?from={made[0]}", "queue", "history"] + [
        f"tasks/{task_id}" for task_id in [*made, running]
    ]
    server.call("POST", f"/api/tasks/{running}/cancel", {})


# In English the other tests of this folder open every page, and notice the same.
@pytest.mark.parametrize(
    ("locale", "live"), [pytest.param("en", "Live", marks=pytest.mark.full), ("zh-CN", "实时")]
)
def test_no_page_breaks_its_policy_or_says_an_error(
    server: ServerProcess, paths: list[str], new_visit: NewVisit, locale: str, live: str
) -> None:
    visit = new_visit(1280, locale)
    page = visit.page
    for path in paths:
        answer = page.goto(f"{server.url}/{path}")
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        expect(page.locator("#connection-text")).to_have_text(live)
        expect(page.locator("main h1, main .blank").first).to_be_visible()
        assert visit.unexpected_complaints() == [], path
