"""uvicorn's HTTP connection with a way out, asked for more than one thing at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from taskpush.serving.connection import HttpConnection
from taskpush.sockets.wire import WireProtocol
from tests.attacks.raw import UPGRADE

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HANDSHAKE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + UPGRADE + b"\r\n"


class _Slow:
    """Answers when it is told to, and ends when it has answered or was left."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await receive()
        self.asked.set()
        await self.answer.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
        self.over.set()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("second", "leaves"),
    [(REQUEST, True), (HANDSHAKE, True), (HANDSHAKE, False)],
    ids=["a request", "a handshake", "a handshake of who stays"],
)
def test_who_asks_for_more_and_is_gone_before_the_first_answer_leaves_no_trace(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    second: bytes,
    leaves: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def come_and_go() -> None:
        slow = _Slow()
        config = uvicorn.Config(
            slow, port=0, log_config=None, lifespan="off", http=HttpConnection, ws=WireProtocol
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(20):
            await _until(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST + second)
            await slow.asked.wait()
            if leaves:
                writer.transport.abort()
            else:
                assert await reader.read() == b""
            await _until(lambda: not server.server_state.connections)
            slow.answer.set()
            await slow.over.wait()
            await _until(lambda: not server.server_state.tasks)
            writer.close()
            server.should_exit = True
            await serving

    with caplog.at_level(logging.WARNING), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(come_and_go())
    assert caplog.messages == []
