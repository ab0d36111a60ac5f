"""What the page of a task shows, as tests read it."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Page, expect

from tests.support.server import ServerProcess

ALL_WITHIN_S = 15


def task_url(server: ServerProcess, task_id: str) -> str:
    return f"{server.url}/tasks/{task_id}"


def rows(page: Page) -> list[tuple[str, str]]:
    """Tag and first word of each line of the saved log, without the page's own remarks."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save", exact=True).click()
    cells = [line.split("\t") for line in download.value.path().read_text().splitlines()]
    return [(tag, (text or ["saved"])[0].split()[0]) for _, tag, *text in cells if tag != "page"]


def expected_rows(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the log has to show of a task's logged events."""
    rows = []
    for event in events:
        data = event["data"]
        match event["event_type"]:
            case "status_change":
                rows.append(("status", data["status"]))
            case "iteration_complete":
                rows.append(("iteration", str(data["iteration"])))
            case "log":
                rows.append((data["level"], data["message"].split()[0]))
            case "artifact":
                rows.append(("artifact", data["name"]))
            case "error":
                rows.append(("error", f"{data['error_type']}:"))
            case "checkpoint":
                rows.append(("checkpoint", (data.get("label") or "saved").split()[0]))
    return rows


def check_whole_log(page: Page, server: ServerProcess, task_id: str) -> None:
    """The page shows the task's log as the server has it, as soon as all of it has come.

    The page knows how a task stands before it has watched the task's log.
    """
    expected = expected_rows(server.log_of(task_id))
    wait_for_lines(page, len(expected))
    deadline = time.monotonic() + ALL_WITHIN_S
    # What the page itself remarks is counted as lines, too.
    while len(shown := rows(page)) < len(expected) and time.monotonic() < deadline:
        pass
    assert shown == expected


def wait_for_lines(page: Page, count: int) -> None:
    """Until the log holds so many lines, or more."""
    expect(page.locator("#log-count")).to_have_text(re.compile(rf"^{_at_least(count)} lines?$"))


def _at_least(number: int) -> str:
    """What matches each whole number from `number` on."""
    digits = str(number)
    above = [
        rf"{digits[:place]}[{int(digit) + 1}-9]\d{{{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if digit != "9"
    ]
    return rf"(?:{digits}|\d{{{len(digits) + 1},}}|{'|'.join(above)})"


def overflow_px(page: Page) -> int:
    """By how much the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return width
