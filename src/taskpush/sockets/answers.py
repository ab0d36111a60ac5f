"""What Engine.IO's requests and handshakes are answered with."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, Literal

import orjson
from starlette.types import Scope, Send
from typing_extensions import override

from taskpush.errors import TaskPushError

GZIP_FROM_BYTES: Final = 1024

Door = Literal["http", "websocket.http"]
"""What ASGI calls the messages of an answer."""

_TEXT: Final = b"text/plain; charset=UTF-8"
_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"


class Refused(Exception):
    """The request breaks the protocol; `status` is its answer."""

    kind = _JSON
    # When to try again; None means never with this request.
    retry_after_s: int | None = None

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status

    @property
    def said(self) -> bytes:
        """The body of the answer."""
        return orjson.dumps({"message": str(self)})


class NoRoom(Refused):
    """The request is as it should be, but there are too many connections."""

    kind = _PROBLEM

    def __init__(self, error: TaskPushError) -> None:
        super().__init__(error.detail, error.spec.status)
        self.retry_after_s = error.retry_after_s
        self._error = error

    @property
    @override
    def said(self) -> bytes:
        return orjson.dumps(self._error.problem)


async def deny(scope: Scope, send: Send, refused: Refused) -> None:
    """Answer a WebSocket's handshake; a server that cannot do that answers it 403."""
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await refuse(send, refused, event="websocket.http")
    else:
        await send({"type": "websocket.close", "reason": str(refused)})


async def refuse(send: Send, refused: Refused, *, event: Door = "http") -> None:
    """Say what is wrong with a request."""
    wait_s = refused.retry_after_s
    more: list[tuple[bytes, bytes]] = []
    if wait_s is not None:
        more.append((b"retry-after", b"%d" % wait_s))
    if refused.status == HTTPStatus.REQUEST_TIMEOUT:
        # The rest of the body may still come, and would be taken for another request.
        more.append((b"connection", b"close"))
    await answer(send, refused.status, refused.said, kind=refused.kind, event=event, more=more)


async def answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    kind: bytes = _TEXT,
    gzipped: bool = False,
    event: Door = "http",
    more: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer, with `more` headers than it always has."""
    headers = [(b"content-type", kind), (b"cache-control", b"no-store"), *more]
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # What is not read of the request is not waited for.
        headers.append((b"connection", b"close"))
    if gzipped and len(body) >= GZIP_FROM_BYTES:
        body = gzip.compress(body, compresslevel=1)
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": f"{event}.response.start", "status": status, "headers": headers})
    await send({"type": f"{event}.response.body", "body": body})


def _headers(scope: Scope) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def takes_gzip(scope: Scope) -> bool:
    """Whether who asks said that it takes compressed answers."""
    accepted = _headers(scope).get("accept-encoding", "").split(",")
    return any(coding.partition(";")[0].strip() == "gzip" for coding in accepted)
