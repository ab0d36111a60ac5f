"""Who may: every kind of credential, at every door of a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskpush.access.principal import Role
from taskpush.client import AsyncClient, Client, RequestRefused
from tests.support.doors import DOORS, REPORTING
from tests.support.issuer import Issuer
from tests.support.keys import Keys, secret_part
from tests.support.knocking import knocking, refusal
from tests.support.server import ServerProcess
from tests.support.stream import raw_stream

NOBODYS = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


@pytest.fixture(scope="module")
def server(guarded_server: ServerProcess) -> ServerProcess:
    return guarded_server


@pytest.fixture(scope="module")
def bob(keys: Keys) -> str:
    return keys.make("bob")


def test_no_door_under_api_is_left_out(server: ServerProcess) -> None:
    document = server.call("GET", "/openapi.json")[1]
    served = {
        (
            method.upper(),
            path.replace("{task_id}", "{task}")
            .replace("{name}", "a.txt")
            .replace("{token_id}", "{token}")
            .replace("{upload_id}", "{upload}"),
        )
        for path, methods in document["paths"].items()
        if path.startswith("/api/")
        for method in methods
    }
    assert served == set(DOORS)


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_nobody_comes_in_without_a_credential(
    server: ServerProcess, method: str, path: str, issuer: Issuer
) -> None:
    path = path.format(task=NOBODYS, upload=NOBODYS, token="A" * 22)
    body = {"kind": "iterate", "params": {}} if method == "POST" else None
    unknown = ("tpk_0123456789abcdef_" + "A" * 43, "nonsense", issuer.token(kid="two"))
    for credential in (None, *unknown):
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
        assert refusal(answer) == "credential_in_address"


@pytest.mark.parametrize("credential", ["key", "jwt"])
async def test_each_credential_opens_every_door(
    server: ServerProcess, ann: str, credential: str, issuer: Issuer
) -> None:
    shown = ann if credential == "key" else issuer.token(sub="ann")
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
            assert refusal(answer) == "unauthenticated"
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
    for method, path in DOORS:
        if "{task}" in path:
            foreign = server.raw(method, path.format(task=task_id, upload=NOBODYS), token=bob)
            unknown = server.raw(method, path.format(task=NOBODYS, upload=NOBODYS), token=bob)
            assert foreign == unknown
            assert foreign[0] == (422 if (method, path) in REPORTING else 404)
    assert server.call("GET", "/api/tasks", token=bob)[1]["items"] == []
    assert server.call("GET", "/api/feed", token=bob)[1]["tasks"] == []
    assert server.call("GET", "/api/stats", token=bob)[1]["days"] == []
    async with knocking(server, {"token": bob}) as (socket, _):
        await socket.event()
        for task in (task_id, NOBODYS):
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
        (reader, "POST", f"/api/tasks/{NOBODYS}/cancel", 403),
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
    assert "Traceback" not in log, log
