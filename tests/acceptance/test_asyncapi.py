"""What a real server says, over Socket.IO and in streams, is what the AsyncAPI document says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from websockets.asyncio.client import connect

from taskpush.core.asyncapi import encoded_document
from taskpush.models.events import EventType
from tests.support.asyncapi import DOCUMENT, Contract
from tests.support.server import ServerProcess
from tests.support.stream import raw_stream
from tests.support.watcher import RawSocket, raw_socket

KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("iterate", {"iterations": 5, "pause_s": 0.01, "log_every": 2}),
    ("flood", {"steps": 3, "pause_s": 0.01, "line_chars": 100}),
    ("leaky", {"canary": "c", "seconds": 0.3}),
    ("large_result", {}),
    ("fail", {}),
    ("unlucky", {}),
    ("files", {}),
)
WITHIN_S = 60.0
GONE = {"epoch": "nowhere", "seq": 1}
SAID = {name for name, operation in DOCUMENT["operations"].items() if operation["action"] == "send"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server, which lets everybody have two connections."""
    data = tmp_path_factory.mktemp("asyncapi") / "data"
    with ServerProcess(data, settings={"max_connections_per_principal": "2"}) as process:
        yield process


class Listener:
    """A connection whose every message is checked."""

    def __init__(self, contract: Contract, socket: RawSocket) -> None:
        self._contract = contract
        self._socket = socket
        self._over: set[str] = set()

    async def ask(self, event: str, payload: Any) -> Any:
        """Emit, and take what comes until the answer, which is returned."""
        self._contract.check(event, payload)
        await self._socket.emit(event, payload, ack=1)
        return await self.until("ack", lambda _: True, f"{event}_ack")

    async def until(
        self, name: str, condition: Callable[[Any], bool], called: str | None = None
    ) -> Any:
        """Take what comes until a message fulfils the condition; return its payload."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                said, payload = await self._take(called)
                if said == name and condition(payload):
                    return payload

    async def until_deleted(self, task_id: str) -> None:
        """Until both the task's watchers and the feed, at its own pace, were told: in any order."""
        told: set[str] = set()
        async with asyncio.timeout(WITHIN_S):
            while told != {"task_deleted", "feed_update"}:
                said, payload = await self._take()
                about = payload.get("task", payload)
                if said == "task_deleted" or about.get("deleted"):
                    assert about["task_id"] == task_id
                    told.add(said)

    async def _take(self, called: str | None = None) -> tuple[str, Any]:
        said, payload = await self._socket.event()
        self._contract.check((called or said) if said == "ack" else said, payload)
        if said == "task_update" and payload["data"].get("final"):
            self._over.add(payload["task_id"])
        return said, payload

    async def until_over(self, task_id: str) -> None:
        """Until the task's final event has come, which may be before an answer."""
        while task_id not in self._over:
            await self.until("task_update", lambda _: True)


async def test_everything_over_socket_io(server: ServerProcess) -> None:
    contract = Contract()
    async with raw_socket(server.port) as socket:
        listener = Listener(contract, socket)
        await listener.until("connected", lambda _: True)
        await listener.ask("subscribe", {"feed": "all"})
        for kind, params in KINDS:
            task_id = str(uuid4())
            pending = await listener.ask("subscribe", {"task_id": task_id, "previews": True})
            assert (pending["mode"], pending["snapshot"]) == ("pending", None)
            body = {"kind": kind, "params": params, "task_id": task_id}
            assert server.call("POST", "/api/tasks", body)[0] == 201
            await listener.until_over(task_id)
        doomed = server.create("iterate", iterations=1)
        server.wait_over(doomed)
        asked = await listener.ask("subscribe", {"task_id": doomed, "after": GONE})
        assert asked["mode"] == "resync"
        await listener.until("resync", lambda _: True)
        assert server.call("DELETE", f"/api/tasks/{doomed}")[0] == 204
        await listener.until_deleted(doomed)

        running, waiting = (server.create("narrow", seconds=60) for _ in range(2))
        assert (await listener.ask("subscribe", {"feed": "queue"}))["ok"]
        await listener.until("queue_update", _shows_one_waiting)
        assert (await listener.ask("subscribe", {"task_id": waiting}))["ok"]
        await listener.until("task_update", lambda it: it["event_type"] == "queue")
        assert (await listener.ask("subscribe", {"task_id": running, "after": "now"}))["snapshot"]
        for task_id in (waiting, running):
            assert (await listener.ask("cancel", {"task_id": task_id}))["ok"]
            await listener.until_over(task_id)
        assert not (await listener.ask("cancel", {"task_id": running}))["ok"]
        await listener.until("error", lambda it: it["code"] == "illegal_transition")
        await listener.ask("unsubscribe", {"task_id": running})
        for feed in ("queue", "all"):
            await listener.ask("unsubscribe", {"feed": feed})
        await listener.ask("authenticate", {"token": "anything"})

        async with raw_socket(server.port):
            contract.check("connect_error", await _turned_away(server))
    assert contract.seen == set(DOCUMENT["components"]["messages"]) - {"webhook_event"}
    assert contract.event_types == {event_type.value for event_type in EventType}


def _shows_one_waiting(update: Any) -> bool:
    return any(queue["waiting"] == 1 for queue in update["queues"])


async def _turned_away(server: ServerProcess) -> Any:
    """What a connection is answered that is one too many."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    async with connect(address, proxy=None) as ws:
        await ws.recv()
        await ws.send("40/tasks,")
        answer = await ws.recv()
        assert isinstance(answer, str)
        return orjson.loads(answer.removeprefix("44/tasks,"))


async def test_everything_in_streams(server: ServerProcess) -> None:
    contract = Contract()
    created = {kind: server.create(kind, **params) for kind, params in KINDS}
    for kind, task_id in created.items():
        server.wait_over(task_id)
        async with raw_stream(server.port, f"/api/tasks/{task_id}/stream") as stream:
            events = [event for event in await stream.events() if event.name]
        assert events, kind
        for event in events:
            assert event.name is not None
            contract.check(event.name, event.data)
    path = f"/api/tasks/{created['files']}/stream?after=nowhere:1"
    async with raw_stream(server.port, path) as stream:
        for event in await stream.events():
            if event.name is not None:
                contract.check(event.name, event.data)
    async with raw_stream(server.port, "/api/stream?feed=all") as stream:
        server.create("iterate", iterations=1)
        while "feed_update" not in contract.seen:
            async with asyncio.timeout(30):
                told = await stream.event()
            assert told is not None
            if told.name is not None:
                contract.check(told.name, told.data)
    assert contract.seen >= {"task_update", "resync", "active_tasks", "feed_update"}
    assert contract.seen <= SAID


def test_the_document_is_served_and_printed_alike(server: ServerProcess) -> None:
    status, headers, body = server.raw("GET", "/asyncapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert body == encoded_document(orjson.loads(body)["info"]["version"])
    assert b"(asyncapi.json)" in server.raw("GET", "/openapi.json")[2]


def test_what_the_namespace_answers_is_in_the_document() -> None:
    from taskpush.sockets.namespace import NAMESPACE

    assert DOCUMENT["channels"]["tasks"]["address"] == NAMESPACE
