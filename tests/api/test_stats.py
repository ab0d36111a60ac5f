"""`GET /api/stats` and `taskpush stats`, over a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from taskpush.client import Client
from tests.cli.conftest import Ran
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("stats") / "data")
    process.start()
    try:
        for task_id in (
            *(process.create("iterate", iterations=1, pause_s=0.1) for _ in range(3)),
            process.create("fail"),
        ):
            process.wait_over(task_id)
        yield process
    finally:
        process.stop()


def test_what_ended_today_is_counted(server: ServerProcess) -> None:
    status, answer = server.call("GET", "/api/stats")
    assert status == 200
    failed, iterated = answer["days"]
    assert failed["day"] == iterated["day"] == str(datetime.now(UTC).date())
    assert (failed["kind"], failed["failed"], failed["failure_rate"]) == ("fail", 1, 1.0)
    assert failed["median_seconds"] is None
    assert (iterated["kind"], iterated["completed"], iterated["failure_rate"]) == ("iterate", 3, 0)
    assert 0.1 <= iterated["median_seconds"] <= iterated["p95_seconds"] < 30
    assert iterated["median_wait_seconds"] >= 0
    accuracy = {each["kind"]: each["accuracy"]["count"] for each in answer["estimates"]}
    assert {"iterate", "fail", "sleep"} <= accuracy.keys()
    assert answer["store"]["tasks"] == 4
    assert answer["store"]["bytes"] > 10_000


def test_one_kind_can_be_asked_for(server: ServerProcess) -> None:
    _, answer = server.call("GET", "/api/stats?kind=fail&days=1")
    assert [each["kind"] for each in answer["days"]] == ["fail"]
    assert [each["kind"] for each in answer["estimates"]] == ["fail"]


@pytest.mark.parametrize(
    ("query", "loc"),
    [("days=0", "days"), ("days=367", "days"), ("days=x", "days"), ("kind=a%20b", "kind")],
)
def test_what_makes_no_sense_is_refused(server: ServerProcess, query: str, loc: str) -> None:
    status, problem = server.call("GET", f"/api/stats?{query}")
    assert (status, problem["code"]) == (422, "invalid_request")
    assert [each["loc"].split(".")[-1] for each in problem["errors"]] == [loc]


def test_it_stands_in_the_openapi_document(server: ServerProcess) -> None:
    _, document = server.call("GET", "/openapi.json")
    operation = document["paths"]["/api/stats"]["get"]
    assert {each["name"] for each in operation["parameters"]} == {"kind", "days"}
    assert {"Stats", "KindDay", "StoreSize"} <= document["components"]["schemas"].keys()


def test_clients_and_the_command_line_show_it(server: ServerProcess) -> None:
    with Client(server.url) as client:
        answer = client.stats("iterate", days=1)
    assert [each["completed"] for each in answer["days"]] == [3]
    ran = Ran(("stats", "--kind", "iterate", "--json-lines"), server.url)
    assert [json.loads(line) for line in ran.lines] == answer["days"]
    (line,) = Ran(("stats", "--kind", "fail"), server.url).lines
    assert line.split("\t")[1:6] == ["fail", "0", "1", "0", "0"]
