"""The load: tasks that come, report and end, and watchers that come, check and go."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

import aiohttp

from tests.support.polling import polling_socket
from tests.support.server import ServerProcess
from tests.support.watcher import Watcher, raw_socket

CANCELLED_SHARE = 0.3


@dataclass
class Tally:
    """What was done so far."""

    created: int = 0
    cancelled: int = 0
    watches: int = 0
    events: int = 0


class Load:
    """`tasks` at any time, of 5 logged events a second each, and `watchers` of one of them each."""

    def __init__(
        self,
        server: ServerProcess,
        *,
        tasks: int,
        watchers: int,
        polling_share: float,
        chance: random.Random,
    ) -> None:
        self._server = server
        self._chance = chance
        self._watchers = watchers
        self._polling_share = polling_share
        # The task in each place; an empty id until the first one was created.
        self._task_ids = [""] * tasks
        self.tally = Tally()

    async def run(self) -> None:
        """Keep the load up, until cancelled; raises when a watcher misses an event."""
        # A connection that is kept may be closed by the server just as it is used again.
        each_its_own = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(self._server.url, connector=each_its_own) as http,
            asyncio.TaskGroup() as group,
        ):
            for place in range(len(self._task_ids)):
                group.create_task(self._keep_a_task(http, place))
            for _ in range(self._watchers):
                group.create_task(self._keep_watching())

    async def _keep_a_task(self, http: aiohttp.ClientSession, place: int) -> None:
        while True:
            seconds = self._chance.uniform(5, 30)
            params = {"iterations": int(seconds * 5), "pause_s": 0.2}
            async with http.post("/api/tasks", json={"kind": "iterate", "params": params}) as made:
                assert made.status == 201, await made.text()
                task_id = self._task_ids[place] = (await made.json())["task_id"]
            self.tally.created += 1
            if self._chance.random() < CANCELLED_SHARE:
                await asyncio.sleep(self._chance.uniform(0, seconds / 2))
                async with http.post(f"/api/tasks/{task_id}/cancel") as asked:
                    assert asked.status == 202, await asked.text()
                self.tally.cancelled += 1
            else:
                await asyncio.sleep(seconds)

    async def _keep_watching(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0, 2))
            task_id = self._chance.choice(self._task_ids)
            if task_id:
                await self._watch(task_id, for_s=self._chance.uniform(4, 20))

    async def _watch(self, task_id: str, *, for_s: float) -> None:
        """Watch from the start, for a while, and check that no event was missing."""
        polling = self._chance.random() < self._polling_share
        watcher = Watcher(
            self._server.port, [task_id], door=polling_socket if polling else raw_socket
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await watcher.run()
        seqs = [e["seq"] for e in watcher.received[task_id] if e["seq"] is not None]
        assert seqs == list(range(1, len(seqs) + 1)), seqs
        assert watcher.errors == []
        self.tally.watches += 1
        self.tally.events += len(watcher.received[task_id])
