"""The page of one task against a real server, in a real browser."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import KILLED, NewVisit, Visit
from tests.browser.task_page import check_whole_log, overflow_px, rows, task_url, wait_for_lines
from tests.support.server import ServerProcess

PROBLEM = "the server responded with a status of"


@pytest.fixture
def compressing_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server that compresses large events."""
    with ServerProcess(tmp_path / "data", args=("--compress",)) as process:
        yield process


@pytest.fixture
def trimming_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server that soon keeps of a finished task's log its last event."""
    settings = {"keep_logs_age": "1s", "retention_interval_s": "0.2"}
    with ServerProcess(tmp_path / "data", settings=settings) as process:
        yield process


def test_a_page_reloaded_in_mid_run_shows_all_of_it_again(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("iterate", iterations=100_000, pause_s=0.02, log_every=5)
    page = visit.open(task_url(server, task_id))
    wait_for_lines(page, 20)
    before = rows(page)
    page.reload()

    wait_for_lines(page, len(before))
    assert rows(page)[: len(before)] == before
    expect(page.locator("#task-status")).to_have_text("Running")
    expect(page.locator("#progress-steps")).to_contain_text("of 100,000")
    expect(page.locator("#chart")).to_have_attribute(
        "aria-label", re.compile("over iterations 1 to")
    )
    server.call("POST", f"/api/tasks/{task_id}/cancel", {})


def test_what_ran_outside_the_server_is_not_offered_to_be_started_here(
    server: ServerProcess, visit: Visit
) -> None:
    body = {"kind": "command", "params": {"command": ["false"]}, "producer_id": "host.1"}
    task_id = server.call("POST", "/api/tasks", body)[1]["task_id"]
    said = [
        ("status_change", {"status": "running"}),
        ("log", {"message": "12 %", "fields": {"stream": "stderr"}}),
        ("error", {"error": "The command ended with exit code 1", "error_type": "ExitCode"}),
    ]
    events = [
        {"producer_seq": number, "event_type": event_type, "data": data}
        for number, (event_type, data) in enumerate(said, 1)
    ]
    batch = {"attempt": 1, "producer_id": "host.1", "events": events}
    assert server.call("POST", f"/api/tasks/{task_id}/events", batch)[0] == 200

    page = visit.open(task_url(server, task_id))
    expect(page.locator("#task-status")).to_have_text("Failed")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    expect(page.get_by_role("link", name="Duplicate")).to_have_count(0)
    wait_for_lines(page, 4)
    assert ("stderr", "12") in rows(page)


def test_a_running_task_can_be_cancelled_and_tried_again(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("sleep")
    page = visit.open(task_url(server, task_id))
    page.get_by_role("button", name="Cancel task").click()
    expect(page.locator("#task-status")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel task")).to_be_hidden()
    check_whole_log(page, server, task_id)

    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#task-status")).to_have_text("Running")
    expect(page.locator(".facts")).to_contain_text("attempt 2")
    page.get_by_role("button", name="Cancel task").click()
    expect(page.locator("#task-status")).to_have_text("Cancelled")
    check_whole_log(page, server, task_id)


def test_a_failed_task_says_why(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("fail", message="component battery does not fit")
    page = visit.open(task_url(server, task_id))

    expect(page.locator("#task-status")).to_have_text("Failed")
    expect(page.locator("#failure-title")).to_have_text("ValueError")
    expect(page.locator("#failure-message")).to_have_text("component battery does not fit")


def test_artifacts_are_links_to_the_bytes_and_can_be_read_here(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(task_url(server, server.create("files")))
    links = page.locator("#artifact-list a")

    expect(links).to_have_text(["layout.json", "page.html"])
    address = links.nth(0).get_attribute("href")
    assert address is not None
    assert page.request.get(address).json() == {"version": 2}
    for _ in range(2):
        page.get_by_role("button", name="Show", exact=True).first.click()
    # As a text: nothing of it is run.
    expect(page.locator("#artifact-list pre")).to_have_text(
        [re.compile('"version": 2'), "<script>alert(1)</script>"]
    )


def test_of_a_long_text_the_beginning_is_fetched(server: ServerProcess, visit: Visit) -> None:
    page = visit.open(task_url(server, server.create("long_text")))
    with page.expect_response("**/artifacts/long.txt*") as response:
        page.get_by_role("button", name="Show", exact=True).click()
    assert (response.value.status, len(response.value.body())) == (206, 64 * 1024)
    expect(page.locator("#artifact-list pre")).to_contain_text("line 1000")
    expect(page.locator("#artifact-list")).to_contain_text("The first 64 KiB of it.")


def test_the_link_to_share_is_the_address(server: ServerProcess, visit: Visit) -> None:
    page = visit.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open(task_url(server, server.create("iterate")))
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_the_tab_says_how_far_the_task_is(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("iterate", iterations=200, pause_s=0.02)
    page = visit.open(task_url(server, task_id))
    icon = page.locator("link[rel=icon]")
    expect(page).to_have_title(re.compile(r"^\d+ % · iterate · Running · taskpush$"))
    expect(icon).to_have_attribute("href", re.compile("^data:image/png"))
    ring = icon.get_attribute("href")
    expect(page).to_have_title("iterate · Completed · taskpush")
    expect(icon).not_to_have_attribute("href", ring or "")
    page.get_by_role("link", name="Queue").click()
    expect(page).to_have_title(re.compile("^Queue"))
    expect(icon).to_have_attribute("href", re.compile(r"/icon\.svg$"))


def test_the_newest_picture_is_shown_while_the_task_runs(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("paint_thread", pictures=60, pause_s=0.05)
    page = visit.open(task_url(server, task_id))
    picture = page.get_by_alt_text("What the task shows of its work")
    expect(picture).to_be_visible()
    # Picture n is n pixels wide.
    first = picture.get_attribute("src")
    expect(picture).not_to_have_attribute("src", first or "")
    expect(page.locator("#task-status")).to_have_text("Completed")
    expect(page.locator("#preview")).to_be_hidden()


def test_compressed_events_are_shown_as_the_others(
    compressing_server: ServerProcess, visit: Visit
) -> None:
    task_id = compressing_server.create("wordy", lines=30)
    page = visit.open(task_url(compressing_server, task_id))
    expect(page.locator("#task-status")).to_have_text("Completed")
    check_whole_log(page, compressing_server, task_id)


def test_a_killed_server_loses_the_page_no_line(own_server: ServerProcess, visit: Visit) -> None:
    visit.expected_complaints = KILLED
    task_id = own_server.create("iterate", iterations=100_000, pause_s=0.005, log_every=5)
    page = visit.open(task_url(own_server, task_id))
    wait_for_lines(page, 50)

    own_server.kill()
    expect(page.locator("#connection-text")).to_contain_text("Recovering since")
    expect(page.locator(".task")).to_have_attribute("data-stale", "true")
    expect(page.locator("#task-status")).to_have_text("Running")

    own_server.start()
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#task-status")).to_have_text("Interrupted")
    expect(page.locator(".task")).to_have_attribute("data-stale", "false")
    expect(page.locator("#log")).to_contain_text("Connected again")
    check_whole_log(page, own_server, task_id)


def test_a_restored_backup_is_said_and_shown(
    own_server: ServerProcess, visit: Visit, tmp_path: Path
) -> None:
    visit.expected_complaints = KILLED
    task_id = own_server.create("iterate", iterations=100_000, pause_s=0.005)
    database, backup = own_server.data / "taskpush.db", tmp_path / "backup.db"
    page = visit.open(task_url(own_server, task_id))
    wait_for_lines(page, 3)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    wait_for_lines(page, len(own_server.log_of(task_id)))

    own_server.kill()
    for file in own_server.data.glob("taskpush.db*"):
        file.unlink()
    backup.rename(database)
    own_server.start()

    expect(page.locator("#log")).to_contain_text("cannot be continued from where")
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#task-status")).to_have_text("Interrupted")


def test_a_phone_needs_no_sideways_scrolling(server: ServerProcess, new_visit: NewVisit) -> None:
    page = new_visit(360).open(task_url(server, server.create("iterate", log_every=1)))
    expect(page.locator("#result")).to_contain_text("experiment_dir")
    assert overflow_px(page) == 0


def test_a_link_to_an_unknown_task_waits_for_its_creation(
    server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = (f"{PROBLEM} 404",)
    task_id = "01890000-0000-7000-8000-000000000001"
    page = visit.open(task_url(server, task_id))
    expect(page.get_by_text("does not exist yet")).to_be_visible()
    server.call("POST", "/api/tasks", {"kind": "iterate", "params": {}, "task_id": task_id})

    expect(page.locator("#task-title")).to_have_text("iterate")
    expect(page.locator("#task-status")).to_have_text("Completed")
    expect(page.locator("#params")).to_be_visible()


def test_who_asked_is_told_of_the_end_wherever_they_look(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("sleep")
    page = visit.page
    page.context.grant_permissions(["notifications"])
    page.add_init_script(
        """window.told = [];
        window.Notification = class extends Notification {
          constructor(title, options) { super(title, options); told.push(title); }
        };"""
    )
    visit.open(task_url(server, task_id))
    page.get_by_role("button", name="Tell me when it ends").click()
    expect(page.get_by_role("button", name="You will be told")).to_be_visible()
    page.get_by_role("link", name="Tasks").click()
    expect(page.get_by_role("row", name=task_id[-8:])).to_contain_text("Running")
    server.call("POST", f"/api/tasks/{task_id}/cancel", {})
    expect(page.get_by_role("row", name=task_id[-8:])).to_contain_text("Cancelled")
    assert page.evaluate("told") == ["sleep: Cancelled"]


def test_the_log_is_searched_and_followed(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("iterate", iterations=400, log_every=2)
    server.wait_over(task_id)
    page = visit.open(task_url(server, task_id))
    count = len(server.log_of(task_id))
    expect(page.locator("#log-count")).to_have_text(f"{count} lines")
    # The end is in view, and the beginning is not even in the document.
    expect(page.locator(".log-line").last).to_contain_text("Completed")
    expect(page.locator(".log-line", has_text="Pending")).to_have_count(0)

    page.get_by_label("Search the log").fill("line 398")
    expect(page.locator("#log-count")).to_have_text(f"1 of {count} lines")
    expect(page.locator(".log-line")).to_contain_text(["line 398"])
    page.get_by_label("Search the log").fill("")
    page.get_by_label("Level", exact=True).select_option("warning")
    expect(page.locator("#log-count")).to_have_text(f"0 of {count} lines")


def test_older_lines_come_in_front_and_leave_what_is_read_where_it_is(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("iterate", iterations=4000)
    server.wait_over(task_id)
    page = visit.page
    held = _hold_older_lines(page, after_pages=1)
    visit.open(task_url(server, task_id))
    expect(page.locator("#log-count")).to_have_text("1000 lines")
    expect(page.locator(".log-head")).to_contain_text("older ones are coming")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    page.locator("#log").evaluate("(log) => { log.scrollTop -= 8000; }")
    expect(page.get_by_label("Follow")).not_to_be_checked()
    line = page.locator(".log-line").nth(20)
    text = line.inner_text()
    place = line.bounding_box()

    held.release()
    expect(page.locator("#log-count")).to_have_text("4003 lines")
    expect(page.locator(".log-head")).not_to_contain_text("older ones are coming")
    same = page.locator(".log-line", has_text=text.splitlines()[-1])
    assert same.bounding_box() == place
    expect(page.locator("#chart")).to_have_attribute(
        "aria-label", "max_temp over iterations 1 to 4000"
    )
    check_whole_log(page, server, task_id)


def test_older_lines_are_read_after_their_server_was_killed_while_they_were(
    own_server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = KILLED
    task_id = own_server.create("iterate", iterations=2500)
    own_server.wait_over(task_id)
    held = _hold_older_lines(visit.page, after_pages=1)
    page = visit.open(task_url(own_server, task_id))
    expect(page.locator("#log-count")).to_have_text("1000 lines")
    own_server.kill()
    held.release()
    expect(page.locator("#connection-text")).to_contain_text("Recovering since")
    own_server.start()
    check_whole_log(page, own_server, task_id)


@pytest.mark.full  # Retention begins some seconds after the server.
def test_of_a_log_that_was_trimmed_what_is_left_is_shown(
    trimming_server: ServerProcess, visit: Visit
) -> None:
    # That the log does not reach back is an answer too.
    visit.expected_complaints = (f"{PROBLEM} 410",)
    task_id = trimming_server.create("iterate", iterations=1500)
    trimming_server.wait_over(task_id)
    deadline = time.monotonic() + 60
    while len(left := trimming_server.log_of(task_id)) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)  # Another process trims it.
    page = visit.open(task_url(trimming_server, task_id))
    expect(page.locator("#log-count")).to_have_text(f"{len(left)} line")
    expect(page.locator(".log-head")).not_to_contain_text("older ones are coming")
    expect(page.locator("#result")).to_contain_text("experiment_dir")
    check_whole_log(page, trimming_server, task_id)


class _Held:
    """Requests for older lines, which wait until they are released."""

    def __init__(self, after_pages: int) -> None:
        self._passes = after_pages
        self._waiting: list[Route] = []

    def take(self, route: Route) -> None:
        if self._passes > 0:
            self._passes -= 1
            route.continue_()
        else:
            self._waiting.append(route)

    def release(self) -> None:
        self._passes = 1000
        for route in self._waiting:
            route.continue_()


def _hold_older_lines(page: Page, *, after_pages: int) -> _Held:
    held = _Held(after_pages)
    page.route("**/events?*", held.take)
    return held


def test_a_chart_is_zoomed_and_saved(server: ServerProcess, visit: Visit) -> None:
    task_id = server.create("iterate", iterations=50)
    server.wait_over(task_id)
    page = visit.open(task_url(server, task_id))
    plot = page.locator("#chart .u-over")
    box = plot.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 100, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, middle)
    expect(page.locator("figcaption")).to_contain_text("max_temp")
    page.mouse.up()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("button", name="Show all")).to_be_hidden()

    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    assert download.value.suggested_filename == "max_temp.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_the_keyboard_keeps_its_place_when_the_button_it_pressed_is_gone(
    server: ServerProcess, visit: Visit
) -> None:
    page = visit.open(task_url(server, server.create("sleep")))
    expect(page.locator("#task-status")).to_have_text("Running")
    page.get_by_role("button", name="Cancel task").press("Enter")
    expect(page.locator("#task-status")).to_have_text("Cancelled")
    expect(page.get_by_role("group", name="What can be done with it")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Retry")).to_be_focused()

    page.get_by_role("button", name="Delete", exact=True).press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_focused()


def test_a_task_that_is_deleted_while_somebody_looks_at_it_says_so(
    server: ServerProcess, visit: Visit
) -> None:
    task_id = server.create("drafts")
    server.wait_over(task_id)
    page = visit.open(task_url(server, task_id))
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    assert server.call("DELETE", f"/api/tasks/{task_id}")[0] == 204
    expect(page.get_by_text("This task was deleted")).to_be_visible()
    expect(page.get_by_role("button", name="Delete", exact=True)).to_be_hidden()
