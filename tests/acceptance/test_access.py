"""Who may: every kind of credential, at every door of a real server."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect

from taskpush.access.keys import create_key, revoke_key
from taskpush.access.principal import OWNERS_ROLES, Role
from taskpush.client import AsyncClient, Client, RequestRefused
from tests.access.signing import AUDIENCE, ISSUER, jwk, jwks, rsa_key, token
from tests.support.doors import DOORS, REPORTING
from tests.support.keys import secret_part
from tests.support.server import ROOT, ServerProcess
from tests.support.stream import raw_stream
from tests.support.watcher import RawSocket

ENDED_WITHIN_S = 12
"""A look around takes place every 5 s; the promise is 30 s."""


class Keys:
    """The API keys of a server."""

    def __init__(self, data: Path) -> None:
        self.path = data / "keys.json"

    def make(self, name: str, *roles: Role, owner: str | None = None, tenant: str = "acme") -> str:
        return create_key(
            self.path,
            name,
            roles=roles or OWNERS_ROLES,
            owner=owner or name,
            tenant=tenant,
            now=time.time(),
        )

    def revoke(self, name: str) -> None:
        revoke_key(self.path, name, now=time.time())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access") / "data"


@pytest.fixture(scope="module")
def keys(data: Path) -> Keys:
    return Keys(data)


RSA, NEXT_RSA = rsa_key(), rsa_key()


@pytest.fixture(scope="module")
def jwks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("issuer") / "jwks.json"
    path.write_bytes(jwks(jwk(RSA, "one")))
    return path


@pytest.fixture(scope="module")
def server(data: Path, keys: Keys, jwks_file: Path) -> Iterator[ServerProcess]:
    """A server with API keys and an issuer's tokens, that the module's tests share."""
    keys.make("first")
    settings = {
        "jwt_algorithms": "RS256",
        "jwt_jwks": str(jwks_file),
        "jwt_audience": AUDIENCE,
        "jwt_issuer": ISSUER,
        "jwt_roles_claim": "roles",
        "jwt_tenant_claim": "org",
        "jwt_leeway_s": "0",
    }
    process = ServerProcess(data, settings=settings)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def by_jwt(**changes: Any) -> str:
    said: dict[str, Any] = {"roles": "create read control", "org": "acme", "kid": "one"}
    return token(RSA, "RS256", **(said | changes))


@pytest.fixture(scope="module")
def ann(keys: Keys) -> str:
    return keys.make("ann")


@pytest.fixture(scope="module")
def bob(keys: Keys) -> str:
    return keys.make("bob")


@asynccontextmanager
async def knocking(
    server: ServerProcess, auth: Any = None, header: str | None = None, query: str = ""
) -> AsyncIterator[tuple[RawSocket, str]]:
    """A socket that has asked for the namespace, and the packet it was answered with."""
    headers = {} if header is None else {"Authorization": header}
    async with connect(
        f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket{query}",
        compression=None,
        ping_interval=None,
        proxy=None,
        additional_headers=headers,
        open_timeout=20,
    ) as ws:
        try:
            socket = RawSocket(ws)
            await ws.recv()
            await ws.send(f"40/tasks,{'' if auth is None else orjson.dumps(auth).decode()}")
            yield socket, await socket.packet()
        finally:
            ws.transport.abort()


def _refusal(packet: str) -> str:
    assert packet.startswith("44/tasks,"), packet
    code: str = orjson.loads(packet.removeprefix("44/tasks,"))["data"]["code"]
    return code


def test_no_door_under_api_is_left_out(server: ServerProcess) -> None:
    document = server.call("GET", "/openapi.json")[1]
    served = {
        (
            method.upper(),
            path.replace("{task_id}", "{task}")
            .replace("{name}", "a.txt")
            .replace("{token_id}", "{token}"),
        )
        for path, methods in document["paths"].items()
        if path.startswith("/api/")
        for method in methods
    }
    assert served == set(DOORS)


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_nobody_comes_in_without_a_credential(
    server: ServerProcess, method: str, path: str
) -> None:
    path = path.format(task="0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f", token="A" * 22)
    body = {"kind": "iterate", "params": {}} if method == "POST" else None
    for credential in (None, "tpk_0123456789abcdef_" + "A" * 43, "nonsense", by_jwt(kid="two")):
        status, problem = server.call(method, path, body, token=credential)
        assert (status, problem["code"]) == (401, "unauthenticated")
        if method == "GET":
            assert server.raw("HEAD", path, token=credential)[0] == 401


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/batch", "/api/tokens"])
def test_nothing_is_parsed_of_whom_nobody_knows(server: ServerProcess, path: str) -> None:
    for body in (b"{", b"[" * 100_000, b'{"kind": NaN}'):
        assert server.call("POST", path, raw=body)[0] == 401


def test_what_is_for_everybody_stays_so(server: ServerProcess) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/asyncapi.json"):
        assert server.call("GET", path)[0] == 200


def test_a_401_says_what_it_wants(server: ServerProcess) -> None:
    _, headers, _ = server.raw("GET", "/api/tasks")
    assert headers["www-authenticate"] == 'Bearer realm="taskpush"'


@pytest.mark.parametrize(
    "query",
    [
        "token=x",
        "access_token=x",
        "TOKEN=x",
        "%74o%6ben=x",
        "token",
        "id_token=x",
        "q=tpk_0123456789abcdef_x",
        "q=%74pk%5f0123456789abcdef_x",
        "q=eyJhbGci.eyJzdWIi.x",
        "q=Bearer+eyJhbGci%2eeyJzdWIi.x",
    ],
)
async def test_a_credential_in_the_address_is_refused_and_not_logged(
    server: ServerProcess, ann: str, query: str
) -> None:
    status, problem = server.call("GET", f"/api/tasks?{query}", token=ann)
    assert (status, problem["code"]) == (400, "credential_in_address")
    async with knocking(server, {"token": ann}, query=f"&{query}") as (_, answer):
        assert _refusal(answer) == "credential_in_address"


@pytest.mark.parametrize("credential", ["key", "jwt"])
async def test_each_credential_opens_every_door(
    server: ServerProcess, ann: str, credential: str
) -> None:
    shown = ann if credential == "key" else by_jwt(sub="ann")
    status, task = server.call(
        "POST", "/api/tasks", {"kind": "iterate", "params": {"iterations": 2}}, token=shown
    )
    assert (status, task["owner"]) == (201, "ann")
    task_id = task["task_id"]
    for path in ("", "/events", "/artifacts"):
        assert server.call("GET", f"/api/tasks/{task_id}{path}", token=shown)[0] == 200
    async with raw_stream(
        server.port, f"/api/tasks/{task_id}/stream", authorization=f"bearer {shown}"
    ) as stream:
        assert stream.status == 200
        assert (await stream.events())[-1].data["data"]["final"]
    for given in ({"auth": {"token": shown}}, {"header": f"Bearer {shown}"}):
        async with knocking(server, **given) as (socket, answer):
            assert answer.startswith('40/tasks,{"sid"')
            await socket.event()
            await socket.emit("subscribe", {"task_id": task_id}, ack=1)
            assert (await socket.event())[1]["mode"] == "replay"


async def test_a_socket_without_a_good_credential_is_refused_and_may_try_three_times(
    server: ServerProcess, ann: str
) -> None:
    for given in ({}, {"auth": {"token": "x"}}, {"auth": {"token": 7}}, {"header": "Basic eDp5"}):
        async with knocking(server, **given) as (_, answer):
            assert _refusal(answer) == "unauthenticated"
    async with knocking(server, {"token": "x"}) as (socket, answer):
        await socket.ws.send(f'40/tasks,{{"token":"{ann}"}}')
        assert (await socket.packet()).startswith('40/tasks,{"sid"')
    async with knocking(server, {"token": "x"}) as (socket, answer):
        for _ in range(3):
            await socket.ws.send('40/tasks,{"token":"x"}')
        await socket.ws.wait_closed()
        assert socket.ws.close_code == 1012


async def test_another_owners_task_does_not_exist_in_any_door(
    server: ServerProcess, ann: str, bob: str
) -> None:
    task_id = server.call(
        "POST", "/api/tasks", {"kind": "iterate", "params": {"iterations": 1}}, token=ann
    )[1]["task_id"]
    nobodys = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
    for method, path in DOORS:
        if "{task}" in path:
            foreign = server.raw(method, path.format(task=task_id), token=bob)
            unknown = server.raw(method, path.format(task=nobodys), token=bob)
            assert foreign == unknown
            assert foreign[0] == (422 if (method, path) in REPORTING else 404)
    assert server.call("GET", "/api/tasks", token=bob)[1]["items"] == []
    assert server.call("GET", "/api/feed", token=bob)[1]["tasks"] == []
    assert server.call("GET", "/api/stats", token=bob)[1]["days"] == []
    async with knocking(server, {"token": bob}) as (socket, _):
        await socket.event()
        for task in (task_id, nobodys):
            await socket.emit("subscribe", {"task_id": task}, ack=1)
            answer = (await socket.event())[1]
            assert answer.pop("task_id") == task
            assert answer == {
                "ok": True,
                "mode": "pending",
                "position": {"epoch": "", "seq": 0},
                "snapshot": None,
            }
            await socket.event()
            await socket.emit("cancel", {"task_id": task}, ack=2)
            assert (await socket.event())[1]["code"] == "not_found"
            await socket.event()


async def test_roles_say_what_may_be_done(server: ServerProcess, keys: Keys, ann: str) -> None:
    reader = keys.make("anns-reader", Role.READ, owner="ann")
    maker = keys.make("anns-maker", Role.CREATE, owner="ann")
    admin = keys.make("admin", Role.ADMIN)
    create = {"kind": "sleep", "params": {}}
    status, task = server.call("POST", "/api/tasks", create, token=maker)
    assert status == 201
    path = f"/api/tasks/{task['task_id']}"
    for who, method, where, expected in (
        (reader, "GET", path, 200),
        (reader, "POST", f"{path}/cancel", 403),
        (reader, "POST", "/api/tasks/0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f/cancel", 403),
        (reader, "DELETE", path, 403),
        (reader, "POST", "/api/tasks", 403),
        (maker, "GET", path, 403),
        (maker, "GET", "/api/tasks", 403),
        (maker, "GET", "/api/feed", 403),
        (maker, "GET", "/api/stream", 403),
        (maker, "GET", "/api/stats", 403),
        (admin, "GET", path, 200),
        (admin, "POST", f"{path}/cancel", 202),
    ):
        body = create if where == "/api/tasks" and method == "POST" else None
        status, answer = server.call(method, where, body, token=who)
        assert status == expected, (method, where, answer)
        assert status != 403 or answer["code"] == "forbidden"
    listed = server.call("GET", "/api/tasks", token=admin)[1]["items"]
    assert {"ann"} <= {each["owner"] for each in listed}
    other = keys.make("other-admin", Role.ADMIN, tenant="other")
    assert server.call("GET", path, token=other)[0] == 404
    assert server.call("GET", "/api/tasks", token=other)[1]["items"] == []
    async with knocking(server, {"token": maker}) as (socket, _):
        await socket.event()
        await socket.emit("subscribe", {"task_id": task["task_id"]}, ack=1)
        assert (await socket.event())[1]["code"] == "forbidden"
        await socket.event()
        await socket.emit("subscribe", {"feed": "all"}, ack=1)
        assert (await socket.event())[1]["code"] == "forbidden"


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


async def test_an_expired_token_ends_what_it_opened(server: ServerProcess) -> None:
    shown = by_jwt(sub="visitor", exp=time.time() + 4)
    task_id, watching = await _opened(server, shown)
    assert max(await asyncio.gather(*watching)) < ENDED_WITHIN_S
    status, _ = server.call("POST", f"/api/tasks/{task_id}/cancel", token=by_jwt(sub="visitor"))
    assert status == 202


async def test_a_connection_goes_on_by_a_token_whose_issuer_counts_milliseconds(
    server: ServerProcess,
) -> None:
    async with knocking(server, {"token": by_jwt(sub="visitor")}) as (socket, _):
        await socket.event()
        late = by_jwt(sub="visitor", exp=int(time.time() + 600) * 1000)
        await socket.emit("authenticate", {"token": late}, ack=1)
        assert (await socket.event())[1] == {"ok": True, "expires_at": "9999-12-31T00:00:00+00:00"}


async def test_the_issuers_keys_are_rotated_in_flight(
    server: ServerProcess, jwks_file: Path
) -> None:
    before = by_jwt(sub="rotator")
    assert server.call("GET", "/api/tasks", token=before)[0] == 200
    rotated = jwks(jwk(RSA, "one"), jwk(NEXT_RSA, "two"))
    await asyncio.to_thread(jwks_file.write_bytes, rotated)
    after = token(NEXT_RSA, "RS256", kid="two", roles="read", org="acme", sub="rotator")
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


async def test_clients_in_python_show_their_token(server: ServerProcess, ann: str) -> None:
    async with AsyncClient(server.url, token=lambda: ann) as client:
        task = await client.create_task("iterate", {"iterations": 3})
        events = [event async for event in client.watch(task.task_id)]
        assert events[-1].data["final"]
    with Client(server.url, token="wrong") as plain:
        with pytest.raises(RequestRefused) as refused:
            plain.list_tasks().__next__()
        assert refused.value.code == "unauthenticated"
        with pytest.raises(RequestRefused) as refused:
            plain.connect()
        assert refused.value.code == "unauthenticated"


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


def _cli(*words: str, data: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskpush", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TASKPUSH_DATA": str(data), **env},
    )


def test_keys_are_made_listed_used_and_revoked_on_the_command_line(
    server: ServerProcess, data: Path
) -> None:
    made = _cli(
        *("keys", "create", "shell", "--role", "create", "--role", "read"),
        *("--owner", "sue", "--tenant", "acme", "--expires", "1h"),
        data=data,
    )
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert re.fullmatch(r"tpk_[0-9a-f]{16}_[\w-]{43}", key)
    listed = _cli("keys", "list", "--json-lines", data=data)
    shell = [
        line for line in map(orjson.loads, listed.stdout.splitlines()) if line["owner"] == "sue"
    ]
    assert [(each["name"], each["state"], each["roles"]) for each in shell] == [
        ("shell", "in use", ["create", "read"])
    ]
    assert secret_part(key) not in listed.stdout
    asked = ("list", "--server", server.url)
    assert _cli(*asked, data=data, TASKPUSH_TOKEN=key).returncode == 0
    assert _cli("kinds", "--server", server.url, "--token", key, data=data).returncode == 0
    assert _cli("keys", "revoke", "shell", data=data).returncode == 0
    ended = _cli(*asked, data=data, TASKPUSH_TOKEN=key)
    assert (ended.returncode, "access_ended" in ended.stderr) == (6, True)
    assert _cli("keys", "revoke", "shell", data=data).returncode == 6
    assert _cli("keys", "create", "x", "--role", "king", data=data).returncode == 2


def test_who_is_refused_over_and_over_does_not_fill_the_log(server: ServerProcess) -> None:
    before = len(server.log)
    for number in range(200):
        assert server.call("GET", "/api/tasks", token=f"no key {number}")[0] == 401
    lines = server.log[before:].splitlines()
    assert sum(" access.refused " in line for line in lines) <= 10
    assert sum(" refusals.untold " in line for line in lines) <= 10


def test_no_credential_reaches_the_log(
    server: ServerProcess, data: Path, ann: str, bob: str
) -> None:
    """The last test: everything above was shown to this server."""
    log = server.log
    assert "access.refused" in log
    for secret in (ann, bob):
        assert secret_part(secret) not in log
    # A JWT: an id may hold "eyJ" by chance, but not two parts that begin so.
    assert not re.search(r"eyJ[\w-]+\.eyJ", log)
    assert "Traceback" not in log


def test_a_server_that_runs_asks_who_it_is_from_the_first_key_on(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        assert server.call("GET", "/api/tasks")[0] == 200
        assert "this machine only, without login" in server.log
        key = Keys(server.data).make("first", tenant="local", owner="local")
        assert server.call("GET", "/api/tasks")[1]["code"] == "unauthenticated"
        assert server.call("GET", "/api/tasks", token=key)[0] == 200


def test_beyond_loopback_a_server_with_keys_starts_and_one_without_does_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    refused = _cli(
        "serve", "tests.support.kinds:push", "--host", "0.0.0.0", "--port", "0", data=data
    )
    assert refused.returncode == 2
    assert "taskpush keys create" in refused.stderr
    Keys(data).make("first")
    with ServerProcess(data, args=("--host", "0.0.0.0")) as server:
        assert "API keys" in server.log
        assert server.call("GET", "/api/tasks")[0] == 401
