"""Files in the form for a new task: chosen, dropped, sent, and used, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import Visit
from tests.support.server import ServerProcess

PROBLEM = "the server responded with a status of"
TABLE = "name,mass\nbattery,4.2\n"
DROP = """(zone, [name, text]) => {
    const carried = new DataTransfer();
    carried.items.add(new File([text], name, { type: "image/png" }));
    for (const type of ["dragover", "drop"])
        zone.dispatchEvent(new DragEvent(type, { dataTransfer: carried, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("files") / "data"
    with ServerProcess(data, app="tests.support.upload_kinds:push") as process:
        yield process


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "parts.csv"
    path.write_text(TABLE)
    return path


def field(page: Page, name: str) -> Locator:
    return page.locator(".field").filter(has=page.locator(f"#field-{name}"))


def kept(server: ServerProcess) -> int:
    """How many files the server has."""
    return len(list((server.data / "uploads").glob("*/*")))


def create(page: Page) -> None:
    page.get_by_role("button", name="Create task").click()


def test_a_task_is_created_with_files_and_watched_to_its_end(
    server: ServerProcess, visit: Visit, table: Path
) -> None:
    page = visit.open(f"{server.url}/new?kind=read_process")
    page.locator("#field-table").set_input_files(table)
    expect(field(page, "table").get_by_role("listitem")).to_contain_text("parts.csv")
    more = field(page, "more")
    for name in ("b.png", "c.png"):
        more.locator(".drop").evaluate(DROP, [name, name * 1000])
    expect(more.get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("status").filter(has_text="c.png has been sent.")).to_have_count(1)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    create(page)

    expect(page.locator("#task-status")).to_have_text("Completed")
    params = page.locator("#params dl")
    expect(params).to_contain_text("parts.csv (22 bytes)")
    expect(params).to_contain_text("b.png (4.9 KiB), c.png (4.9 KiB)")
    given = page.locator("#given-files")
    expect(given.get_by_role("listitem")).to_have_count(3)
    with page.expect_download() as downloading:
        given.get_by_role("link", name="parts.csv").click()
    assert downloading.value.path().read_text() == TABLE

    page.get_by_role("link", name="Duplicate").click()
    expect(field(page, "table").get_by_role("listitem")).to_contain_text("parts.csv")
    more.get_by_role("button", name="Remove b.png").click()
    expect(page.locator("#field-more")).to_be_focused()
    create(page)
    expect(page.locator("#task-status")).to_have_text("Completed")
    expect(page.locator("#given-files").get_by_role("listitem")).to_have_count(2)


def test_what_is_not_taken_is_said_before_it_is_sent_and_by_the_server_beside_the_field(
    server: ServerProcess, visit: Visit, table: Path, tmp_path: Path
) -> None:
    visit.expected_complaints = (f"{PROBLEM} 422",)
    before = kept(server)
    page = visit.open(f"{server.url}/new?kind=read_async")
    choose = page.locator("#field-table")
    expect(page.locator("#field-table-help")).to_have_text("Takes .csv, text/csv. At most 1.9 MiB.")
    create(page)
    expect(page.locator("#field-table-error")).to_have_text("This is required.")
    expect(choose).to_be_focused()

    wrong, large = tmp_path / "a.txt", tmp_path / "b.csv"
    wrong.write_text("a")
    large.write_bytes(b"x" * 2_000_001)
    choose.set_input_files(wrong)
    expect(field(page, "table").get_by_role("alert")).to_have_text(
        "This takes .csv, text/csv only."
    )
    choose.set_input_files(large)
    expect(field(page, "table").get_by_role("alert")).to_have_text("This is larger than 1.9 MiB.")
    create(page)
    expect(page.locator("#field-table-error")).to_contain_text("Wait until all files")
    assert kept(server) == before

    # No browser knows what this is: it is sent, and the server says.
    unknown = tmp_path / "parts.qqq"
    unknown.write_text(TABLE)
    choose.set_input_files(unknown)
    expect(page.get_by_role("status").filter(has_text="has been sent")).to_have_count(1)
    create(page)
    expect(page.locator("#field-table-error")).to_contain_text("expected is .csv or text/csv")
    expect(choose).to_be_focused()
    choose.set_input_files(table)
    expect(page.get_by_role("status").filter(has_text="parts.csv has been sent")).to_have_count(1)
    expect(page.locator("#field-table-error")).to_be_hidden()
    create(page)
    expect(page.locator("#task-status")).to_have_text("Completed")


def test_a_sending_shows_how_far_it_is_and_can_be_cancelled(
    server: ServerProcess, visit: Visit, tmp_path: Path
) -> None:
    before = kept(server)
    page = visit.open(f"{server.url}/new?kind=read_async")
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    network.send("Network.emulateNetworkConditions", slow)
    large = tmp_path / "large.bin"
    large.write_bytes(b"x" * 4_000_000)
    page.locator("#field-more").set_input_files(large)
    bar = page.get_by_role("progressbar", name="Sending large.bin")
    page.wait_for_function("() => document.querySelector('.files progress')?.value > 0")
    create(page)
    expect(page.locator("#field-more-error")).to_contain_text("Wait until all files")
    page.get_by_role("button", name="Cancel large.bin").click()
    expect(bar).to_have_count(0)
    expect(page.locator("#field-more")).to_be_focused()
    assert kept(server) == before


def test_it_works_with_the_keyboard_alone(server: ServerProcess, visit: Visit, table: Path) -> None:
    page = visit.open(f"{server.url}/new?kind=read_async")
    page.get_by_label("Kind").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#field-table")).to_be_focused()
    with page.expect_file_chooser() as choosing:
        page.keyboard.press("Space")
    choosing.value.set_files(table)
    expect(field(page, "table").get_by_role("listitem")).to_contain_text("parts.csv")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Remove parts.csv")).to_be_focused()
    page.keyboard.press("Enter")
    expect(field(page, "table").get_by_role("listitem")).to_have_count(0)
    expect(page.locator("#field-table")).to_be_focused()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (360, "light")])
def test_axe_finds_nothing_serious_in_it(
    server: ServerProcess,
    new_visit: Callable[[int], Visit],
    table: Path,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    visit = new_visit(width)
    visit.page.emulate_media(color_scheme=scheme)
    page = visit.open(f"{server.url}/new?kind=read_async")
    page.locator("#field-table").set_input_files(table)
    wrong = table.with_name("wrong.txt")
    wrong.write_text("x")
    page.locator("#field-more").set_input_files([table, wrong])
    expect(page.get_by_role("button", name="Remove")).to_have_count(3)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
