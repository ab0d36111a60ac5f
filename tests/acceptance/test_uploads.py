"""Files by upload: whole or not there, their owner's alone, and gone when nobody needs them."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from taskpush.access.principal import Role
from taskpush.ids import new_upload_id
from tests.support.keys import Keys
from tests.support.server import ServerProcess

MIB = 1024 * 1024
TABLE = b"name,mass\nbattery,4.2\n"
APP = "tests.support.upload_kinds:push"
WITHIN_S = 20.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads") / "data"


@pytest.fixture(scope="module")
def server(data: Path, keys: Keys, ann: str) -> Iterator[ServerProcess]:
    settings = {
        "max_upload_bytes": "64MiB",
        "max_unused_upload_bytes": "80MiB",
        "max_unused_uploads": "20",
    }
    with ServerProcess(data, app=APP, settings=settings) as process:
        yield process


def send(
    server: ServerProcess,
    token: str | None = None,
    content: bytes = TABLE,
    *,
    name: str = "parts.csv",
    content_type: str | None = None,
) -> tuple[int, dict[str, Any]]:
    """Send a file as a client does; status and JSON body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    try:
        connection.request("POST", f"/api/uploads?name={quote(name)}", content, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def sent(server: ServerProcess, token: str | None = None, **given: Any) -> str:
    """Send a file; its id."""
    status, upload = send(server, token, **given)
    assert status == 201, upload
    upload_id: str = upload["upload_id"]
    return upload_id


def files(data: Path) -> set[str]:
    """What lies in the data folder of uploads, half-written ones too."""
    folders = (data / "uploads", data / "spool")
    return {
        str(path.relative_to(data))
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


def until_files_are(data: Path, expected: set[str]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while (found := files(data)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)  # Another process: there is nothing to await.


def half_sent(server: ServerProcess, token: str | None, size_bytes: int) -> socket.socket:
    """A connection over which half of a file has come."""
    auth = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST /api/uploads?name=half.bin HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"{auth}Content-Length: {size_bytes}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(head.encode() + b"x" * (size_bytes // 2))
    return connection


def half_has_come(data: Path) -> None:
    """Wait until something of a file is being written."""
    deadline = time.monotonic() + WITHIN_S
    while not any(path.stat().st_size for path in (data / "spool").glob("part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # Another process: there is nothing to await.


def problem_of(server: ServerProcess, token: str, kind: str, **params: Any) -> dict[str, Any]:
    body = {"kind": kind, "params": params}
    status, problem = server.call("POST", "/api/tasks", body, token=token)
    assert status == 422, problem
    assert isinstance(problem, dict)
    return problem


def over(server: ServerProcess, token: str, task_id: str) -> dict[str, Any]:
    """Until the task is over; its snapshot."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        snapshot: dict[str, Any]
        _, snapshot = server.call("GET", f"/api/tasks/{task_id}", token=token)
        if snapshot["final"]:
            return snapshot
        assert time.monotonic() < deadline, snapshot
        time.sleep(0.02)  # Another process: there is nothing to await.


def test_a_file_is_hashed_and_told_back(server: ServerProcess, ann: str) -> None:
    name = "零件 (2) — é.csv"
    status, upload = send(server, ann, name=name)
    assert status == 201
    assert upload["sha256"] == hashlib.sha256(TABLE).hexdigest()
    told = {name: upload[name] for name in ("name", "media_type", "size_bytes")}
    assert told == {"name": name, "media_type": "text/csv", "size_bytes": len(TABLE)}
    path = f"/api/uploads/{upload['upload_id']}"
    assert server.call("GET", path, token=ann) == (200, upload)
    assert server.call("DELETE", path, token=ann) == (204, None)
    assert server.call("GET", path, token=ann)[1]["code"] == "upload_not_found"
    assert files(server.data) == set()


@pytest.mark.parametrize("kind", ["read_async", "read_thread", "read_process"])
def test_a_handler_is_given_the_file_until_its_task_is_deleted(
    server: ServerProcess, ann: str, kind: str
) -> None:
    table, other = sent(server, ann), sent(server, ann, content=b"\x00" * 9, name="no ending")
    task_id = server.create_as(ann, kind, table=table, more=[other, table])
    snapshot = over(server, ann, task_id)
    assert snapshot["status"] == "completed", snapshot["error"]
    assert [(it["upload_id"], it["name"]) for it in snapshot["uploads"]] == [
        (table, "parts.csv"),
        (other, "no ending"),
    ]
    _, answer = server.call("GET", f"/api/tasks/{task_id}/result", token=ann)
    seen = [(it["name"], it["media_type"], it["suffix"], it["same"]) for it in answer["result"]]
    assert seen == [
        ("parts.csv", "text/csv", ".csv", True),
        ("no ending", "application/octet-stream", "", True),
        ("parts.csv", "text/csv", ".csv", True),
    ]
    status, headers, content = server.raw("GET", snapshot["uploads"][0]["url"], token=ann)
    assert (status, content, headers["content-security-policy"]) == (
        200,
        TABLE,
        "default-src 'none'; sandbox",
    )
    # In use: nobody takes it away from the task, and it does not expire.
    _, upload = server.call("GET", f"/api/uploads/{table}", token=ann)
    assert upload["expires_at"] is None
    assert server.call("DELETE", f"/api/uploads/{table}", token=ann)[1]["code"] == "upload_in_use"
    assert len(files(server.data)) == 2
    assert server.call("DELETE", f"/api/tasks/{task_id}", token=ann) == (204, None)
    assert files(server.data) == set()


def test_a_retry_and_a_duplicate_have_the_file_as_well(server: ServerProcess, ann: str) -> None:
    table = sent(server, ann)
    first = server.create_as(ann, "read_thread", table=table, fail=True)
    assert over(server, ann, first)["status"] == "failed"
    assert server.call("POST", f"/api/tasks/{first}/retry", {}, token=ann)[0] == 202
    assert over(server, ann, first)["error"]["error"] == "asked to"
    second = server.create_as(ann, "read_thread", table=table)
    assert over(server, ann, second)["status"] == "completed"
    assert server.call("DELETE", f"/api/tasks/{first}", token=ann)[0] == 204
    assert len(files(server.data)) == 1
    third = server.create_as(ann, "read_process", table=table)
    assert over(server, ann, third)["status"] == "completed"
    for task_id in (second, third):
        assert server.call("DELETE", f"/api/tasks/{task_id}", token=ann)[0] == 204
    assert files(server.data) == set()


def test_a_repeated_create_is_answered_by_what_became_of_the_first(
    server: ServerProcess, ann: str
) -> None:
    """Also when its files have gone with the task."""

    def create(upload_id: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {
            "Authorization": f"Bearer {ann}",
            "Content-Type": "application/json",
            "Idempotency-Key": "weigh-once",
        }
        body = json.dumps({"kind": "read_async", "params": {"table": upload_id}})
        try:
            connection.request("POST", "/api/tasks", body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    upload_id = sent(server, ann)
    status, snapshot = create(upload_id)
    assert status == 201
    over(server, ann, snapshot["task_id"])
    status, again = create(upload_id)
    assert (status, again["task_id"]) == (200, snapshot["task_id"])
    assert server.call("DELETE", f"/api/tasks/{snapshot['task_id']}", token=ann)[0] == 204
    status, problem = create(upload_id)
    assert (status, problem["code"]) == (404, "not_found")
    assert "was deleted" in problem["detail"]
    status, problem = create(new_upload_id())
    assert (status, problem["code"]) == (422, "idempotency_conflict")


def test_what_does_not_fit_is_said_beside_its_field(server: ServerProcess, ann: str) -> None:
    text = sent(server, ann, name="parts.txt")
    large = sent(server, ann, content=b"x" * 2_000_001)
    problem = problem_of(server, ann, "read_async", table=text, more=[large, "nonsense", 7])
    assert problem["errors"] == [
        {
            "loc": "params.table",
            "message": "parts.txt is text/plain; expected is .csv or text/csv",
            "type": "upload_type",
            "ctx": {
                "name": "parts.txt",
                "media_type": "text/plain",
                "expected": ".csv or text/csv",
            },
        },
        {
            "loc": "params.more.1",
            "message": "there is no upload of yours with this id (any more): send the file again",
            "type": "upload_unknown",
        },
        {
            "loc": "params.more.2",
            "message": "an upload is named by its id, a text",
            "type": "upload_id",
        },
    ]
    problem = problem_of(server, ann, "read_async", table=large)
    assert problem["errors"] == [
        {
            "loc": "params.table",
            "message": "parts.csv has 2000001 bytes; at most 2000000 are taken",
            "type": "upload_size",
            "ctx": {"name": "parts.csv", "size_bytes": 2_000_001, "max_bytes": 2_000_000},
        }
    ]
    for upload_id in (text, large):
        assert server.call("DELETE", f"/api/uploads/{upload_id}", token=ann)[0] == 204


def test_for_anybody_else_an_upload_does_not_exist(
    server: ServerProcess, keys: Keys, ann: str
) -> None:
    bob, boss = keys.make("bob"), keys.make("boss", Role.ADMIN)
    upload_id, unknown = sent(server, ann), new_upload_id()
    for token in (bob, boss):
        for method in ("GET", "DELETE"):
            foreign = server.raw(method, f"/api/uploads/{upload_id}", token=token)
            assert foreign[0] == 404
            assert foreign == server.raw(method, f"/api/uploads/{unknown}", token=token)
        problems = [
            problem_of(server, token, "read_async", table=each) for each in (upload_id, unknown)
        ]
        assert problems[0] == problems[1]
    task_id = server.create_as(ann, "read_async", table=upload_id)
    over(server, ann, task_id)
    url = f"/api/tasks/{task_id}/uploads/{upload_id}"
    assert server.raw("GET", url, token=bob)[0] == 404
    assert server.raw("GET", url, token=boss)[2] == TABLE
    assert server.call("DELETE", f"/api/tasks/{task_id}", token=ann)[0] == 204


def test_a_file_that_few_may_see_is_not_told_to_others(
    server: ServerProcess, keys: Keys, ann: str
) -> None:
    looker = keys.make("looker", Role.READ, owner="ann")
    table, contract = sent(server, ann), sent(server, ann, name="contract.pdf")
    task_id = server.create_as(ann, "read_async", table=table, contract=contract)
    over(server, ann, task_id)
    for token, names in ((ann, ["parts.csv", "contract.pdf"]), (looker, ["parts.csv"])):
        _, snapshot = server.call("GET", f"/api/tasks/{task_id}", token=token)
        assert [it["name"] for it in snapshot["uploads"]] == names
    url = f"/api/tasks/{task_id}/uploads/{contract}"
    assert server.raw("GET", url, token=ann)[0] == 200
    assert server.call("GET", url, token=looker)[1]["code"] == "upload_not_found"
    assert server.call("DELETE", f"/api/tasks/{task_id}", token=ann)[0] == 204


def test_only_who_may_create_sends_files(server: ServerProcess, keys: Keys) -> None:
    reader = keys.make("reader", Role.READ)
    assert send(server, reader)[1]["code"] == "forbidden"
    assert send(server)[1]["code"] == "unauthenticated"
    assert files(server.data) == set()


@pytest.mark.parametrize(
    "name", ["", "../../keys.json", "a\\b", "..", "a\nb", "x" * 256, "\u202etxt"]
)
def test_a_name_that_is_none_is_refused(server: ServerProcess, ann: str, name: str) -> None:
    status, problem = send(server, ann, name=name)
    assert (status, problem["code"]) == (422, "invalid_request")
    assert "name" in problem["errors"][0]["loc"]
    assert files(server.data) == set()


def test_a_form_is_refused_with_what_to_do(server: ServerProcess, ann: str) -> None:
    status, problem = send(server, ann, content_type="multipart/form-data; boundary=x")
    assert (status, problem["code"]) == (422, "invalid_request")
    assert "curl -T" in problem["detail"]


@pytest.mark.parametrize("declared", [True, False])
def test_what_is_too_large_is_refused_and_leaves_nothing(
    server: ServerProcess, ann: str, declared: bool
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    pieces = (b"x" * MIB for _ in range(66))
    headers = {"Authorization": f"Bearer {ann}"}
    if declared:
        headers["Content-Length"] = str(66 * MIB)
    try:
        path = "/api/uploads?name=large.bin"
        try:
            connection.request("POST", path, pieces, headers, encode_chunked=not declared)
        except OSError:
            # It is answered before all has come: what matters is that the answer is there.
            assert connection.sock is not None
        with http.client.HTTPResponse(connection.sock, method="POST") as answer:
            answer.begin()
            assert answer.status == 413
            assert json.loads(answer.read())["code"] == "payload_too_large"
    finally:
        connection.close()
    until_files_are(server.data, set())


def test_a_file_that_is_cut_half_way_leaves_nothing(server: ServerProcess, ann: str) -> None:
    with half_sent(server, ann, 4 * MIB):
        half_has_come(server.data)
    until_files_are(server.data, set())
    assert send(server, ann)[0] == 201


def test_what_one_owner_has_that_no_task_uses_is_bounded(server: ServerProcess, keys: Keys) -> None:
    """In bytes and in number, with what is on its way."""
    token = keys.make("hoarder")
    content = b"x" * (30 * MIB)
    first = sent(server, token, content=content)
    with half_sent(server, token, 30 * MIB):
        half_has_come(server.data)
        assert send(server, token, content)[1]["code"] == "upload_limit"
        assert send(server, token)[0] == 201
    until_files_are(server.data, {path for path in files(server.data) if "part-" not in path})
    status, problem = send(server, keys.make("another"), content)
    assert status == 201, problem
    for _ in range(18):
        sent(server, token)
    status, problem = send(server, token)
    assert (status, problem["code"]) == (409, "upload_limit")
    assert "20 uploads" in problem["detail"]
    assert server.call("DELETE", f"/api/uploads/{first}", token=token)[0] == 204
    assert send(server, token)[0] == 201


def test_a_file_is_never_held_in_memory(server: ServerProcess, keys: Keys) -> None:
    token = keys.make("large")
    sent(server, token, content=b"x" * MIB)
    before = server.rss_bytes
    peak = before
    with half_sent(server, token, 60 * MIB) as connection:
        rest = 30 * MIB
        while rest:
            connection.sendall(b"x" * MIB)
            rest -= MIB
            peak = max(peak, psutil.Process(server.pid).memory_info().rss)
        assert connection.recv(20).startswith(b"HTTP/1.1 201")
    assert peak - before < 20 * MIB


def test_uploads_survive_a_kill_and_what_was_half_sent_does_not(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", app=APP) as server:
        upload_id = sent(server)
        task_id = server.create("read_thread", table=upload_id)
        server.wait_over(task_id)
        unused = sent(server)
        kept = files(server.data)
        assert len(kept) == 2
        with half_sent(server, None, 4 * MIB):
            half_has_come(server.data)
            server.kill()
        # Between a file's rename and its commit: too short a moment to hit, so made by hand.
        orphan = server.data / "uploads" / new_upload_id()
        orphan.mkdir()
        (orphan / ("ab" * 32)).write_bytes(b"nobody was told of it")
        assert len(files(server.data)) == 4
        server.start()
        assert files(server.data) == kept
        assert not orphan.exists()
        assert server.call("GET", f"/api/uploads/{unused}")[1]["size_bytes"] == len(TABLE)
        again = server.create("read_process", table=upload_id, more=[unused])
        assert server.wait_over(again)["status"] == "completed"


def test_what_no_task_uses_goes_after_its_time(tmp_path: Path) -> None:
    settings = {"keep_uploads_age": "2s", "retention_interval_s": "0.2"}
    with ServerProcess(tmp_path / "data", app=APP, settings=settings) as server:
        upload_id = sent(server)
        task_id = server.create("read_thread", table=upload_id)
        (kept,) = files(server.data)
        forgotten = sent(server, content=b"never used")
        until_files_are(server.data, {kept})
        assert server.call("GET", f"/api/uploads/{forgotten}")[0] == 404
        deadline = time.monotonic() + WITHIN_S
        # It is said when the round is over, a moment after the file has gone.
        while "uploads.forgotten" not in server.log:
            assert time.monotonic() < deadline
            time.sleep(0.02)  # Another process: there is nothing to await.
        assert server.wait_over(task_id)["status"] == "completed"
        assert server.raw("GET", f"/api/tasks/{task_id}/uploads/{upload_id}")[2] == TABLE
