"""What watching costs in requests: next to nothing, where a page that polls asks every 10 s."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewVisit, Visit
from tests.support.nginx import PASSES, Nginx, nginx
from tests.support.server import ServerProcess

# A few seconds of it: test_speed.py, test_queue_page.py.
pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

FOR_S = 600
BY_POLLING_EVERY_S = 10
SHARE_OF_POLLING = 0.1
NEW_TASKS_EVERY_S = 20
NEW_TASKS = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that knows its proxy."""
    settings = {"trusted_proxies": "127.0.0.1"}
    folder = tmp_path_factory.mktemp("requests")
    with ServerProcess(folder / "data", settings=settings) as process:
        yield process


@pytest.fixture
def proxy(server: ServerProcess, tmp_path: Path) -> Iterator[Nginx]:
    """A proxy whose log has every request, whoever makes it."""
    with nginx(tmp_path / "nginx", server.port, PASSES) as running:
        yield running


def test_pages_that_are_watched_for_ten_minutes_ask_for_next_to_nothing(
    server: ServerProcess, proxy: Nginx, new_visit: NewVisit
) -> None:
    """Counted by the browser, and by a proxy's access log, which knows of workers too."""
    task_id = server.create("iterate", iterations=100_000, pause_s=0.2)
    allowed = FOR_S / BY_POLLING_EVERY_S * SHARE_OF_POLLING
    pages = {path: new_visit(1280) for path in ("", f"tasks/{task_id}", "queue", "history")}
    for path, visit in pages.items():
        visit.open(f"{proxy.url}/{path}")
    listed, watched = pages[""].page, pages[f"tasks/{task_id}"].page
    expect(watched.locator("#progress-steps")).to_contain_text("Iteration")
    expect(listed.locator(".rows .row")).not_to_have_count(0)
    for visit in pages.values():
        visit.page.wait_for_load_state("networkidle")
    asked = {path: visit.count_requests() for path, visit in pages.items()}
    before, began = len(proxy.requests), time.monotonic()
    _watch(server, pages[""])
    behind = len(proxy.requests) - before
    watched_s = time.monotonic() - began
    iterations = len(server.log_of(task_id))
    expect(watched.locator("#log-count")).to_contain_text("lines")
    shown = int(watched.locator("#log-count").inner_text().split()[0])
    server.call("POST", f"/api/tasks/{task_id}/cancel", {})
    counts = {path.partition("/")[0] or "list": len(urls) for path, urls in asked.items()}
    print(f"\nin {watched_s / 60:.1f} minutes: {counts}, by the proxy's log {behind} together")
    assert len(asked[""]) <= allowed
    assert len(asked[f"tasks/{task_id}"]) <= allowed
    assert len(asked["queue"]) <= allowed
    assert len(asked["history"]) <= allowed
    assert behind <= sum(counts.values())
    # They were watched: what happened meanwhile is on them.
    assert shown >= iterations - 20
    assert shown > watched_s


def _watch(server: ServerProcess, visit: Visit) -> None:
    """Let time pass, in which tasks are created that the list has to show."""
    deadline = time.monotonic() + FOR_S
    made = 0
    while time.monotonic() < deadline:
        made += 1
        title = f"made while watching {made}"
        for number in range(NEW_TASKS):
            body = {"kind": "iterate", "params": {"iterations": 3}, "title": f"{title} {number}"}
            server.call("POST", "/api/tasks", body)
        expect(visit.page.get_by_role("row", name=title).first).to_contain_text("Completed")
        left_s = deadline - time.monotonic()
        visit.page.wait_for_timeout(max(0.0, min(left_s, NEW_TASKS_EVERY_S)) * 1000)
