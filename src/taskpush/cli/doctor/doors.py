"""The doors of a server, each tried with as little as it takes to see an event come through.

In plain requests, and not by the client: so that what is found is the network's doing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from taskpush.cli.doctor.finding import Finding, failed, ok, warning
from taskpush.cli.watching.said import mapping
from taskpush.client.unanswered import why_unanswered

WITHIN_S: Final = 5.0
"""So long each step of a door may take."""
HELD_BACK_AFTER_S: Final = 3.0
"""A stream begins at once: what has not come after so long is kept by somebody on the way."""
POLL_S: Final = 1.0
NAMESPACE: Final = "/tasks"

_UPGRADE: Final = (
    "a proxy on the way may not pass on WebSockets (for nginx see docs/how-to/proxy.md); clients"
    " use the other doors meanwhile"
)
_BUFFERED: Final = (
    "a proxy on the way keeps answers until they are complete: `proxy_buffering off` in nginx, and"
    " no compression; clients use the other doors meanwhile"
)


@dataclass(frozen=True, slots=True)
class Door:
    """What was found at a door."""

    finding: Finding
    # What the server said when it opened; empty unless it is one of Socket.IO.
    welcome: Mapping[str, Any] = field(default_factory=dict)


class _Shut(Exception):
    """The door does not open; says why and what to do."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(why)
        self.advice = advice


class _TurnedDown(Exception):
    """The server is there, and refuses whoever asks."""


_ADVICE_REFUSED: Final = "the door is there; see what is said of the token"


async def knock_at_all(http: aiohttp.ClientSession, url: str, token: str | None) -> list[Door]:
    """All doors at once, in the order in which clients prefer them."""
    doors: Mapping[str, tuple[Callable[[_Knock], Awaitable[tuple[str, Any]]], str]] = {
        "socketio_websocket": (_websocket, _UPGRADE),
        "socketio_polling": (_polling, "look at what the proxy on the way does with /socket.io/"),
        "sse": (_sse, _BUFFERED),
        "long_poll": (_long_poll, "a proxy on the way may cut requests that wait"),
    }
    knock = _Knock(http, url, token)
    return await asyncio.gather(
        *(_tried(name, open_door(knock), advice) for name, (open_door, advice) in doors.items())
    )


@dataclass(frozen=True, slots=True)
class _Knock:
    http: aiohttp.ClientSession
    url: str
    token: str | None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    @property
    def connect(self) -> str:
        """The Socket.IO packet that asks to be let into the namespace."""
        auth = "" if self.token is None else json.dumps({"token": self.token})
        return f"40{NAMESPACE},{auth}"


async def _tried(name: str, opening: Awaitable[tuple[str, Any]], advice: str) -> Door:
    try:
        said, welcome = await opening
    except _TurnedDown as refusal:
        return Door(warning(name, f"open, but turns this caller down: {refusal}", _ADVICE_REFUSED))
    except _Shut as shut:
        return Door(failed(name, str(shut), shut.advice or advice))
    except aiohttp.WSServerHandshakeError as error:
        return Door(failed(name, f"the upgrade was answered with HTTP {error.status}", advice))
    except TimeoutError:
        return Door(failed(name, f"no answer within {WITHIN_S:g} s", advice))
    except (aiohttp.ClientError, OSError, ValueError, LookupError, TypeError) as error:
        return Door(failed(name, f"broken: {why_unanswered(error)}", advice))
    return Door(ok(name, said), mapping(welcome))


# ------------------------------------------------------------ Socket.IO


async def _websocket(knock: _Knock) -> tuple[str, Any]:
    address = f"{knock.url}/socket.io/?EIO=4&transport=websocket"
    began = time.monotonic()
    async with asyncio.timeout(WITHIN_S), knock.http.ws_connect(address) as socket:
        _engine_opened(await socket.receive_str())
        await socket.send_str(knock.connect)
        while True:
            packet = await socket.receive_str()
            if packet == "2":
                await socket.send_str("3")
            welcome = _welcome_in(packet)
            if welcome is not None:
                return _opened_in(began), welcome


async def _polling(knock: _Knock) -> tuple[str, Any]:
    address = f"{knock.url}/socket.io/?EIO=4&transport=polling"
    began = time.monotonic()
    async with asyncio.timeout(WITHIN_S):
        session = _engine_opened(await _text(knock, address))
        address = f"{address}&sid={session['sid']}"
        await _text(knock, address, post=knock.connect)
        while True:
            for packet in (await _text(knock, address)).split("\x1e"):
                welcome = _welcome_in(packet)
                if welcome is not None:
                    await _text(knock, address, post="1")
                    return _opened_in(began), welcome


async def _text(knock: _Knock, address: str, *, post: str | None = None) -> str:
    method = "GET" if post is None else "POST"
    headers = {} if post is None else {"Content-Type": "text/plain"}
    async with knock.http.request(method, address, data=post, headers=headers) as response:
        text = await response.text()
        if response.status != 200:
            raise _Shut(f"answered with HTTP {response.status}", "")
        return text


def _engine_opened(packet: str) -> Mapping[str, Any]:
    if not packet.startswith("0{"):
        raise _Shut("what answers does not speak Engine.IO", "look at the address")
    return mapping(json.loads(packet[1:]))


def _welcome_in(packet: str) -> Mapping[str, Any] | None:
    """What `connected` says; None for packets before it."""
    if packet.startswith(f"44{NAMESPACE},"):
        refusal = mapping(json.loads(packet.partition(",")[2]))
        raise _TurnedDown(str(refusal.get("message") or "refused"))
    if packet.startswith(f"42{NAMESPACE},"):
        name, *arguments = json.loads(packet.partition(",")[2])
        if name == "error":
            raise _TurnedDown(str(mapping(arguments[0]).get("message") or "refused"))
        return mapping(arguments[0]) if name == "connected" else None
    return None


def _opened_in(began: float) -> str:
    return f"opens in {(time.monotonic() - began) * 1000:.0f} ms"


# ------------------------------------------------------------ streams and polls


async def _sse(knock: _Knock) -> tuple[str, Any]:
    address = f"{knock.url}/api/stream?feed=all"
    began = time.monotonic()
    try:
        async with (
            asyncio.timeout(HELD_BACK_AFTER_S),
            knock.http.get(address, headers=knock.headers) as response,
        ):
            await _accepted(response)
            if response.content_type != "text/event-stream":
                raise _Shut(f"a stream came as {response.content_type}", "look at the address")
            if not await response.content.readany():
                raise _Shut("the stream ended before anything came", "")
    except TimeoutError:
        said = f"nothing of a stream came within {HELD_BACK_AFTER_S:g} s: it is held back"
        raise _Shut(said, _BUFFERED) from None
    return f"comes through at once, in {(time.monotonic() - began) * 1000:.0f} ms", None


async def _long_poll(knock: _Knock) -> tuple[str, Any]:
    address = f"{knock.url}/api/feed?feed=all"
    async with (
        asyncio.timeout(WITHIN_S),
        knock.http.get(address, headers=knock.headers) as response,
    ):
        await _accepted(response)
        cursor = (await response.json())["cursor"]
    began = time.monotonic()
    waiting = {"feed": "all", "after": cursor, "wait_s": f"{POLL_S:g}"}
    async with (
        asyncio.timeout(POLL_S + WITHIN_S),
        knock.http.get(f"{knock.url}/api/feed", params=waiting, headers=knock.headers) as response,
    ):
        await _accepted(response)
        page = await response.json()
    if page["tasks"]:
        return "tells of changes", None
    return f"waited {time.monotonic() - began:.1f} s for a change, as asked", None


async def _accepted(response: aiohttp.ClientResponse) -> None:
    """Raises what the server, or somebody before it, said instead."""
    if response.status == 200:
        return
    text = await response.text()
    try:
        problem = mapping(json.loads(text))
    except ValueError:
        problem = {}
    if response.status in (401, 403) and problem.get("code"):
        raise _TurnedDown(str(problem.get("detail") or problem["code"]))
    raise _Shut(f"answered with HTTP {response.status} {problem.get('code') or ''}".rstrip(), "")
