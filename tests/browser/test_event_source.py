"""A browser's own `EventSource` on a task: it resumes by itself, and stops by itself."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.conftest import Visit
from tests.support.checker import faults, kept
from tests.support.server import ServerProcess

WATCH = """
(address) => {
  window.received = [];
  window.opened = 0;
  const source = new EventSource(address);
  window.source = source;
  source.addEventListener("open", () => { window.opened += 1; });
  source.addEventListener("task_update", (message) => {
    window.received.push({id: message.lastEventId, event: JSON.parse(message.data)});
  });
}
"""


def test_a_browser_sees_every_event_once_over_a_killed_server_and_stops_at_the_end(
    own_server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = ("ERR_", "the server responded with a status of")
    page = visit.open(own_server.url)
    task_id = own_server.create("stepwise", steps=40, pause_s=0.05)
    page.evaluate(WATCH, f"/api/tasks/{task_id}/stream")
    _until(page, "window.received.filter(one => one.event.seq).length > 15")
    own_server.kill()
    _until(page, "window.source.readyState === EventSource.CONNECTING")
    own_server.start()
    # 204 is the one answer that a browser takes as: never again.
    _until(page, "window.source.readyState === EventSource.CLOSED")
    received = page.evaluate("window.received")
    assert page.evaluate("window.opened") >= 2
    assert faults(task_id, own_server.log_of(task_id), kept(one["event"] for one in received)) == []
    position = ""
    for one in received:
        if one["event"]["seq"] is not None:
            position = f"{one['event']['epoch']}:{one['event']['seq']}"
        assert one["id"] == position


def _until(page: Page, condition: str) -> None:
    """Until it holds in the page; Playwright's own way needs `eval`, which the page forbids."""
    look = f"const look = () => ({condition}) ? done() : setTimeout(look, 20)"
    page.evaluate(f"() => new Promise((done) => {{ {look}; look(); }})")
