"""Promise 4: whatever owners and tenants do, nothing of one reaches another, by any door."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from taskpush.access.principal import Role
from tests.support.keys import Keys
from tests.support.knocking import knocking
from tests.support.server import ServerProcess
from tests.support.watcher import RawSocket

PARTIES: Final = [("acme", "ann"), ("acme", "bob"), ("zeta", "ann")]
"""Two owners of one tenant, and one of another by the name of the first."""
MAX_OWN: Final = 400
FEEDS: Final = ["all", "owner:me", "kind:leaky", "tag:shared"]


class Party:
    """One owner, who also tries what it should not; and everything that it was told."""

    def __init__(
        self, number: int, key: str, server: ServerProcess, http: aiohttp.ClientSession
    ) -> None:
        self.number = number
        self.key = key
        self.tasks: list[str] = []
        # Which parties' canaries it was told of, and whose titles.
        self.told_of: set[int] = set()
        self.titles_of: set[int] = set()
        self.answers: dict[int, int] = {}
        self.cursors: list[str] = []
        self._server = server
        self._http = http
        self._random = random.Random(number)
        self._made = 0

    @property
    def canary(self) -> str:
        """Another one each time."""
        self._made += 1
        return f"canary-{self.number}-{self._made}"

    def hear(self, said: str) -> None:
        """Note whose canaries are in what it was told."""
        self.told_of.update(int(number) for number in re.findall(r"canary-(\d)-", said))
        self.titles_of.update(int(number) for number in re.findall(r"title-(\d)-", said))

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One call, whatever the answer; the JSON of it, or None."""
        shown = {"Authorization": f"Bearer {self.key}", **headers}
        async with self._http.request(
            method, self._server.url + path, json=body, headers=shown
        ) as answer:
            said = await answer.text()
            self.hear(said + str(answer.headers))
            self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
            return await answer.json() if "json" in answer.content_type else None

    async def create(self, task_id: str | None = None) -> None:
        pick = self._random
        body = {
            "kind": "leaky",
            "params": {
                "canary": self.canary,
                "secret": pick.choice(["", self.canary]),
                "seconds": pick.choice([0, 0, 0.02, 1]),
                "fails": pick.random() < 0.2,
            },
            "title": f"title-{self.number}-",
            "tags": ["shared"],
            "metadata": {"note": self.canary},
            **({} if task_id is None else {"task_id": task_id}),
        }
        # The same keys for everybody: they belong to their owners.
        headers = {"Idempotency-Key": f"k{self._made}"} if pick.random() < 0.3 else {}
        answer = await self.call("POST", "/api/tasks", body, **headers)
        if "task_id" in answer and len(self.tasks) < MAX_OWN:
            self.tasks.append(answer["task_id"])

    async def watch(self, others: Callable[[], str | None]) -> None:
        """Follow feeds and tasks, one's own and others', until cancelled."""
        while True:
            try:
                async with knocking(self._server, {"token": self.key}) as (socket, _):
                    await self._follow(socket, others)
            except (OSError, ConnectionClosed):
                await asyncio.sleep(0.05)

    async def _follow(self, socket: RawSocket, others: Callable[[], str | None]) -> None:
        for feed in FEEDS:
            await socket.emit("subscribe", {"feed": feed})
        heard = 0
        while True:
            self.hear(await socket.packet())
            heard += 1
            if heard % 20 == 0:
                task_id = others()
                if task_id is not None:
                    await socket.emit("subscribe", {"task_id": task_id, "previews": True}, ack=1)
                    await socket.emit("cancel", {"task_id": task_id}, ack=2)
                    await socket.emit("unsubscribe", {"task_id": task_id}, ack=3)


def _operations(
    me: Party, somebodys: Callable[[], str], cursors: Callable[[], str]
) -> list[Callable[[], Awaitable[Any]]]:
    """What a party may try, each with any task of anybody's."""

    async def read_by_token() -> None:
        task_id = somebodys()
        rights = {"rights": ["read", "control"], "ttl_s": 60}
        asked = [{"task_id": task_id}, {"tag": "shared"}, {"feed": "kind:leaky"}]
        minted = await me.call("POST", "/api/tokens", random.choice(asked) | rights)
        own, me.key = me.key, minted["token"]
        try:
            await me.call("GET", f"/api/tasks/{task_id}")
            await me.call("GET", "/api/tasks?limit=20")
        finally:
            me.key = own

    def on(method: str, path: str) -> Callable[[], Awaitable[Any]]:
        return lambda: me.call(
            method, path.format(task=somebodys(), cursor=cursors(), n=random.randrange(3))
        )

    async def follow() -> None:
        page = await me.call("GET", f"/api/feed?feed={random.choice(FEEDS)}&limit=20")
        me.cursors.append(page["cursor"])

    return [
        *[me.create] * 6,
        lambda: me.create(somebodys()),
        read_by_token,
        follow,
        on("GET", "/api/tasks/{task}"),
        on("GET", "/api/tasks/{task}/events"),
        on("GET", "/api/tasks/{task}/events?wait_s=0.05"),
        on("GET", "/api/tasks/{task}/result"),
        on("GET", "/api/tasks/{task}/artifacts"),
        on("GET", "/api/tasks/{task}/artifacts/note.txt"),
        on("GET", "/api/tasks?limit=50"),
        on("GET", "/api/tasks?q=canary-{n}"),
        on("GET", "/api/tasks?tag=shared&kind=leaky&limit=50"),
        on("GET", "/api/feed?after={cursor}"),
        on("GET", "/api/queue?limit=50"),
        on("GET", "/api/stats"),
        on("POST", "/api/tasks/{task}/cancel"),
        on("POST", "/api/tasks/{task}/retry"),
        on("DELETE", "/api/tasks/{task}"),
    ]


async def _live(server: ServerProcess, keys: Keys, operations: int) -> None:
    made = [keys.make(f"{tenant}-{owner}", owner=owner, tenant=tenant) for tenant, owner in PARTIES]
    async with aiohttp.ClientSession() as http:
        parties = [Party(number, key, server, http) for number, key in enumerate(made)]
        pick = random.Random(operations)
        unused = str(UUID(int=pick.getrandbits(128)))

        def somebodys() -> str:
            return pick.choice(pick.choice(parties).tasks or [unused])

        def cursors() -> str:
            return pick.choice(pick.choice(parties).cursors or ["none"])

        async def act(party: Party) -> None:
            choices = _operations(party, somebodys, cursors)
            for _ in range(operations // len(parties)):
                await pick.choice(choices)()

        watching = [asyncio.create_task(party.watch(somebodys)) for party in parties]
        await asyncio.gather(*map(act, parties))
        for watcher in watching:
            assert not watcher.done(), watcher.exception()
            watcher.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for party in parties:
            assert party.told_of == {party.number}
            # The kind's queue shows titles, within a tenant.
            tenant = PARTIES[party.number][0]
            assert all(PARTIES[number][0] == tenant for number in party.titles_of)
            assert party.number in party.titles_of
            assert not any(status >= 500 for status in party.answers if status != 503)
            # It did get through to its own, and was turned away from others'.
            assert party.answers[200] > operations / 20
            assert party.answers[404] > operations / 40
        admin = Party(9, keys.make("acme-admin", Role.ADMIN, tenant="acme"), server, http)
        # All of them: any single one may have been deleted by its owner.
        for task_id in [task_id for party in parties for task_id in party.tasks]:
            await admin.call("GET", f"/api/tasks/{task_id}")
            await admin.call("GET", f"/api/tasks/{task_id}/events")
        await admin.call("GET", "/api/tasks?limit=200")
        assert admin.told_of == {0, 1}
    for number in range(len(PARTIES)):
        assert f"canary-{number}-" not in _log_but_for_errors(server)
    assert "Traceback" not in re.sub(r"handler\.raised.*\n(?:(?!\d{4}-).*\n)*", "", server.log)


def _log_but_for_errors(server: ServerProcess) -> str:
    """The log without what handlers raised, which operators are told as it is."""
    return re.sub(r"[^\n]*handler\.raised.*\n(?:(?!\d{4}-).*\n)*", "", server.log)


async def test_nothing_crosses_between_owners_and_tenants(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        await _live(server, Keys(server.data), 1500)


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_nothing_crosses_in_ten_thousand_operations(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        await _live(server, Keys(server.data), 10_000)
