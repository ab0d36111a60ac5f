"""Somebody who watches a task while others misbehave, in a thread of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final, Self

import orjson
from websockets.sync.client import connect

from tests.support.server import ServerProcess

EVENT_EVERY_S: Final = 0.05
LOOK_EVERY_S: Final = 0.02


class Bystander:
    """Notes when each event comes, and how much memory the server has in between."""

    def __init__(self, server: ServerProcess, token: str | None = None) -> None:
        self._server = server
        # None where nobody has to show anything.
        self._token = token
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="bystander")
        self._told = threading.Condition()
        self._last = 0.0
        # For how long the server had waited for a core until then.
        self._coreless_s = 0.0
        self._longest_gap_s = 0.0
        self._peak_bytes = 0
        # What ended the watching before its time; None while all is well.
        self._broken: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.next_event()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def begin(self) -> None:
        """Measure from now on."""
        self.next_event()
        with self._told:
            self._longest_gap_s, self._peak_bytes = 0.0, 0

    def next_event(self) -> None:
        """Wait for one more."""
        with self._told:
            before = self._last
            assert self._told.wait_for(lambda: self._last > before or self._broken, timeout=10)
            assert self._broken is None, self._broken

    @property
    def longest_gap_s(self) -> float:
        """The longest time without an event since it began to measure.

        What the server waited for a core meanwhile is left out: other tests keep them busy, too.
        """
        with self._told:
            return max(self._longest_gap_s, self._gap_s(time.monotonic(), self._waited_s()))

    @property
    def peak_bytes(self) -> int:
        """The most memory of the server since then."""
        with self._told:
            return max(self._peak_bytes, self._server.rss_bytes)

    def _watch(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for an event
            with self._told:
                self._broken = error
                self._told.notify_all()

    def _follow(self) -> None:
        task_id = self._server.create_as(
            self._token, "iterate", iterations=100_000, pause_s=EVENT_EVERY_S
        )
        address = f"ws://127.0.0.1:{self._server.port}/socket.io/?EIO=4&transport=websocket"
        with connect(address, compression=None, ping_interval=None, proxy=None) as ws:
            ws.send("40/tasks," + orjson.dumps({"token": self._token}).decode())
            ws.send(f'42/tasks,["subscribe",{{"task_id":"{task_id}","after":"now"}}]')
            while not self._stopping:
                try:
                    packet = ws.recv(timeout=LOOK_EVERY_S)
                except TimeoutError:
                    packet = ""
                if packet == "2":
                    ws.send("3")
                self._note(told='"iteration_complete"' in str(packet))

    def _note(self, *, told: bool) -> None:
        rss = self._server.rss_bytes
        with self._told:
            self._peak_bytes = max(self._peak_bytes, rss)
            if told:
                now, coreless_s = time.monotonic(), self._waited_s()
                if self._last:
                    self._longest_gap_s = max(self._longest_gap_s, self._gap_s(now, coreless_s))
                self._last, self._coreless_s = now, coreless_s
                self._told.notify_all()

    def _gap_s(self, now: float, coreless_s: float) -> float:
        return (now - self._last) - (coreless_s - self._coreless_s)

    def _waited_s(self) -> float:
        """For how long the server's event loop could have run, had there been a core for it."""
        _, waited_ns, _ = Path(f"/proc/{self._server.pid}/schedstat").read_text().split()
        return int(waited_ns) / 1e9
