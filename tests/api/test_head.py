"""HEAD is answered as GET is, without the body."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from uuid import uuid4

import pytest

from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def task_id(server: ServerProcess) -> str:
    task_id = server.create("files")
    server.wait_over(task_id)
    return task_id


@pytest.fixture
def connection(server: ServerProcess) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield connection
    connection.close()


def _ask(connection: HTTPConnection, method: str, path: str) -> tuple[HTTPResponse, bytes]:
    connection.request(method, path)
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/openapi.json", "/asyncapi.json", "/healthz", "/readyz"),
        *("/api/kinds", "/api/queue", "/api/tasks/{task_id}", "/api/tasks/{task_id}/events"),
        *("/api/tasks/{unknown}", "/api/tasks?limit=nonsense", "/no/such/page"),
    ],
)
def test_it_says_what_get_says_without_the_body(
    connection: HTTPConnection, task_id: str, path: str
) -> None:
    path = path.format(task_id=task_id, unknown=uuid4())
    get, content = _ask(connection, "GET", path)
    head, nothing = _ask(connection, "HEAD", path)
    assert nothing == b""
    assert (head.status, head.headers["content-type"]) == (get.status, get.headers["content-type"])
    assert int(head.headers["content-length"]) == len(content)


def test_a_file_says_how_large_it_is(
    server: ServerProcess, connection: HTTPConnection, task_id: str
) -> None:
    _, artifacts = server.call("GET", f"/api/tasks/{task_id}/artifacts")
    artifact = artifacts["items"][0]
    head, nothing = _ask(connection, "HEAD", artifact["url"])
    assert (head.status, nothing) == (200, b"")
    assert int(head.headers["content-length"]) == artifact["size_bytes"]


@pytest.mark.parametrize("path", ["/api/stream", "/api/tasks/{task_id}/stream"])
def test_a_stream_ends_with_its_head(
    server: ServerProcess, connection: HTTPConnection, path: str
) -> None:
    path = path.format(task_id=server.create("sleep", seconds=600))
    for _ in range(2):
        head, nothing = _ask(connection, "HEAD", path)
        assert (head.status, nothing) == (200, b"")
        assert head.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_what_cannot_be_read_is_refused_still(connection: HTTPConnection) -> None:
    head, _ = _ask(connection, "HEAD", f"/api/tasks/{uuid4()}/cancel")
    assert head.status == 405


def test_it_is_not_in_the_documentation(server: ServerProcess) -> None:
    _, document = server.call("GET", "/openapi.json")
    assert not any("head" in path for path in document["paths"].values())
