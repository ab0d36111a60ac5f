"""How long is waited for a body: until it stops, whatever it is part of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from taskpush.api.patience import BodyDeadline
from taskpush.core.intake import PAUSE_S, Intake
from taskpush.errors import TaskPushError

FILE = "/api/tasks/0199f0c2-1111-7222-8333-444455556666/artifacts/a.bin"


async def _read(
    path: str, method: str, pauses_s: Sequence[float], *, ends: bool = True, pause_s: float = 0.1
) -> int:
    """How many parts of a body arrive whose next ones come after these pauses."""
    parts = 0

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        nonlocal parts
        while (await receive()).get("more_body"):
            parts += 1

    coming = iter(pauses_s)

    async def receive() -> Message:
        wait_s = next(coming, None)
        if wait_s is None and not ends:
            await asyncio.Event().wait()
        await asyncio.sleep(wait_s or 0)
        return {"type": "http.request", "body": b"x", "more_body": wait_s is not None}

    async def send(_: Message) -> None: ...

    scope = {"type": "http", "method": method, "path": path}
    deadline = BodyDeadline(app, pause_s=pause_s, file_pause_s=pause_s)
    await deadline(scope, receive, send)
    return parts


FILES = pytest.mark.parametrize(("path", "method"), [(FILE, "PUT"), ("/api/uploads", "POST")])


@FILES
async def test_a_file_may_be_as_slow_as_it_likes_while_it_moves(path: str, method: str) -> None:
    assert await _read(path, method, [0.02] * 20) == 20


@FILES
async def test_a_file_that_stops_is_not_waited_for(path: str, method: str) -> None:
    with pytest.raises(TaskPushError) as stopped:
        await _read(path, method, [0.0] * 3, ends=False)
    assert stopped.value.code == "request_timeout"


async def test_other_bodies_may_not_come_in_drops() -> None:
    with pytest.raises(TaskPushError) as slow:
        await _read("/api/tasks", "POST", [0.02] * 20)
    assert slow.value.code == "request_timeout"


async def test_once_the_answer_has_begun_nobody_is_hurried() -> None:
    gone = asyncio.Event()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/api/stream"}
    streaming = asyncio.create_task(BodyDeadline(app, pause_s=0.01)(scope, receive, send))
    await asyncio.sleep(0.05)  # That is what it must not mind.
    assert not streaming.done()
    gone.set()
    await streaming


def test_what_came_fast_may_pause_and_no_longer_than_anything_else() -> None:
    fast = Intake()
    fast.came(1024 * 1024, 1.0)
    assert fast.patience_s == PAUSE_S
    slow = Intake()
    slow.came(1024, PAUSE_S)
    assert slow.patience_s == pytest.approx(1.0)
    slow.came(1, 1.0)
    assert slow.patience_s < 0.01
