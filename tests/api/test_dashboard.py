"""Where the dashboard's page is served, and where it is not; how its files travel."""

from __future__ import annotations

import gzip
import re
import urllib.error
import urllib.request
from email.message import Message
from urllib.parse import urljoin

import orjson
import pytest

from taskpush.api.assets import takes_gzip
from taskpush.api.dashboard import FOLDER
from tests.support.server import ServerProcess

PAGES = ["/", "/tasks", "/tasks/01890000-0000-7000-8000-000000000001", "/new", "/queue", "/history"]


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, Message, bytes]:
    """What is answered, as it is; `accept_encoding="gzip"` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers=named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_parts_of_a_file_are_parts_of_what_it_holds(server: ServerProcess) -> None:
    url = server.url + "/static/vendor/swagger-ui.css"
    _, _, content = fetch(url)
    for ranges in ("bytes=0-9", "bytes=0-9,20-29"):
        status, headers, body = fetch(url, accept_encoding="gzip", range=ranges)
        assert (status, headers["Content-Encoding"]) == (206, None)
        assert content[:10] in body


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


def script_url(server: ServerProcess) -> str:
    named = re.search(r'src="([^"]+\.js)"', fetch(server.url + "/")[2].decode())
    assert named is not None
    return urljoin(server.url + "/", str(named[1]))


@pytest.mark.parametrize("kept", ["immutable", "no-cache"])
def test_a_file_travels_packed_to_who_takes_that(server: ServerProcess, kept: str) -> None:
    vendored = server.url + "/static/vendor/swagger-ui.css"
    url = script_url(server) if kept == "immutable" else vendored
    _, plain, content = fetch(url)
    status, packed, body = fetch(url, accept_encoding="br, gzip;q=0.8")
    assert status == 200
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == content
    assert len(body) < len(content) / 2
    assert int(packed["Content-Length"]) == len(body)
    assert plain["Content-Encoding"] is None
    # The same but for the bytes: two texts, so two names for caches.
    assert packed["ETag"] != plain["ETag"]
    for headers in (plain, packed):
        assert headers["Vary"] == "Accept-Encoding"
        assert kept in headers["Cache-Control"]
        assert headers["Content-Type"] == plain["Content-Type"]
        assert headers["Content-Security-Policy"] == plain["Content-Security-Policy"]
    assert plain["Content-Type"].startswith("text/")

    status, head, body = fetch(url, "HEAD", accept_encoding="gzip")
    assert (status, body) == (200, b"")
    assert head["Content-Length"] == packed["Content-Length"]


def test_a_packed_file_that_is_there_already_does_not_travel(server: ServerProcess) -> None:
    url = script_url(server)
    _, plain, _ = fetch(url)
    _, packed, _ = fetch(url, accept_encoding="gzip")
    status, headers, body = fetch(url, accept_encoding="gzip", if_none_match=packed["ETag"])
    assert (status, body) == (304, b"")
    assert (headers["ETag"], headers["Vary"]) == (packed["ETag"], "Accept-Encoding")
    # What somebody has unpacked is no copy of what is packed, nor the other way about.
    assert fetch(url, accept_encoding="gzip", if_none_match=plain["ETag"])[0] == 200
    assert fetch(url, if_none_match=packed["ETag"])[0] == 200
    assert fetch(url, if_none_match=plain["ETag"])[0] == 304


def test_what_is_small_already_travels_as_it_is(server: ServerProcess) -> None:
    status, headers, body = fetch(
        server.url + "/static/vendor/swagger-ui-favicon.png", accept_encoding="gzip"
    )
    assert (status, headers["Content-Encoding"]) == (200, None)
    assert body.startswith(b"\x89PNG")
    assert fetch(server.url + "/static/nothing.js", accept_encoding="gzip")[0] == 404


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("br;q=1, *;q=0.1", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*, gzip;q=0", False),
        ("gzip;q=", False),
        ("gzip;q=many", False),
        ("x-gzip-like", False),
    ],
)
def test_gzip_is_sent_to_those_who_say_so(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken


def test_all_that_a_page_loads_lies_there_packed_as_it_is_now() -> None:
    loaded = [path for path in (FOLDER / "assets").iterdir() if path.suffix in {".js", ".css"}]
    assert len(loaded) > 3
    for path in loaded:
        packed = path.with_name(path.name + ".gz")
        assert gzip.decompress(packed.read_bytes()) == path.read_bytes()
