"""Webhooks of a real server, to receivers over real sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from taskpush.access.webhook_secrets import FILE, read_secrets
from tests.support.asyncapi import Contract
from tests.support.receiver import Received, receiver
from tests.support.server import ROOT, ServerProcess, free_port

SETTINGS = {"webhook_allow": "127.0.0.1", "webhook_waits": "0.05s,0.1s,0.2s,0.4s,0.8s,1.6s,3s,3s"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that may send to loopback."""
    data = tmp_path_factory.mktemp("webhooks") / "data"
    with ServerProcess(data, settings=SETTINGS, args=("--log-level", "debug")) as process:
        yield process


def create(
    server: ServerProcess, kind: str, *webhooks: dict[str, Any], **params: Any
) -> tuple[int, Any]:
    body = {"kind": kind, "params": params, "webhooks": list(webhooks)}
    return server.call("POST", "/api/tasks", body)


async def created(
    server: ServerProcess, kind: str, *webhooks: dict[str, Any], **params: Any
) -> str:
    status, snapshot = await asyncio.to_thread(create, server, kind, *webhooks, **params)
    assert status == 201, snapshot
    task_id: str = snapshot["task_id"]
    return task_id


def cli(*arguments: str, data: Path) -> str:
    command = (sys.executable, "-m", "taskpush", "webhooks", *arguments, "--data", str(data))
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return ran.stdout.strip()


def deliveries(server: ServerProcess, task_id: str) -> list[dict[str, Any]]:
    status, page = server.call("GET", f"/api/tasks/{task_id}/webhooks")
    assert status == 200, page
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_a_receiver_is_told_every_change_of_status_signed(server: ServerProcess) -> None:
    contract = Contract()
    async with receiver() as hook:
        task_id = await created(server, "iterate", {"url": hook.url()}, iterations=3)
        received = await hook.until_count(3)
    assert [got.status for got in received] == ["pending", "running", "completed"]
    log = {event["seq"]: event for event in await asyncio.to_thread(server.log_of, task_id)}
    secret = cli("secret", data=server.data)
    for got in received:
        assert Webhook(secret).verify(got.body, got.headers) == log[got.envelope["seq"]]
        contract.check("webhook_event", got.envelope)
    assert len({got.id for got in received}) == 3


async def test_what_was_chosen_is_sent_in_the_order_of_the_log(server: ServerProcess) -> None:
    async with receiver() as hook:
        wanted = {"url": hook.url(), "events": ["iteration_complete", "log", "status_change"]}
        task_id = await created(server, "iterate", wanted, iterations=30, log_every=3)
        received = await hook.until(lambda got: got[-1:] != [] and _is_final(got[-1]))
    log = await asyncio.to_thread(server.log_of, task_id)
    assert [got.envelope for got in received] == log


async def test_a_receiver_that_fails_is_tried_again_and_misses_nothing(
    server: ServerProcess,
) -> None:
    answers = iter([500, 503, 302, 404, 200, 500])

    async def faltering(_: Received) -> web.StreamResponse:
        return web.Response(status=next(answers, 200))

    async with receiver(faltering) as hook:
        task_id = await created(server, "iterate", {"url": hook.url()}, iterations=1)
        received = await hook.until_count(8)
        assert [got.status for got in received] == ["pending"] * 5 + ["running"] * 2 + ["completed"]
        assert len({got.id for got in received}) == 3
        assert len({got.headers["webhook-timestamp"] for got in received}) >= 1
        (shown,) = await _settled(server, task_id)
    outcomes = [(it["outcome"], it["tries"], it["status"]) for it in shown["deliveries"]]
    assert outcomes == [("taken", 1, 200), ("taken", 2, 200), ("taken", 5, 200)]


async def test_a_server_killed_in_the_middle_loses_nothing_and_keeps_the_order(
    tmp_path: Path,
) -> None:
    """Each event is taken at least once; what comes twice has the id by which that is known."""

    async def slowly(_: Received) -> web.StreamResponse:
        await asyncio.sleep(0.02)  # So that there is something under way when it is killed.
        return web.Response()

    server = ServerProcess(tmp_path / "data", settings=SETTINGS)
    wanted = ["iteration_complete", "status_change"]
    server.start()
    try:
        async with receiver(slowly) as hook:
            hooks = ({"url": hook.url("/a"), "events": wanted}, {"url": hook.url("/b")})
            task_id = await created(server, "iterate", *hooks, iterations=60, pause_s=0.01)
            await asyncio.to_thread(server.wait_over, task_id)
            for count in (12, 25, 40):
                await hook.until_count(count)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await hook.until(lambda got: len({it.id for it in got if it.path == "/a"}) == 63)
            await hook.until(lambda got: len({it.id for it in got if it.path == "/b"}) == 3)
            await _settled(server, task_id)
            received = list(hook.received)
        log = await asyncio.to_thread(server.log_of, task_id)
    finally:
        server.stop()
    at_a = _first_of_each([got for got in received if got.path == "/a"])
    assert [got.envelope for got in at_a] == [it for it in log if it["event_type"] in wanted]
    at_b = _first_of_each([got for got in received if got.path == "/b"])
    assert [got.status for got in at_b] == ["pending", "running", "completed"]


async def test_a_receiver_that_was_away_gets_all_of_it(server: ServerProcess) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook"
    task_id = await created(server, "iterate", {"url": url}, iterations=1)
    await asyncio.to_thread(server.wait_over, task_id)
    async with receiver(port=port) as hook:
        received = await hook.until_count(3)
        assert [got.status for got in received] == ["pending", "running", "completed"]
        (shown,) = await _settled(server, task_id)
    assert shown["deliveries"][-1]["tries"] > 1
    assert shown["deliveries"][-1]["outcome"] == "taken"


async def test_it_can_be_sent_again(server: ServerProcess) -> None:
    async with receiver() as hook:
        task_id = await created(server, "iterate", {"url": hook.url()}, iterations=1)
        await hook.until_count(3)
        await _settled(server, task_id)
        path = f"/api/tasks/{task_id}/webhooks/redeliver"
        assert (await asyncio.to_thread(server.call, "POST", path, {"after": 1}))[0] == 202
        received = await hook.until_count(5)
        assert [got.status for got in received[3:]] == ["running", "completed"]
        assert [got.id for got in received[3:]] == [got.id for got in received[1:3]]
        missing = await asyncio.to_thread(server.call, "POST", path, {"webhook": 1})
        assert (missing[0], missing[1]["code"]) == (404, "not_found")


async def test_a_new_secret_signs_beside_the_one_before(server: ServerProcess) -> None:
    first = cli("secret", data=server.data)
    second = cli("rotate", data=server.data)
    async with receiver() as hook:
        await created(server, "iterate", {"url": hook.url()}, iterations=1)
        for got in await hook.until_count(3):
            for secret in (first, second):
                Webhook(secret).verify(got.body, got.headers)
    cli("retire", data=server.data)
    assert read_secrets(server.data / FILE) == [second]


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data/",
        "http://example.org/hook",
        "https://localhost/hook",
        "https://[::ffff:10.0.0.1]/",
        "ftp://127.0.0.1/",
    ],
)
def test_an_address_that_is_not_allowed_is_refused_at_creation(
    server: ServerProcess, url: str
) -> None:
    status, problem = create(server, "iterate", {"url": url})
    assert (status, problem["code"]) == (422, "webhook_refused")
    assert problem["errors"][0]["loc"] == "webhooks.0.url"


def test_a_name_that_means_this_machine_is_not_connected_to(tmp_path: Path) -> None:
    """`localhost.localdomain` and its like: what a name resolves to is seen when it is used."""
    with ServerProcess(tmp_path / "data", settings={"webhook_waits": ""}) as strict:
        body = {"url": "https://localhost.localdomain:8443/"}
        status, snapshot = create(strict, "iterate", body, iterations=1)
        assert status == 201, snapshot
        strict.wait_over(snapshot["task_id"])
        shown = deliveries(strict, snapshot["task_id"])[0]
        while len(shown["deliveries"]) < 3:
            shown = deliveries(strict, snapshot["task_id"])[0]
    errors = {it["error"] for it in shown["deliveries"]}
    assert errors <= {"the address is not allowed", "the name does not resolve"}
    assert {it["outcome"] for it in shown["deliveries"]} == {"given_up"}


def test_too_many_webhooks_and_unknown_events_are_refused(server: ServerProcess) -> None:
    wrong: tuple[list[dict[str, Any]], ...] = (
        [{"url": "https://example.org/"}] * 6,
        [{"url": "https://example.org/", "events": ["progress"]}],
        [{"url": "https://example.org/", "events": []}],
        [{"url": ""}],
        [{}],
    )
    for hooks in wrong:
        status, problem = create(server, "iterate", *hooks)
        assert (status, problem["code"]) == (422, "invalid_request")


def test_what_others_see_of_a_task_says_nothing_of_its_webhooks(server: ServerProcess) -> None:
    url = "https://hooks.example.invalid/secret-path"
    status, snapshot = create(server, "iterate", {"url": url}, iterations=1)
    assert status == 201
    task_id = snapshot["task_id"]
    server.wait_over(task_id)
    paths = ("", "/events", "/result")
    seen = [server.raw("GET", f"/api/tasks/{task_id}{path}")[2] for path in paths]
    assert b"secret-path" not in b"".join(seen)
    assert deliveries(server, task_id)[0]["url"] == url


def test_nothing_secret_reaches_the_log(server: ServerProcess) -> None:
    """The last test of this server, which has sent all of the above."""
    assert "webhook.delivered" in server.log
    assert "webhook.failed" in server.log
    for secret in (*read_secrets(server.data / FILE), "whsec_", "secret-path"):
        assert secret not in server.log
    assert "Traceback" not in server.log


async def _settled(server: ServerProcess, task_id: str) -> list[dict[str, Any]]:
    """The webhooks once everything up to the head of the log is done with."""
    async with asyncio.timeout(30):
        while True:
            _, snapshot = await asyncio.to_thread(server.call, "GET", f"/api/tasks/{task_id}")
            shown = await asyncio.to_thread(deliveries, server, task_id)
            if all(it["seq"] == snapshot["position"]["seq"] for it in shown):
                return shown
            await asyncio.sleep(0.02)  # Another process: there is nothing to await.


def _is_final(got: Received) -> bool:
    return got.envelope["data"].get("final") is True


def _first_of_each(received: list[Received]) -> list[Received]:
    """As a receiver does that knows the ids it has seen."""
    seen: dict[str, Received] = {}
    for got in received:
        seen.setdefault(got.id, got)
    return list(seen.values())
