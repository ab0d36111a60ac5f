"""How much of one principal and one connection is too much, and when to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from taskpush.client import Client, RequestRefused
from tests.support.keys import Keys
from tests.support.knocking import knocking
from tests.support.server import ServerProcess
from tests.support.watcher import raw_socket


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Keys]]:
    """A server with API keys, that lets each owner do little."""
    data = tmp_path_factory.mktemp("keyed") / "data"
    keys = Keys(data)
    keys.make("first")
    settings = {"max_connections_per_principal": "2", "max_creates_per_min": "6"}
    with ServerProcess(data, settings=settings) as process:
        yield process, keys


async def test_a_principal_with_all_its_connections_is_told_so_at_connect(
    keyed: tuple[ServerProcess, Keys],
) -> None:
    server, keys = keyed
    ann, bob = {"token": keys.make("ann-1", owner="ann")}, {"token": keys.make("bob")}
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(knocking(server, ann))
        await stack.enter_async_context(knocking(server, ann))
        third, said = await stack.enter_async_context(knocking(server, ann))
        refusal = orjson.loads(said.removeprefix("44/tasks,"))
        assert refusal["data"] == {"code": "connection_limit", "retry_after_s": 10}
        assert refusal["message"] == "at most 2 connections of acme/ann at once"
        status, headers, body = await asyncio.to_thread(
            server.raw, "GET", "/api/stream", token=ann["token"]
        )
        assert (status, headers["retry-after"]) == (429, "10")
        assert orjson.loads(body)["code"] == "connection_limit"
        assert (await stack.enter_async_context(knocking(server, bob)))[1].startswith("40/tasks,")
        # It may try again on the same transport, when there is room.
        await first[0].ws.send("41/tasks,")
        await third.ws.send(f"40/tasks,{orjson.dumps(ann).decode()}")
        assert (await third.packet()).startswith("40/tasks,")


def test_creates_are_counted_by_owner_each_task_of_a_batch(
    keyed: tuple[ServerProcess, Keys],
) -> None:
    server, keys = keyed
    cleo, other, dan = keys.make("cleo"), keys.make("cleo-2", owner="cleo"), keys.make("dan")
    one = {"kind": "iterate", "params": {"iterations": 0}}

    def create(token: str, tasks: int) -> tuple[int, dict[str, str], Any]:
        path = "/api/tasks" if tasks == 1 else "/api/tasks/batch"
        body = orjson.dumps(one if tasks == 1 else {"tasks": [one] * tasks})
        status, headers, answer = server.raw("POST", path, body, token=token)
        return status, headers, orjson.loads(answer)

    assert [create(cleo, tasks)[0] for tasks in (1, 4)] == [201, 201]
    status, headers, problem = create(other, 4)
    assert (status, problem["code"]) == (429, "rate_limited")
    # Three more than fit, at one in ten seconds.
    assert int(headers["retry-after"]) == problem["retry_after"] in {29, 30}
    assert create(other, 1)[0] == 201
    assert create(cleo, 1)[0] == 429
    assert server.call("GET", "/api/tasks", token=cleo)[0] == 200
    assert create(dan, 6)[0] == 201
    status, _, problem = create(keys.make("eve"), 7)
    assert (status, problem["code"]) == (422, "invalid_request")
    with Client(server.url, token=cleo) as client, pytest.raises(RequestRefused) as refused:
        client.create_task("iterate", {"iterations": 0})
    assert (refused.value.code, refused.value.status) == ("rate_limited", 429)


# ---------------------------------------------------------------- one connection, and sizes


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose other limits are as low as they go."""
    settings = {
        "max_subscriptions": "100",
        "packets_per_s": "10",
        "packets_at_once": "300",
        "max_body_bytes": "4KiB",
        "max_params_bytes": "1KiB",
        "max_metadata_bytes": "100",
        "max_log_line_bytes": "100",
        "max_artifact_bytes": "20",
        "max_upload_bytes": "30",
        "max_unused_uploads": "2",
        "max_unused_upload_bytes": "40",
        "max_owner_upload_bytes": "50",
    }
    data = tmp_path_factory.mktemp("small") / "data"
    with ServerProcess(data, settings=settings) as process:
        yield process


async def test_clients_are_told_the_limits_that_hold_for_them(small: ServerProcess) -> None:
    told = small.call("GET", "/api/limits")[1]
    assert told == {
        "connections": 20_000,
        "connections_per_address": None,
        "connections_per_principal": None,
        "subscriptions": 100,
        "packets_per_s": 10,
        "packets_at_once": 300,
        "packet_bytes": 4096,
        "creates_per_min": None,
        "body_bytes": 4096,
        "params_bytes": 1024,
        "metadata_bytes": 100,
        "event_bytes": 65_536,
        "log_line_bytes": 100,
        "artifact_bytes": 20,
        "upload_bytes": 30,
        "unused_uploads": 2,
        "unused_upload_bytes": 40,
        "owner_upload_bytes": 50,
    }
    async with raw_socket(small.port) as client:
        name, greeting = await client.event()
    assert name == "connected"
    assert told.items() <= greeting["limits"].items()
    described = small.call("GET", "/openapi.json")[1]["info"]["description"]
    assert "| bytes of a body | 4,096 | 413 `payload_too_large` |" in described


async def test_events_that_come_too_fast_are_told_when_to_come_back(small: ServerProcess) -> None:
    async with raw_socket(small.port) as eager:
        await eager.event()
        for number in range(330):
            await eager.emit("unsubscribe", {"feed": "all"}, ack=number)
        answers = [payload for name, payload in [await eager.event() for _ in range(330)]]
    assert all(answer["ok"] for answer in answers[:298])
    refused = [answer for answer in answers if answer.get("code") == "rate_limited"]
    assert refused
    assert all(1 <= answer["retry_after_s"] <= 4 for answer in refused)
    # Once in the answer, once as an event.
    assert {answer.get("ok") for answer in refused} == {False, None}


async def test_a_subscription_too_many_is_refused(small: ServerProcess) -> None:
    async with raw_socket(small.port) as greedy:
        await greedy.event()
        for number in range(101):
            await greedy.emit("subscribe", {"feed": f"tag:t{number}"}, ack=number)
        acks: list[dict[str, Any]] = []
        while len(acks) < 101:
            name, payload = await greedy.event()
            acks += [payload] if name == "ack" else []
    assert [ack["ok"] for ack in acks] == [True] * 100 + [False]
    assert acks[-1]["code"] == "subscription_limit"


@pytest.mark.parametrize(
    ("body", "status", "code", "loc"),
    [
        ({"kind": "iterate", "params": {}, "metadata": {"a": "x" * 80}}, 201, None, None),
        (
            {"kind": "iterate", "params": {}, "metadata": {"a": "x" * 100}},
            422,
            "invalid_request",
            "metadata",
        ),
        ({"kind": "fail", "params": {"message": "x" * 1000}}, 201, None, None),
        ({"kind": "fail", "params": {"message": "x" * 1024}}, 422, "invalid_request", "params"),
        ({"kind": "fail", "params": {"message": "x" * 4096}}, 413, "payload_too_large", None),
    ],
)
def test_what_is_too_large_is_refused(
    small: ServerProcess, body: Any, status: int, code: str | None, loc: str | None
) -> None:
    answered, problem = small.call("POST", "/api/tasks", body)
    assert (answered, problem.get("code")) == (status, code), problem
    assert [wrong["loc"] for wrong in problem.get("errors") or ()] == ([loc] if loc else [])


def test_a_file_that_is_too_large_is_left_out_and_the_log_says_so(small: ServerProcess) -> None:
    task_id = small.create("files")
    assert small.wait_over(task_id)["status"] == "completed"
    kept = small.call("GET", f"/api/tasks/{task_id}/artifacts")[1]["items"]
    assert [artifact["name"] for artifact in kept] == ["layout.json", "layout.json"]
    said = [e["data"] for e in small.log_of(task_id) if e["event_type"] == "log"]
    assert any("larger than 20 bytes" in line["message"] for line in said), said


def test_a_log_message_that_is_too_long_is_cut(small: ServerProcess) -> None:
    task_id = small.create("flood", steps=1, line_chars=5_000)
    small.wait_over(task_id)
    (line,) = [e["data"] for e in small.log_of(task_id) if e["event_type"] == "log"]
    assert len(orjson.dumps(line["message"])) == 100
    assert line["message"].endswith(" … [cut]")
    assert line["fields"] == {"step": 1}
