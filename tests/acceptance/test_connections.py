"""Who watches what, and how the server is: told to those who look after it, and to nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from taskpush.access.principal import Role
from tests.cli.conftest import Ran
from tests.support.keys import Keys
from tests.support.knocking import knocking
from tests.support.polling import polling_socket
from tests.support.server import ServerProcess
from tests.support.stream import raw_stream
from tests.support.watcher import RawSocket

UNKNOWN: Final = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
FOR_ADMINS: Final = ("/api/connections", "/api/audit")
FOR_OPERATORS: Final = ("/api/server", "/metrics")


@pytest.fixture(scope="module")
def admin(keys: Keys) -> str:
    return keys.make("root", Role.ADMIN)


@pytest.fixture(scope="module")
def operator(keys: Keys) -> str:
    return keys.make("prometheus", Role.METRICS, tenant="local")


@pytest.fixture(scope="module")
def server(keyed_server: ServerProcess) -> ServerProcess:
    return keyed_server


class Reader:
    """Somebody who reads the connections, off the loop that watches."""

    def __init__(self, server: ServerProcess, key: str | None) -> None:
        self._server = server
        self._key = key

    async def page(self, query: str = "") -> dict[str, Any]:
        path = f"/api/connections?{query}"
        status, page = await asyncio.to_thread(self._server.call, "GET", path, token=self._key)
        assert status == HTTPStatus.OK, page
        return dict(page)

    async def until(
        self, condition: Callable[[list[dict[str, Any]]], bool], query: str = ""
    ) -> list[dict[str, Any]]:
        """The first page, once it is as it should be."""
        async with asyncio.timeout(30):
            while True:
                found: list[dict[str, Any]] = (await self.page(query))["items"]
                if condition(found):
                    return found
                await asyncio.sleep(0.02)  # Another process: there is nothing to await.


async def _until_over(socket: RawSocket) -> None:
    """Until the task that it watches is over."""
    while True:
        name, event = await socket.event()
        if name == "task_update" and event["data"].get("final"):
            return


def _metrics(server: ServerProcess, token: str | None) -> dict[str, float]:
    """Every sample, by its name and labels as they are written."""
    status, headers, body = server.raw("GET", "/metrics", token=token)
    assert status == HTTPStatus.OK, body
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sample.labels.items()): (
            sample.value
        )
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


async def test_every_door_is_told_with_what_is_watched_there(
    server: ServerProcess, ann: str, admin: str
) -> None:
    task_id = await asyncio.to_thread(server.create_as, ann, "sleep")
    reader = Reader(server, admin)
    poll = f"/api/tasks/{task_id}/events?wait_s=30&after="
    # It has said all that it says.
    await asyncio.to_thread(server.wait_seq, task_id, 3, token=ann)
    async with (
        asyncio.timeout(60),
        knocking(server, {"token": ann}) as (socket, _),
        polling_socket(server.port, {"token": ann}) as polling,
        raw_stream(server.port, "/api/stream?feed=owner:me", authorization=f"Bearer {ann}"),
        asyncio.TaskGroup() as group,
    ):
        polled = group.create_task(asyncio.to_thread(server.call, "GET", f"{poll}3", token=ann))
        assert (await polling.event())[0] == "connected"
        await socket.emit("subscribe", {"task_id": task_id, "previews": True}, ack=1)
        found = await reader.until(
            lambda items: (
                len([each for each in items if each["watches"]]) == 3
                and all(each["state"] != "behind" for it in items for each in it["watches"])
            ),
            "owner=ann",
        )
        told = {(each["door"], each["transport"]): each for each in found}
        assert told.keys() == {
            ("socketio", "websocket"),
            ("socketio", "polling"),
            ("sse", "stream"),
            ("long_poll", "polling"),
        }
        for each in found:
            assert each["address"] == "127.0.0.1"
            assert each["credential"].startswith("key:")
            assert each["since"].endswith("+00:00")
            assert (each["backlog_bytes"], each["stalled_seconds"]) == (0, None)
        nothing = {"task_id": None, "feed": None, "seq": None, "lag_events": None}
        (by_socket,) = told["socketio", "websocket"]["watches"]
        assert by_socket.items() >= {"task_id": task_id, "state": "live", "lag_events": 0}.items()
        assert by_socket["previews"]
        assert by_socket["seq"] >= 1
        assert told["socketio", "polling"]["watches"] == []
        assert told["sse", "stream"]["watches"] == [
            nothing | {"state": "live", "feed": "owner:me", "previews": False}
        ]
        assert told["long_poll", "polling"]["watches"] == [
            nothing | {"state": "waiting", "task_id": task_id, "seq": 3, "previews": False}
        ]
        watchers = (await reader.page(f"task_id={task_id}"))["items"]
        assert {each["door"] for each in watchers} == {"socketio", "long_poll"}
        status, _ = await asyncio.to_thread(
            server.call, "POST", f"/api/tasks/{task_id}/cancel", token=ann
        )
        assert status == HTTPStatus.ACCEPTED
        await polled
        await polling.leave()
    await reader.until(lambda items: not items, "owner=ann")


async def test_pages_follow_one_another_newest_first(
    server: ServerProcess, ann: str, admin: str
) -> None:
    reader = Reader(server, admin)
    async with (
        asyncio.timeout(60),
        knocking(server, {"token": ann}) as (one, _),
        knocking(server, {"token": ann}) as (two, _),
        knocking(server, {"token": ann}) as (three, _),
    ):
        ids = [(await socket.event())[1]["connection_id"] for socket in (one, two, three)]
        first = await reader.page("limit=2")
        assert [each["connection_id"] for each in first["items"]] == [ids[2], ids[1]]
        path = first["next"]
        assert path.startswith("/api/connections?limit=2&after=")
        status, second = await asyncio.to_thread(server.call, "GET", path, token=admin)
        assert status == HTTPStatus.OK
        assert [each["connection_id"] for each in second["items"]] == [ids[0]]
        assert second["next"] is None


def test_places_that_no_page_gave_are_refused(server: ServerProcess, admin: str) -> None:
    for place in ("1", "", "x" * 150):
        status, problem = server.call("GET", f"/api/connections?after={place}", token=admin)
        assert (status, problem["code"]) == (422, "invalid_request"), place


async def test_another_tenants_connections_and_tasks_are_not_there(
    server: ServerProcess, keys: Keys, ann: str, admin: str
) -> None:
    theirs = keys.make("their-root", Role.ADMIN, tenant="zeta")
    task_id = await asyncio.to_thread(
        server.create_as, ann, "iterate", iterations=100, pause_s=0.02
    )
    async with (
        asyncio.timeout(60),
        knocking(server, {"token": ann}) as (socket, _),
        knocking(server, {"token": theirs}) as (spy, _),
    ):
        await socket.emit("subscribe", {"task_id": task_id}, ack=1)
        await spy.emit("subscribe", {"task_id": task_id}, ack=1)
        await spy.emit("subscribe", {"task_id": UNKNOWN}, ack=2)
        reader = Reader(server, theirs)
        await reader.until(
            lambda items: (
                [each["state"] for it in items for each in it["watches"]] == ["pending", "pending"]
            )
        )
        # What happens to the task from now on comes to its owner.
        for _ in range(10):
            await socket.event()
        (seen,) = (await reader.page())["items"]
        # Whether the task is another's or nobody's is told by nothing, whatever happens to it.
        by_task, unknown = (
            {name: value for name, value in each.items() if name != "task_id"}
            for each in seen["watches"]
        )
        assert by_task == unknown
        assert seen["owner"] == "their-root"
        assert (await reader.page("owner=ann"))["items"] == []
        owners = {each["owner"] for each in (await Reader(server, admin).page())["items"]}
        assert "their-root" not in owners
        assert "ann" in owners
        await _until_over(socket)


async def test_the_command_line_tells_it_too(server: ServerProcess, ann: str, admin: str) -> None:
    task_id = await asyncio.to_thread(server.create_as, ann, "sleep")
    asked = ("connections", "--task", task_id, "--token")
    async with asyncio.timeout(60), knocking(server, {"token": ann}) as (socket, _):
        for number, payload in enumerate(({"task_id": task_id}, {"feed": "all"})):
            await socket.emit("subscribe", payload, ack=number)
            while (await socket.event())[0] != "subscribed":
                pass
        plain = await asyncio.to_thread(Ran, (*asked, admin), server.url)
        _, owner, shown, address, way, watched, backlog = plain.lines[-1].split("\t")
        assert (owner, address, way) == ("ann", "127.0.0.1", "socketio websocket")
        assert shown.startswith("key:")
        assert (watched, backlog) == (f"{task_id} +1", "")
        (line,) = (await asyncio.to_thread(Ran, (*asked, admin, "--json-lines"), server.url)).lines
        assert json.loads(line)["watches"][0]["task_id"] == task_id
        refused = await asyncio.to_thread(Ran, (*asked, ann), server.url)
    assert (refused.code, refused.out) == (6, "")
    await asyncio.to_thread(server.call, "POST", f"/api/tasks/{task_id}/cancel", token=ann)


def test_who_is_no_admin_is_told_so(server: ServerProcess, keys: Keys, ann: str) -> None:
    scoped = server.call("POST", "/api/tokens", {"feed": "all"}, token=ann)[1]["token"]
    reader = keys.make("reader", Role.READ)
    observer = keys.make("observer", Role.METRICS, tenant="local")
    for path in FOR_ADMINS:
        for key in (ann, reader, scoped, observer):
            status, problem = server.call("GET", path, token=key)
            assert (status, problem["code"]) == (403, "forbidden"), path
        assert server.call("GET", path)[0] == HTTPStatus.UNAUTHORIZED


def test_how_the_server_is_concerns_its_own_tenant_alone(
    server: ServerProcess, keys: Keys, ann: str, admin: str, operator: str
) -> None:
    elsewhere = keys.make("watchman", Role.METRICS)
    for path in FOR_OPERATORS:
        for key in (ann, admin, elsewhere):
            status, _, body = server.raw("GET", path, token=key)
            assert status == HTTPStatus.FORBIDDEN, (path, body)
        assert server.raw("GET", path)[0] == HTTPStatus.UNAUTHORIZED
        assert server.raw("GET", path, token=operator)[0] == HTTPStatus.OK
    # And the key of a scraper opens nothing else.
    assert server.call("GET", "/api/tasks", token=operator)[0] == HTTPStatus.FORBIDDEN
    assert server.call("GET", "/api/connections", token=operator)[0] == HTTPStatus.FORBIDDEN


def test_everybody_learns_what_a_page_may_offer_them(
    server: ServerProcess, ann: str, admin: str, operator: str
) -> None:
    told = [server.call("GET", "/api/me", token=key)[1] for key in (ann, admin, operator)]
    assert [(it["owner"], it["sees_connections"], it["sees_server"]) for it in told] == [
        ("ann", False, False),
        ("root", True, False),
        ("prometheus", False, True),
    ]
    assert told[1]["roles"] == ["admin"]
    assert told[1]["expires_at"] is None
    assert server.call("GET", "/api/me")[0] == HTTPStatus.UNAUTHORIZED


async def test_figures_and_metrics_tell_the_same(
    server: ServerProcess, ann: str, operator: str
) -> None:
    before = await asyncio.to_thread(_metrics, server, operator)
    task_id = await asyncio.to_thread(server.create_as, ann, "iterate", iterations=20)
    async with asyncio.timeout(60), knocking(server, {"token": ann}) as (socket, _):
        await socket.emit("subscribe", {"task_id": task_id}, ack=1)
        await _until_over(socket)
        after = await asyncio.to_thread(_metrics, server, operator)
        status, figures = await asyncio.to_thread(server.call, "GET", "/api/server", token=operator)
    assert status == HTTPStatus.OK
    rise = {name: value - before.get(name, 0) for name, value in after.items()}
    assert rise["taskpush_events_total event_type=iteration_complete"] == 20
    assert rise["taskpush_events_total event_type=status_change"] == 3
    assert rise["taskpush_telemetry_events_total event=task.ended"] == 1
    ended = "taskpush_attempt_duration_seconds_{} kind=iterate status=completed"
    assert rise[ended.format("count")] == 1
    assert 0 < rise[ended.format("sum")] < 60
    assert after["taskpush_connections door=socketio"] == 1
    assert figures["connections"]["doors"]["socketio"] == 1
    assert after["taskpush_watched_tasks"] == figures["connections"]["watched_tasks"] == 1
    assert figures["events"]["iteration_complete"] >= 20
    assert after["taskpush_pushes_total"] <= figures["pushes"]
    assert after["taskpush_task_slots kind=iterate"] == 500
    assert {"kind": "iterate", "running": 0, "waiting": 0, "slots": 500} in figures["kinds"]
    # Seen at least once since the start, ten times a second.
    lags = after["taskpush_loop_lag_seconds_count"]
    assert lags == after["taskpush_loop_lag_seconds_bucket le=+Inf"] > 0
    assert figures["loop"]["worst_lag_seconds"] >= figures["loop"]["lag_seconds"] >= 0
    assert after["process_resident_memory_bytes"] == pytest.approx(figures["rss_bytes"], rel=0.2)
    assert figures["rss_bytes"] == pytest.approx(server.rss_bytes, rel=0.2)
    assert figures["store"]["bytes"] > 0
    assert after["taskpush_store_used_bytes"] > 0
    assert not [name for name in after if task_id in name or "ann" in name]


def test_a_peer_that_takes_nothing_is_told_with_its_backlog(
    server: ServerProcess, ann: str, admin: str, operator: str
) -> None:
    async def scene() -> None:
        reader = Reader(server, admin)
        task_id = await asyncio.to_thread(
            server.create_as, ann, "flood", steps=3000, line_chars=16_000, pause_s=0
        )
        async with asyncio.timeout(90), knocking(server, {"token": ann}) as (socket, _):
            await socket.emit("subscribe", {"task_id": task_id}, ack=1)
            socket.ws.transport.pause_reading()
            (stalled,) = await reader.until(
                lambda items: bool(items) and (items[0]["stalled_seconds"] or 0) > 1,
                f"task_id={task_id}",
            )
            (watched,) = stalled["watches"]
            assert stalled["backlog_bytes"] > 64 * 1024
            assert watched["state"] == "behind"
            assert watched["lag_events"] > 0
            figures = (await asyncio.to_thread(server.call, "GET", "/api/server", token=operator))[
                1
            ]
            assert figures["outboxes"]["waiting_bytes"] > 64 * 1024
            assert figures["outboxes"]["waiting_connections"] == 1
        await asyncio.to_thread(server.call, "POST", f"/api/tasks/{task_id}/cancel", token=ann)

    asyncio.run(scene())
