"""Where the dashboard's page is served, and where it is not."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from urllib.parse import urljoin

import orjson
import pytest

from tests.support.server import ServerProcess

PAGES = ["/", "/tasks", "/tasks/01890000-0000-7000-8000-000000000001", "/new", "/queue", "/history"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as process:
        yield process


def fetch(url: str) -> tuple[int, Message, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.mark.parametrize("path", PAGES)
def test_each_of_its_addresses_answers_the_page_and_what_that_loads(
    server: ServerProcess, path: str
) -> None:
    status, headers, body = fetch(server.url + path)
    assert status == 200
    assert headers["Cache-Control"] == "no-cache"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', body.decode())
    assert len(loaded) >= 3
    for address in loaded:
        status, headers, _ = fetch(urljoin(server.url + path, address))
        assert status == 200
        hashed = "/assets/" in address
        assert ("immutable" in headers["Cache-Control"]) is hashed


@pytest.mark.parametrize("path", ["/nothing", "/tasks/x/y", "/api/nothing", "/static/nothing.js"])
def test_any_other_address_stays_an_error(server: ServerProcess, path: str) -> None:
    status, headers, body = fetch(server.url + path)
    assert status == 404
    assert headers["Content-Type"] == "application/problem+json"
    assert orjson.loads(body)["code"] == "no_such_page"
