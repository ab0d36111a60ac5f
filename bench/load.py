"""The load generator's other end: what a scenario tells it, and what it answers."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from bench.processes import BOUND, HOST, ROOT, cpu_s_of

OPEN_WITHIN_S: Final = 180.0

Step = tuple[str, str, str]
"""What a client waits for, what it then says ($0, $1, … are its subjects), and how: raw, text
(a WebSocket frame) or binary."""


class LoadFailed(Exception):
    """The generator could not do what it was asked."""


class Load:
    """A generator process; cut and ended with the block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [*BOUND, sys.executable, "-m", "bench.generator"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_s(self) -> float:
        """The CPU seconds that the generator has used."""
        return cpu_s_of(self._process.pid)

    def open(
        self,
        port: int,
        script: Sequence[Step],
        subjects: Sequence[Sequence[str]],
        *,
        replies: Mapping[str, bytes] | None = None,
        at_once: int = 200,
        timed: bool,
        receive_buffer_bytes: int | None = None,
    ) -> float:
        """Connect a client for each of `subjects`; returns the seconds until all were ready."""
        answer = self.tell(
            "open",
            address=[HOST, port],
            steps=script,
            subjects=subjects,
            replies={
                key: base64.b64encode(value).decode() for key, value in (replies or {}).items()
            },
            at_once=at_once,
            timeout_s=OPEN_WITHIN_S,
            timed=timed,
            receive_buffer_bytes=receive_buffer_bytes,
        )
        return float(answer["seconds"])

    def tell(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its answer; raises `LoadFailed`."""
        self.begin(command, **arguments)
        return self.answer()

    def begin(self, command: str, **arguments: Any) -> None:
        """Give a command; its `answer` is taken later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The answer to the command that was given; raises `LoadFailed`."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailed("the generator ended")
        answer: dict[str, Any] = json.loads(line)
        if answer["errors"]:
            raise LoadFailed("; ".join(answer["errors"]))
        return answer
