"""How much is too much: at every door of a real server, with its code and when to come back."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Any, Final

import aiohttp
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from taskpush.client import Client, RequestRefused
from tests.acceptance.test_access import Keys, knocking
from tests.attacks import raw
from tests.support.server import ServerProcess
from tests.support.watcher import raw_socket

ADDRESSES: Final = 4
ALL: Final = 12
WITHIN_S: Final = 10
DOORS: Final = [
    "/socket.io/?EIO=4&transport=polling",
    "/api/tasks/{task}/stream",
    "/api/stream?feed=all",
    "/api/tasks/{task}/events?after={end}&wait_s=5",
    "/api/feed?after={cursor}&wait_s=5",
]


@pytest.fixture(scope="module", params=[False, True], ids=["serve", "uvicorn"])
def crowded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server behind a proxy, that takes a few connections from each address."""
    settings = {
        "max_connections": str(ALL),
        "max_connections_per_address": str(ADDRESSES),
        "trusted_proxies": "127.0.0.1",
    }
    data = tmp_path_factory.mktemp("crowded") / "data"
    process = ServerProcess(data, plain_asgi=request.param, settings=settings)
    if request.param:
        # uvicorn would heed them before the application does, and let it do so again.
        process = ServerProcess(
            data, plain_asgi=True, settings=settings, args=("--no-proxy-headers",)
        )
    with process:
        yield process
        assert "Traceback" not in process.log, process.log


def of(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def opened(server: ServerProcess, address: str) -> ClientConnection:
    return await connect(
        f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket",
        compression=None,
        ping_interval=None,
        proxy=None,
        additional_headers=of(address),
    )


async def _when_there_is_room(server: ServerProcess, address: str) -> ClientConnection:
    while True:
        try:
            return await opened(server, address)
        except InvalidStatus:
            # What the last test left is still going, in another process.
            await asyncio.sleep(0.02)


@asynccontextmanager
async def many(server: ServerProcess, *addresses: str) -> AsyncIterator[list[ClientConnection]]:
    """WebSockets from these addresses, once the server has room; cut at the end."""
    async with AsyncExitStack() as stack, asyncio.timeout(WITHIN_S):
        sockets = []
        for address in addresses:
            ws = await _when_there_is_room(server, address)
            stack.callback(ws.transport.abort)
            await ws.recv()
            await ws.send("40/tasks,")
            sockets.append(ws)
        yield sockets


async def ask(
    http: aiohttp.ClientSession, server: ServerProcess, path: str, address: str
) -> tuple[int, str, str | None]:
    """Status, code and `Retry-After` of the answer."""
    async with http.get(server.url + path, headers=of(address)) as answer:
        if answer.content_type != "application/problem+json":
            return answer.status, "", answer.headers.get("Retry-After")
        problem = await answer.json(content_type=None)
        assert problem["retry_after"] == int(answer.headers["Retry-After"])
        return answer.status, problem["code"], answer.headers["Retry-After"]


@asynccontextmanager
async def asking() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    # Each request has a connection of its own, that ends with it.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), timeout=timeout
    ) as http:
        yield http


@pytest.fixture(scope="module")
def task(crowded: ServerProcess) -> dict[str, str]:
    """What the doors' addresses name: a task that has an end, and the feed's newest state."""
    task_id = crowded.create("iterate", iterations=1)
    position = crowded.wait_over(task_id)["position"]
    cursor = crowded.call("GET", "/api/feed")[1]["cursor"]
    end = f"{position['epoch']}:{position['seq']}"
    return {"task": task_id, "end": end, "cursor": cursor}


@pytest.mark.parametrize("path", DOORS)
async def test_an_address_with_all_its_connections_gets_no_other_at_any_door(
    crowded: ServerProcess, task: dict[str, str], path: str
) -> None:
    where = path.format(**task)
    async with many(crowded, *["203.0.113.7"] * ADDRESSES), asking() as http:
        assert await ask(http, crowded, where, "203.0.113.7") == (429, "connection_limit", "10")
        # What does not stay open is none.
        assert (await ask(http, crowded, "/api/tasks", "203.0.113.7"))[0] == 200
        assert (await ask(http, crowded, where.replace("=5", "=0.1"), "198.51.100.1"))[0] == 200


async def test_a_websocket_too_many_is_refused_at_its_handshake_and_goes_in_when_another_leaves(
    crowded: ServerProcess,
) -> None:
    async with many(crowded, *["203.0.113.8"] * ADDRESSES) as sockets:
        with pytest.raises(InvalidStatus) as refused:
            await opened(crowded, "203.0.113.8")
        answer = refused.value.response
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert orjson.loads(answer.body or b"")["code"] == "connection_limit"
        await sockets[0].close()
        async with many(crowded, "203.0.113.8"):
            pass


async def test_a_network_of_ipv6_is_one_address(crowded: ServerProcess) -> None:
    async with many(crowded, *[f"2001:db8:1:1::{n}" for n in range(ADDRESSES)]):
        with pytest.raises(InvalidStatus, match="429"):
            await opened(crowded, "2001:db8:1:1:ffff::1")
        async with many(crowded, "2001:db8:1:2::1"):
            pass


async def test_a_full_server_takes_nobody_and_serves_those_who_are_there(
    crowded: ServerProcess, task: dict[str, str]
) -> None:
    addresses = [f"203.0.113.{n // 2}" for n in range(ALL)]
    async with many(crowded, *addresses) as sockets, asking() as http:
        with pytest.raises(InvalidStatus, match="503"):
            await opened(crowded, "198.51.100.2")
        for path in DOORS:
            answer = await ask(http, crowded, path.format(**task), "198.51.100.2")
            assert answer == (503, "server_full", "10")
        running = await asyncio.to_thread(crowded.create, "iterate", iterations=5)
        for ws in sockets:
            await ws.send(
                orjson.dumps(["subscribe", {"task_id": running}]).decode().join(["42/tasks,", ""])
            )
        for ws in sockets:
            while '"final":true' not in str(await ws.recv()):
                pass


def _reset(raw_socket: socket.socket) -> None:
    """End it as a machine does that was switched off and on again."""
    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw_socket.close()


def _come_and_go(server: ServerProcess, number: int, task_id: str) -> None:
    """Connect in one of many ways, and be gone in the middle of it."""
    if number % 6 == 5:
        # A session over long polling, that says goodbye.
        answer = raw.get(server.port, raw.POLLING)
        if raw.status(answer) == 200:
            body = answer.partition(b"\r\n\r\n")[2]
            sid = orjson.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["sid"]
            raw.post(server.port, f"{raw.POLLING}&sid={sid}", b"1")
        return
    path = f"/api/tasks/{task_id}/stream" if number % 6 == 4 else raw.WEBSOCKET
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    head += raw.UPGRADE if path == raw.WEBSOCKET else b""
    with closing(raw.plug(server.port)) as plug:
        match number % 6:
            case 0:
                plug.sendall(head)
            case 1:
                plug.sendall(head + b"\r\n")
            case 2:
                plug.sendall(head + b"\r\n")
                plug.recv(1)
            case _:
                plug.sendall(head + b"\r\n" + raw.frame(b"40/tasks,"))
                plug.recv(4096)
        if number % 2:
            _reset(plug)


async def test_a_thousand_that_came_and_went_leave_nothing_behind(
    crowded: ServerProcess,
) -> None:
    task_id = await asyncio.to_thread(crowded.create, "sleep", seconds=60)
    for number in range(1_000):
        await asyncio.to_thread(_come_and_go, crowded, number, task_id)
    addresses = [f"203.0.113.{n // 2}" for n in range(ALL)]
    async with many(crowded, *addresses):
        with pytest.raises(InvalidStatus, match="503"):
            await opened(crowded, "198.51.100.3")
    crowded.call("POST", f"/api/tasks/{task_id}/cancel", {})


# ---------------------------------------------------------------- one principal


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
