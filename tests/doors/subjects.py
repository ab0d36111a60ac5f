"""Who watches through which door: the programs that the one suite is run with.

A program is called `PROGRAM URL TASK_ID --door DOOR [--after POSITION]`. It prints a JSON line for
each item, `{event_type, data, position, attempt}` (`position` as `epoch:seq` or null; a resync has
the event type `resync`), and last `{"ended": STATUS}` or `{"failed": {class, code, message}}`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tests.support.server import ROOT


@dataclass(frozen=True)
class Subject:
    """A program, and the doors that it can be told to use."""

    name: str
    command: tuple[str, ...]
    doors: Sequence[str] = ("socketio", "sse", "long_poll", "poll")


SUBJECTS: Final = [
    Subject("python-async", (sys.executable, "-m", "tests.doors.watch", "async")),
    Subject("python-sync", (sys.executable, "-m", "tests.doors.watch", "sync"), ("socketio",)),
    Subject("typescript-node", (sys.executable, "-m", "tests.web.watch_in_node")),
    Subject("typescript-chromium", (sys.executable, "-m", "tests.web.watch_in_chromium")),
]
"""A line for each program."""

THROUGH_EVERY_DOOR: Final = [(subject, door) for subject in SUBJECTS for door in subject.doors]
CHOOSING: Final = [(subject, "auto") for subject in SUBJECTS]


def named(pair: object) -> str:
    """A pair as the id of a test."""
    assert isinstance(pair, tuple)
    subject, door = pair
    return f"{subject.name}-{door}"


@dataclass
class Watching:
    """One program at work, and what it has said."""

    process: asyncio.subprocess.Process
    items: list[dict[str, Any]] = field(default_factory=list)
    # Its last line; None while it goes on.
    outcome: dict[str, Any] | None = None
    # When each item came, on the loop's clock.
    came_at: list[float] = field(default_factory=list)

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The items that have a position."""
        return [item for item in self.items if item["position"] is not None]

    async def until(self, condition: Callable[[Watching], object], within_s: float = 60) -> None:
        """Read on until the condition holds, or to the end."""
        async with asyncio.timeout(within_s):
            while not condition(self) and await self._read():
                pass

    async def finish(self, within_s: float = 60) -> None:
        """Read to the end."""
        await self.until(lambda _: False, within_s)
        assert await self.process.wait() == 0

    async def _read(self) -> bool:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            return False
        assert self.outcome is None, f"after the end came {line!r}"
        said = orjson.loads(line)
        if "event_type" in said:
            self.items.append(said)
            self.came_at.append(asyncio.get_running_loop().time())
        else:
            self.outcome = said
        return True


@asynccontextmanager
async def watching(
    subject: Subject, door: str, url: str, task_id: str, *, after: str | None = None
) -> AsyncIterator[Watching]:
    """The program, from its start; killed when it is left before its end."""
    position = () if after is None else ("--after", after)
    process = await asyncio.create_subprocess_exec(
        *subject.command,
        *(url, task_id, "--door", door, *position),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield Watching(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def faults(seen: Sequence[dict[str, Any]], log: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong with the logged items, compared with the task's log; and volatile ones last."""
    came = [(item["position"], item["event_type"], item["data"], item["attempt"]) for item in seen]
    logged = [each for each in came if each[0] is not None]
    expected = [
        (f"{event['epoch']}:{event['seq']}", event["event_type"], event["data"], event["attempt"])
        for event in log
    ]
    found = []
    if logged != expected:
        found.append(
            f"came {[each[0] for each in logged]}, expected {[each[0] for each in expected]}"
        )
    if came and expected and came[-1][0] is None:
        found.append("a volatile event came last")
    return found
