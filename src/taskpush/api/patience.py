"""Request bodies that stop half way, or come in drops: nobody waits for them for ever."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskpush.api.body import is_file
from taskpush.core.intake import FILE_PAUSE_S, PAUSE_S, Intake
from taskpush.errors import TaskPushError


class BodyDeadline:
    """Middleware: a body that does not come on is answered 408, which ends the connection."""

    def __init__(
        self, app: ASGIApp, *, pause_s: float = PAUSE_S, file_pause_s: float = FILE_PAUSE_S
    ) -> None:
        self._app = app
        self._pause_s = pause_s
        self._file_pause_s = file_pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # None once nobody waits for the body: it is there, or the answer has begun.
        intake: Intake | None = self._intake(scope)

        async def prompt_receive() -> Message:
            nonlocal intake
            if intake is None:
                return await receive()
            message = await _within(intake, receive)
            if not message.get("more_body", False):
                intake = None
            return message

        async def answering_send(message: Message) -> None:
            nonlocal intake
            intake = None
            await send(message)

        await self._app(scope, prompt_receive, answering_send)

    def _intake(self, scope: Scope) -> Intake:
        if is_file(scope):
            # Of somebody who is known: the route asks before it reads.
            return Intake(self._file_pause_s, bytes_per_s=None)
        return Intake(self._pause_s)


async def _within(intake: Intake, receive: Receive) -> Message:
    """The body's next part; raises `request_timeout`."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        async with asyncio.timeout(intake.patience_s):
            message = await receive()
    except TimeoutError:
        raise TaskPushError(
            "the rest of the body did not come in time", code="request_timeout"
        ) from None
    intake.came(len(message.get("body", b"")), loop.time() - began_s)
    return message
