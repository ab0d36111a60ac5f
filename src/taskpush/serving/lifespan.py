"""ASGI's lifespan protocol, spoken for an application.

Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

from __future__ import annotations

import traceback
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from starlette.types import Receive, Send

from taskpush.errors import TaskPushError


async def live(
    application: AbstractAsyncContextManager[None], receive: Receive, send: Send
) -> None:
    """Enter and leave the context as the server says.

    What keeps it from starting is told in its own words where it has some, and by a traceback
    otherwise: a folder that another server has open is no fault in a program.
    """
    await receive()
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(application)
        except TaskPushError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        except BaseException:
            await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
