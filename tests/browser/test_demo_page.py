"""The demo page against a real server, in a real browser."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.support.server import ServerProcess

REFUSED = "ERR_CONNECTION_REFUSED"
PROBLEM = "the server responded with a status of"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that the module's tests share."""
    yield from _running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server of the test's own, which it may kill."""
    yield from _running(tmp_path)


@pytest.fixture
def compressing_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server that compresses large events."""
    yield from _running(tmp_path, "--compress")


def _running(folder: Path, *args: str) -> Iterator[ServerProcess]:
    process = ServerProcess(folder / "data", args=args)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def _task_url(server: ServerProcess, task_id: str) -> str:
    return f"{server.url}/#task={task_id}"


def _rows(page: Page) -> list[tuple[str, str]]:
    """Tag and first word of each line of the log, without the page's own remarks."""
    rows = page.eval_on_selector_all(
        "#log .row:not(.note)",
        "rows => rows.map(row => [...row.children].slice(1).map(cell => cell.textContent))",
    )
    return [(tag, text.split()[0]) for tag, text in rows]


def _expected_rows(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the log has to show of a task's logged events."""
    rows = []
    for event in events:
        data = event["data"]
        match event["event_type"]:
            case "status_change":
                rows.append(("status", data["status"].capitalize()))
            case "iteration_complete":
                rows.append(("iteration", str(data["iteration"])))
            case "log":
                rows.append((data["level"], data["message"].split()[0]))
            case "artifact":
                rows.append(("artifact", data["name"]))
    return rows


def _wait_for_iteration(page: Page, iteration: int) -> None:
    line = re.compile(rf"^{iteration} · ")
    expect(page.locator("#log .row-text").filter(has_text=line)).to_have_count(1)


def _overflow_px(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return width


def test_a_task_created_by_the_form_is_watched_to_its_end(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(server.url)
    page.get_by_label("Iterations").fill("30")
    page.get_by_label("Log Every").fill("10")
    page.get_by_role("button", name="Create task").click()

    expect(page.locator("#task-status")).to_have_text("Completed")
    task_id = page.url.partition("#task=")[2]
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 100)
    expect(page.locator("#progress-percent")).to_have_text("100 %")
    expect(page.locator("#progress-steps")).to_have_text("Iteration 30 of 30")
    expect(page.locator("#result-values")).to_contain_text("num_components")
    expect(page.locator(".tile", has_text="max_temp")).to_contain_text("57")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("^max_temp over"))
    expect(page.locator("#recent-list a[aria-current]")).to_contain_text("Completed")
    assert _rows(page) == _expected_rows(server.log_of(task_id))


def test_what_the_server_refuses_stands_beside_its_field(
    server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = (f"{PROBLEM} 422",)
    page = visit.open(server.url)
    iterations = page.get_by_label("Iterations")
    iterations.fill("-1")
    page.get_by_role("button", name="Create task").click()

    error = page.locator("#field-iterations-error")
    expect(error).to_contain_text("greater than or equal to 0")
    expect(iterations).to_be_focused()
    expect(iterations).to_have_attribute("aria-invalid", "true")
    expect(iterations).to_have_attribute("aria-describedby", re.compile("field-iterations-error"))
    expect(page.locator("#field-pause_s-error")).to_be_hidden()
    assert "#task=" not in page.url


def test_a_page_reloaded_in_mid_run_shows_all_of_it_again(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("iterate", iterations=100_000, pause_s=0.02, log_every=5)
    page = visit.open(_task_url(server, task_id))
    _wait_for_iteration(page, 20)
    before = _rows(page)
    page.reload()

    _wait_for_iteration(page, 30)
    assert _rows(page)[: len(before)] == before
    expect(page.locator("#task-status")).to_have_text("Running")
    expect(page.locator("#progress-steps")).to_contain_text("of 100,000")
    expect(page.locator("#chart")).to_have_attribute(
        "aria-label", re.compile("over iterations 1 to")
    )
    server.call("POST", f"/api/tasks/{task_id}/cancel", {})


def test_a_running_task_can_be_cancelled(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("sleep")
    page = visit.open(_task_url(server, task_id))
    page.get_by_role("button", name="Cancel task").click()

    expect(page.locator("#task-status")).to_have_text("Cancelled")
    expect(page.locator("#cancel")).to_be_hidden()
    assert _rows(page) == _expected_rows(server.log_of(task_id))


def test_a_failed_task_says_why(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("fail", message="component battery does not fit")
    page = visit.open(_task_url(server, task_id))

    expect(page.locator("#task-status")).to_have_text("Failed")
    expect(page.locator("#failure-title")).to_have_text("ValueError")
    expect(page.locator("#failure-message")).to_have_text("component battery does not fit")


def test_artifacts_are_links_to_the_bytes(server: ServerProcess, visit: Visit) -> None:
    page = visit.open(_task_url(server, server.create("files")))
    links = page.locator("#artifact-list a")

    expect(links).to_have_text(["page.html", "layout.json"])
    address = links.nth(1).get_attribute("href")
    assert address is not None
    assert page.request.get(address).json() == {"version": 2}


def test_the_newest_picture_is_shown_while_the_task_runs(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("paint_thread", pictures=60, pause_s=0.05)
    page = visit.open(_task_url(server, task_id))
    picture = page.get_by_alt_text("What the task shows of its work")
    expect(picture).to_be_visible()
    # Picture n is n pixels wide.
    page.wait_for_function("document.querySelector('#preview-picture').naturalWidth > 0")
    first = picture.evaluate("image => image.naturalWidth")
    page.wait_for_function(
        "seen => document.querySelector('#preview-picture').naturalWidth > seen", arg=first
    )
    expect(page.locator("#task-status")).to_have_text("Completed")
    expect(page.locator("#preview")).to_be_hidden()


def test_compressed_events_are_shown_as_the_others(
    compressing_server: ServerProcess, visit: Visit
) -> None:
    task_id = compressing_server.create("wordy", lines=30)
    page = visit.open(_task_url(compressing_server, task_id))
    expect(page.locator("#task-status")).to_have_text("Completed")
    assert _rows(page) == _expected_rows(compressing_server.log_of(task_id))


def test_a_killed_server_loses_the_page_no_line(own_server: ServerProcess, visit: Visit) -> None:
    visit.expected_complaints = (REFUSED,)
    task_id = own_server.create("iterate", iterations=100_000, pause_s=0.005, log_every=5)
    page = visit.open(_task_url(own_server, task_id))
    _wait_for_iteration(page, 50)

    own_server.kill()
    expect(page.locator("#connection-text")).to_contain_text("Recovering since")
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#task-status")).to_have_text("Running")

    own_server.start()
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#task-status")).to_have_text("Interrupted")
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#log .row.note")).to_contain_text("Connected again")
    assert _rows(page) == _expected_rows(own_server.log_of(task_id))


def test_a_restored_backup_is_said_and_shown(
    own_server: ServerProcess, visit: Visit, tmp_path: Path
) -> None:
    visit.expected_complaints = (REFUSED,)
    task_id = own_server.create("iterate", iterations=100_000, pause_s=0.005)
    database, backup = own_server.data / "taskpush.db", tmp_path / "backup.db"
    page = visit.open(_task_url(own_server, task_id))
    _wait_for_iteration(page, 1)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    _wait_for_iteration(page, len(own_server.log_of(task_id)))

    own_server.kill()
    for file in own_server.data.glob("taskpush.db*"):
        file.unlink()
    backup.rename(database)
    own_server.start()

    expect(page.locator("#log .row.note")).to_contain_text("can't continue from where")
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#task-status")).to_have_text("Interrupted")


def test_a_phone_needs_no_sideways_scrolling(
    server: ServerProcess, new_visit: Callable[[int], Visit]
) -> None:
    page = new_visit(360).open(server.url)
    expect(page.locator("#task-form")).to_be_visible()
    assert _overflow_px(page) == 0

    page.goto(_task_url(server, server.create("iterate", log_every=1)))
    expect(page.locator("#result-values")).to_contain_text("experiment_dir")
    assert _overflow_px(page) == 0


def test_a_link_makes_the_page_talk_to_no_other_server(server: ServerProcess, visit: Visit) -> None:
    visit.page.goto(f"{server.url}/#task=x&server=http%3A%2F%2Fother.test%2F")

    expect(visit.page.locator("#notice")).to_contain_text("belongs to the server at http://other")
    expect(visit.page.locator("#connection-text")).to_have_text("Offline")


def test_a_link_to_an_unknown_task_waits_for_its_creation(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = "01890000-0000-7000-8000-000000000001"
    page = visit.open(_task_url(server, task_id))
    expect(page.locator("#watch-state")).to_contain_text("doesn't exist yet")
    server.call("POST", "/api/tasks", {"kind": "iterate", "params": {}, "task_id": task_id})

    expect(page.locator("#watched-heading")).to_have_text("iterate")
    expect(page.locator("#task-status")).to_have_text("Completed")
    expect(page.locator("#params")).to_be_visible()
