"""Every 201 is worth something: creates from many sides, with kill -9 in between."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import requests

from tests.support.server import ServerProcess

SIDES = 8


class _Creators:
    """Clients that create tasks, each with a key of its own, and repeat what was not answered."""

    def __init__(self, server: ServerProcess, count: int) -> None:
        self.answered: dict[str, str] = {}
        self.repeated = 0
        self._server = server
        self._left = iter(range(count))
        self._lock = threading.Condition()

    def run(self) -> None:
        while True:
            with self._lock:
                if next(self._left, None) is None:
                    return
            key = str(uuid4())
            while (task_id := self._create(key)) is None:
                with self._lock:
                    self.repeated += 1
            with self._lock:
                self.answered[key] = task_id
                self._lock.notify_all()

    def wait_for(self, count: int) -> None:
        """Until so many creates were answered."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.answered) >= count, timeout=60)

    def _create(self, key: str) -> str | None:
        """The id of the task with that key, or None when there was no answer."""
        try:
            answer = requests.post(
                f"{self._server.url}/api/tasks",
                json={"kind": "iterate", "params": {"iterations": 0}, "title": key},
                headers={"Idempotency-Key": key},
                timeout=10,
            )
        except requests.RequestException:
            # The server is away, in another process: there is nothing to await but another try.
            time.sleep(0.05)
            return None
        if answer.status_code == 503:
            return None
        assert answer.status_code in {200, 201}, answer.text
        task_id: str = answer.json()["task_id"]
        return task_id


def _create_through_kills(server: ServerProcess, *, creates: int, kills: int) -> None:
    creators = _Creators(server, creates)
    with ThreadPoolExecutor(SIDES) as pool:
        running = [pool.submit(creators.run) for _ in range(SIDES)]
        for kill in range(kills):
            creators.wait_for((kill + 1) * creates // (kills + 1))
            server.kill()
            server.start()
        for each in running:
            each.result()
    assert creators.repeated > 0
    stored: dict[str, list[str]] = {}
    path = "/api/tasks?limit=200"
    while path:
        _, page = server.call("GET", path)
        for task in page["items"]:
            stored.setdefault(task["title"], []).append(task["task_id"])
        path = page["next"]
    assert stored == {key: [task_id] for key, task_id in creators.answered.items()}


@pytest.mark.timeout(120)
def test_every_create_that_was_answered_is_there_once(server: ServerProcess) -> None:
    _create_through_kills(server, creates=600, kills=3)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_ten_thousand_creates_through_fifty_kills(server: ServerProcess) -> None:
    _create_through_kills(server, creates=10_000, kills=50)
