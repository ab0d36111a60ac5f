"""What a credential has opened ends with it, at every door of a real server."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import orjson
import pytest

from taskpush.client import AsyncClient, RequestRefused
from tests.support.issuer import Issuer
from tests.support.keys import ENDED_WITHIN_S, Keys, secret_part
from tests.support.knocking import knocking
from tests.support.server import ServerProcess
from tests.support.stream import raw_stream


@pytest.fixture(scope="module")
def server(guarded_server: ServerProcess) -> ServerProcess:
    return guarded_server


async def _opened(server: ServerProcess, shown: str) -> tuple[str, list[asyncio.Task[float]]]:
    """A task that runs, and what watches it: each ends with the seconds that it stayed open."""
    task_id: str = server.call("POST", "/api/tasks", {"kind": "sleep", "params": {}}, token=shown)[
        1
    ]["task_id"]
    ready = asyncio.Event()

    async def socket() -> float:
        async with knocking(server, {"token": shown}) as (socket, _):
            await socket.event()
            await socket.emit("subscribe", {"task_id": task_id}, ack=1)
            await socket.event()
            ready.set()
            began = time.monotonic()
            said: list[str] = []
            while not said or not said[-1].startswith("41"):
                said.append(await socket.packet())
            assert orjson.loads(said[-2].removeprefix("42/tasks,")) == [
                "error",
                {"code": "access_ended", "message": "The credential has expired or was revoked"},
            ]
            assert said[-1] == "41/tasks,"
            return time.monotonic() - began

    async def stream(path: str) -> float:
        began = time.monotonic()
        async with raw_stream(server.port, path, authorization=f"Bearer {shown}") as stream:
            last = (await stream.events())[-1]
        assert (last.name, last.data["code"]) == ("error", "access_ended")
        return time.monotonic() - began

    async def poll(path: str) -> float:
        began = time.monotonic()
        while True:
            status, page = await asyncio.to_thread(server.call, "GET", path, token=shown)
            if status != 200:
                assert (status, page["code"]) == (401, "access_ended")
                return time.monotonic() - began
            at = page.get("cursor") or "{epoch}:{seq}".format(**page["position"])
            path = f"{path.partition('&after')[0]}&after={at}"

    watching = [
        asyncio.create_task(socket()),
        asyncio.create_task(stream(f"/api/tasks/{task_id}/stream")),
        asyncio.create_task(stream("/api/stream")),
        asyncio.create_task(poll(f"/api/tasks/{task_id}/events?wait_s=60")),
        asyncio.create_task(poll("/api/feed?wait_s=60")),
    ]
    await asyncio.wait_for(ready.wait(), 20)
    return task_id, watching


async def test_a_revoked_key_ends_what_it_opened_and_nothing_else(
    server: ServerProcess, keys: Keys
) -> None:
    shown, other = keys.make("leaver"), keys.make("stayer", owner="leaver")
    task_id, watching = await _opened(server, shown)
    async with raw_stream(
        server.port, f"/api/tasks/{task_id}/stream", authorization=f"Bearer {other}"
    ) as stays:
        keys.revoke("leaver")
        assert max(await asyncio.gather(*watching)) < ENDED_WITHIN_S
        server.call("POST", f"/api/tasks/{task_id}/cancel", token=other)
        assert (await stays.events())[-1].data["data"]["final"]
    assert server.call("GET", "/api/tasks", token=shown)[1]["code"] == "access_ended"


async def test_an_expired_token_ends_what_it_opened(server: ServerProcess, issuer: Issuer) -> None:
    shown = issuer.token(sub="visitor", exp=time.time() + 4)
    task_id, watching = await _opened(server, shown)
    assert max(await asyncio.gather(*watching)) < ENDED_WITHIN_S
    status, _ = server.call(
        "POST", f"/api/tasks/{task_id}/cancel", token=issuer.token(sub="visitor")
    )
    assert status == 202


async def test_a_connection_goes_on_by_a_token_whose_issuer_counts_milliseconds(
    server: ServerProcess, issuer: Issuer
) -> None:
    async with knocking(server, {"token": issuer.token(sub="visitor")}) as (socket, _):
        await socket.event()
        late = issuer.token(sub="visitor", exp=int(time.time() + 600) * 1000)
        await socket.emit("authenticate", {"token": late}, ack=1)
        assert (await socket.event())[1] == {"ok": True, "expires_at": "9999-12-31T00:00:00+00:00"}


async def test_the_issuers_keys_are_rotated_in_flight(
    server: ServerProcess, issuer: Issuer
) -> None:
    before = issuer.token(sub="rotator")
    assert server.call("GET", "/api/tasks", token=before)[0] == 200
    await asyncio.to_thread(issuer.add_key, "two")
    after = issuer.token(key="two", roles="read", sub="rotator")
    deadline = time.monotonic() + 20
    async with knocking(server, {"token": before}) as (socket, answer):
        assert answer.startswith('40/tasks,{"sid"')
        while server.call("GET", "/api/tasks", token=after)[0] != 200:
            # Unknown keys are asked for every 15 s at most, and others asked before.
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        await socket.event()
        await socket.emit("subscribe", {"feed": "all"}, ack=1)
        assert (await socket.event())[1]["ok"]
    assert server.call("GET", "/api/tasks", token=before)[0] == 200


async def test_a_python_client_whose_key_is_revoked_is_told_and_one_with_another_goes_on(
    server: ServerProcess, keys: Keys
) -> None:
    tokens = [keys.make("old", owner="mover"), keys.make("new", owner="mover")]

    async def watched(client: AsyncClient, task_id: str, begun: asyncio.Event) -> list[Any]:
        seen = []
        async for event in client.watch(task_id):
            begun.set()
            seen.append(event)
        return seen

    present = tokens[0]
    async with (
        AsyncClient(server.url, token=lambda: present) as moves,
        AsyncClient(server.url, token=tokens[0]) as stays,
    ):
        task = await moves.create_task("sleep", {"seconds": 600})
        begun = [asyncio.Event(), asyncio.Event()]
        goes_on = asyncio.create_task(watched(moves, task.task_id, begun[0]))
        ends = asyncio.create_task(watched(stays, task.task_id, begun[1]))
        await asyncio.gather(*(each.wait() for each in begun))
        present = tokens[1]
        keys.revoke("old")
        with pytest.raises(RequestRefused) as refused:
            await ends
        assert refused.value.code == "access_ended"
        await moves.cancel(task.task_id)
        assert (await goes_on)[-1].data["status"] == "cancelled"


def test_no_credential_reaches_the_log(server: ServerProcess, ann: str) -> None:
    """The last test: everything above was shown to this server."""
    log = server.log
    assert "access.refused" in log
    assert secret_part(ann) not in log
    assert not re.search(r"eyJ[\w-]+\.eyJ", log)
    assert "Traceback" not in log, log
