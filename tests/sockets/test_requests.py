"""What the requests of Engine.IO rely on time for; the rest is in `tests/conformance`."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest
from starlette.types import Message, Scope

from taskpush.access.turnstile import Turnstile
from taskpush.core.limits import Limits
from taskpush.sockets.engine import Engine, EngineSocket
from taskpush.sockets.requests import Requests
from taskpush.telemetry.bus import Telemetry


class Deaf:
    """A listener with nothing to do."""

    def opened(self, socket: EngineSocket, scope: Scope) -> None: ...

    async def message(self, socket: EngineSocket, data: object) -> None: ...

    def flooded(self, socket: EngineSocket) -> None: ...

    def refused(self, socket: EngineSocket, reason: str) -> None: ...

    def closed(self, socket: EngineSocket) -> None: ...


@pytest.mark.parametrize("said", [[], ["2probe"]], ids=["no probe", "no upgrade packet"])
async def test_an_upgrade_that_gets_stuck_is_given_up_and_the_session_goes_on_polling(
    said: list[str],
) -> None:
    engine = Engine(Turnstile(Limits(), Telemetry(), monotonic))
    engine.listener = Deaf()
    session = engine.open({}, polling=True)
    events: list[Message] = [{"type": "websocket.connect"}]
    events += [{"type": "websocket.receive", "text": text} for text in said]
    sent: list[Message] = []

    async def receive() -> Message:
        return events.pop(0) if events else await asyncio.Future[Any]()

    async def send(message: Message) -> None:
        sent.append(message)

    requests = Requests(engine, probe_within_s=0.05)
    query = f"EIO=4&transport=websocket&sid={session.sid}".encode()
    scope = {"type": "websocket", "query_string": query, "headers": [], "path": "/"}
    async with asyncio.timeout(60):
        await requests(scope, receive, send)
    assert sent[-1]["type"] == "websocket.close"
    assert (session.polling, session.upgrading, session.probed) == (True, False, False)
    assert [packet[:1] for packet in session.take()] == ["0"]
    session.end()
