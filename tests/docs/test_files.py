"""What the page on files shows is typed, and does what it says."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

import pytest

from tests.docs.page import Page, Shell

PAGE = Page("docs/how-to/files.md")
SERVE, MAKE, SUBMIT = PAGE.block("", "taskpush serve").commands


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("files"))
    (shell.folder / "jobs.py").write_text(PAGE.block("python", "# jobs.py").text)
    with shell.serving(SERVE):
        shell.type(MAKE)
        yield shell


def test_a_file_is_sent_from_a_terminal(shell: Shell) -> None:
    said = shell.type(SUBMIT)
    assert "parts.csv, 33 bytes" in said
    assert "completed" in said.splitlines()[-1]
    task_id = shell.type(SUBMIT.replace("--watch", "pictures=@jobs.py pictures=@parts.csv")).strip()
    shown = json.loads(shell.type(f"taskpush show {task_id} --json-lines"))
    assert [it["name"] for it in shown["uploads"]] == ["parts.csv", "jobs.py", "parts.csv"]
    assert len(shown["params"]["pictures"]) == 2
    assert "file (name=@path) .csv or text/csv" in " ".join(
        shell.type("taskpush kinds weigh").split()
    )


def test_a_file_that_is_not_there_is_a_mistake_of_the_line(shell: Shell) -> None:
    assert "missing.csv cannot be read" in shell.type(
        "taskpush submit weigh table=@missing.csv", expects=2
    )
    refused = shell.type("taskpush submit weigh table=@jobs.py", expects=6)
    assert "params.table: jobs.py is text/x-python; expected is .csv or text/csv" in refused


def test_an_at_sign_is_a_letter_where_no_file_is_taken(shell: Shell) -> None:
    task_id = shell.type("taskpush submit weigh table=@parts.csv note=@home").strip()
    shown = json.loads(shell.type(f"taskpush show {task_id} --json-lines"))
    assert "note" not in shown["params"]
    assert len(shown["uploads"]) == 1


def test_a_file_is_sent_from_python(shell: Shell) -> None:
    assert shell.python(PAGE.block("python", "client.upload").text).strip() == "5.75"
    in_memory = """
        from taskpush.client import Client, RequestRefused
        with Client("http://127.0.0.1:8000") as client:
            upload_id = client.upload(b"mass", name="零件.csv", media_type="text/csv")
            client.discard_upload(upload_id)
            try:
                client.create_task("weigh", {"table": upload_id})
            except RequestRefused as refused:
                print(refused.errors[0].loc)
            try:
                client.upload(b"", name="a/b")
            except RequestRefused as refused:
                print(refused.code)
    """
    said = shell.python(textwrap.dedent(in_memory)).split()
    assert said == ["params.table", "invalid_request"]


def test_a_file_is_sent_with_curl(shell: Shell) -> None:
    shown = json.loads(PAGE.block("json", "size_bytes").text)
    said = json.loads(
        shell.type(PAGE.block("bash", "curl -s -T").text.replace("localhost", "127.0.0.1"))
    )
    assert shown.items() <= said.items()


def test_a_handler_is_tried_with_a_file_of_ones_own(shell: Shell) -> None:
    shell.python(PAGE.block("python", "Upload.of").text)


def test_the_page_has_no_other_block() -> None:
    """That for browsers is run by the client's own tests."""
    assert [block.language for block in PAGE.left] == ["js"]
