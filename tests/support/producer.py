"""A producer outside the server: a program of its own, that a test may kill, or calls from a test.

    python -m tests.support.producer URL TASK_ID PRODUCER_ID COUNT PAUSE_S

reports so many iterations, repeats what was not answered, and stops when it is asked to.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import requests

from tests.support.server import ROOT


class Producer:
    """Numbers what it says, and says it."""

    def __init__(
        self, url: str, task_id: str, *, producer_id: str = "p1", attempt: int = 1, token: str = ""
    ) -> None:
        self.task_id = task_id
        self._path = f"{url}/api/tasks/{task_id}"
        self.producer_id = producer_id
        self.attempt = attempt
        self.seq = 0
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def events_url(self) -> str:
        return f"{self._path}/events"

    def events(self, *said: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """The events, with the next numbers."""
        numbered = [
            {"producer_seq": self.seq + n, "event_type": event_type, "data": data}
            for n, (event_type, data) in enumerate(said, 1)
        ]
        self.seq += len(said)
        return numbered

    def post(self, events: list[dict[str, Any]]) -> requests.Response:
        """Send a batch."""
        body: dict[str, Any] = {
            "attempt": self.attempt,
            "producer_id": self.producer_id,
            "events": events,
        }
        return requests.post(self.events_url, json=body, headers=self._headers, timeout=10)

    def say(self, *said: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """Send a batch, which is taken."""
        answer = self.post(self.events(*said))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def start(self) -> dict[str, Any]:
        return self.say(("status_change", {"status": "running"}))

    def put(self, name: str, content: Any, **headers: str) -> requests.Response:
        """Send a file."""
        who = f"attempt={self.attempt}&producer_id={self.producer_id}"
        return requests.put(
            f"{self._path}/artifacts/{name}?{who}",
            data=content,
            headers={**self._headers, **headers},
            timeout=30,
        )

    def insist(self, *said: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """Send a batch until it is answered, as a producer does through an outage."""
        events = self.events(*said)
        while True:
            try:
                answer = self.post(events)
            except requests.RequestException:
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                return dict(answer.json())
            assert answer.status_code == 503, answer.text
            time.sleep(0.05)


def spawn(url: str, task_id: str, *, count: int, pause_s: float) -> subprocess.Popen[bytes]:
    """A producer in a process of its own."""
    words = [url, task_id, "spawned", str(count), str(pause_s)]
    return subprocess.Popen([sys.executable, "-m", "tests.support.producer", *words], cwd=ROOT)


def main(url: str, task_id: str, producer_id: str, count: str, pause_s: str) -> None:
    producer = Producer(url, task_id, producer_id=producer_id)
    wanted = producer.insist(("status_change", {"status": "running"}))["cancel_wanted"]
    for i in range(1, int(count) + 1):
        if wanted:
            producer.insist(("status_change", {"status": "cancelled"}))
            return
        answer = producer.insist(
            ("progress", {"current_iteration": i, "max_iterations": int(count)}),
            ("iteration_complete", {"iteration": i, "metrics": {"noise": 1 / i}}),
        )
        wanted = answer["cancel_wanted"]
        time.sleep(float(pause_s))
    producer.insist(("status_change", {"status": "completed", "result": {"frames": int(count)}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
