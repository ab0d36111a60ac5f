"""The queue's page: who waits for what, as it is at this moment, without asking for it."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.support.server import ServerProcess


def test_it_shows_what_becomes_of_all_who_wait_and_asks_for_nothing(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(f"{server.url}/queue")
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    page.wait_for_load_state("networkidle")
    asked = visit.count_requests()

    first, *others = [server.create("sleep", seconds=600) for _ in range(4)]
    section = page.get_by_role("region", name="sleep", exact=True)
    expect(section).to_contain_text("2 of 2 running · 2 wait")
    order = section.get_by_role("row").filter(has=page.get_by_role("cell"))
    expect(order).to_have_count(2)
    expect(order.first).to_contain_text(others[1][-8:])
    server.call("POST", f"/api/tasks/{first}/cancel", {})
    expect(section).to_contain_text("2 of 2 running · 1 waits")
    expect(order).to_have_count(1)
    expect(order.first).to_contain_text(others[2][-8:])

    deadline = time.monotonic() + 60
    for _ in range(30):
        server.wait_over(server.create("iterate", iterations=1))
        assert time.monotonic() < deadline
    for task_id in others:
        server.call("POST", f"/api/tasks/{task_id}/cancel", {})
    expect(page.get_by_text("Nothing waits and nothing runs")).to_be_visible()
    assert asked == []
