"""How many connections are too many: of an address and of all, at every door."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Final

import aiohttp
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.attacks import raw
from tests.support.server import ServerProcess

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


@pytest.fixture(scope="module", params=[None, "uvicorn"], ids=["serve", "uvicorn"])
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
            data, plain_asgi="uvicorn", settings=settings, args=("--no-proxy-headers",)
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
        briefly = where.replace("wait_s=5", "wait_s=0.1")
        assert (await ask(http, crowded, briefly, "198.51.100.1"))[0] == 200


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
