"""What `doctor` checks of a server, but for its doors; it reads, and creates nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from taskpush.access.hosts import is_loopback
from taskpush.cli.doctor.doors import Door, knock_at_all
from taskpush.cli.doctor.finding import Finding, failed, ok, warning
from taskpush.cli.text import duration
from taskpush.cli.watching.said import mapping
from taskpush.client.proxies import proxy_for
from taskpush.client.unanswered import why_unanswered
from taskpush.errors import CODES

PROTOCOL: Final = 1
CONNECT_WITHIN_S: Final = 5.0
ANSWER_WITHIN_S: Final = 10.0
MAX_SKEW_S: Final = 5.0
_START: Final = (
    "start it with `taskpush serve module:push`, or name the right address by --server or"
    " TASKPUSH_SERVER"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` None means that nothing did, and `why` says so."""

    status: int | None
    why: str = ""
    # The JSON object; empty when it was none.
    body: Any = None
    content_type: str = ""
    # The server's clock, and ours in the middle of the request; None when it did not say.
    date: tuple[datetime, datetime] | None = None
    took_s: float = 0.0

    @property
    def code(self) -> str:
        """The code of a problem; empty for anything else."""
        return str(mapping(self.body).get("code") or "")

    @property
    def is_ours(self) -> bool:
        """Whether a taskpush server may have said that."""
        return isinstance(self.body, dict) and (self.status == 200 or self.code in CODES)

    @property
    def described(self) -> str:
        """In a few words."""
        if self.status is None:
            return self.why
        return f"HTTP {self.status}, {self.code or self.content_type or 'without content'}"


class Site:
    """The server, as far as requests reach it."""

    def __init__(self, url: str, token: str | None, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.token = token
        self.http = http

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    async def get(self, path: str, *, show_token: bool = True) -> Answer:
        """One request."""
        headers = self.headers if show_token else {}
        before, began = datetime.now(UTC), time.monotonic()
        try:
            async with self.http.get(f"{self.url}{path}", headers=headers) as response:
                raw = await response.read()
        except TimeoutError:
            return Answer(None, why=f"no answer within {ANSWER_WITHIN_S:g} s")
        except (aiohttp.ClientError, ValueError) as error:
            return Answer(None, why=why_unanswered(error))
        took_s = time.monotonic() - began
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        date = _date(response.headers.get("Date"))
        middle = before + (datetime.now(UTC) - before) / 2
        return Answer(
            status=response.status,
            body=body,
            content_type=response.content_type,
            date=None if date is None else (date, middle),
            took_s=took_s,
        )


async def examine(url: str, token: str | None) -> AsyncIterator[Finding]:
    """All checks, in an order in which each needs those before it."""
    proxy = proxy_for(url)
    if proxy is not None:
        yield _environment(proxy)
    address = await _address(proxy or url)
    yield address
    if address.state != "ok":
        return
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    # A connection for each request: what one left behind must not be found at another.
    apart = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=apart, timeout=timeout, proxy=proxy) as http:
        site = Site(url, token, http)
        health, limits = await asyncio.gather(site.get("/healthz"), site.get("/api/limits"))
        rest = _rest(site, health, limits)
        yield rest
        if rest.state == "failed":
            return
        yield _store(await site.get("/readyz"))
        async for finding in _token(site):
            yield finding
        if limits.status == 200:
            yield _limits(limits)
        yield _clock(health)
        doors = await knock_at_all(site.http, url, token)
        for door in doors:
            yield door.finding
        yield await _versions(site, doors)


def _environment(proxy: str) -> Finding:
    # The address may hold a password.
    where = urlsplit(proxy)
    return ok(
        "environment",
        f"names the proxy {where.hostname}:{where.port}, by which clients go;"
        " NO_PROXY names what is reached without",
    )


async def _address(url: str) -> Finding:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    began = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
    except socket.gaierror as error:
        return failed(
            "address",
            f"nobody knows the name {host} ({error.strerror})",
            "look for a typing error in --server or TASKPUSH_SERVER",
        )
    except TimeoutError:
        return failed(
            "address",
            f"{host}:{port} does not answer within {CONNECT_WITHIN_S:g} s",
            "a firewall may drop what is sent there, or the machine is off",
        )
    except OSError as error:
        return failed("address", f"nobody listens on {host}:{port} ({_plain(error)})", _START)
    took_ms = (time.monotonic() - began) * 1000
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ok("address", f"{host}:{port} takes connections, in {took_ms:.0f} ms")


def _rest(site: Site, health: Answer, limits: Answer) -> Finding:
    for answer in (health, limits):
        if answer.code == "host_refused":
            host = urlsplit(site.url).hostname
            advice = f"start it with --allow-host {host}, or use a name that it knows"
            return failed("rest", f"the server does not answer to the name {host}", advice)
    if health.status is None:
        secure = site.url.startswith("https:")
        advice = (
            "it may want http://; if not, look at its certificate with `openssl s_client`"
            if secure
            else "it may want https://, or something else than a web server listens there"
        )
        return failed("rest", f"no answer over HTTP: {health.why}", advice)
    if not (health.is_ours and limits.is_ours):
        answer = limits if health.is_ours else health
        return failed(
            "rest",
            f"what answers is no taskpush server ({answer.described})",
            "look at the address: where taskpush is mounted below a path, the path belongs to it,"
            " as in https://example.org/jobs",
        )
    said = f"answers in {health.took_s * 1000:.0f} ms"
    if site.token and site.url.startswith("http:"):
        host = urlsplit(site.url).hostname or ""
        if not is_loopback(host):
            return warning(
                "rest",
                f"{said}; the token travels unencrypted",
                "put a proxy with TLS before the server, and use https:// (docs/how-to/proxy.md)",
            )
    return ok("rest", said)


def _store(answer: Answer) -> Finding:
    body = mapping(answer.body)
    if answer.status == 200:
        checks = ", ".join(f"{name} {result}" for name, result in mapping(body["checks"]).items())
        return ok("store", checks or "ready")
    if answer.code == "shutting_down":
        return failed("store", "the server is stopping", "wait for it to start again")
    return failed(
        "store",
        f"not ready: {body.get('detail') or answer.described}",
        "look at the server's log, and at the room on the disk of its data folder",
    )


async def _token(site: Site) -> AsyncIterator[Finding]:
    path = "/api/tasks?limit=1"
    answer = await site.get(path)
    if answer.status == 401 and site.token is None:
        yield failed(
            "token",
            "the server asks who you are, and no token is given",
            "set TASKPUSH_TOKEN to an API key: `taskpush keys create NAME` where the server's"
            " data is makes one",
        )
    elif answer.status == 401:
        detail = mapping(answer.body).get("detail") or "refused"
        yield failed(
            "token",
            f"the token is not good: {detail}",
            "it may be mistyped, expired or revoked: `taskpush keys list` where the server's data"
            " is tells, and `taskpush keys create NAME` makes another",
        )
    elif answer.status == 403:
        yield warning(
            "token",
            f"the token is good, but may not list tasks: {mapping(answer.body).get('detail')}",
            "it does for what it was made for; `list` and feeds need the role read, for all tasks",
        )
    elif answer.status != 200:
        yield failed(
            "token", f"tasks can't be listed: {answer.described}", "look at the server's log"
        )
    elif site.token is None:
        yield ok("token", "none is asked for; tasks may be read")
    elif (await site.get(path, show_token=False)).status == 200:
        yield ok("token", "taken, though the server asks for none; tasks may be read")
    else:
        admin = (await site.get("/api/audit?limit=1")).status == 200
        yield ok("token", f"good; tasks may be read{', as an admin' if admin else ''}")


def _limits(answer: Answer) -> Finding:
    limits = mapping(answer.body)
    shown = {
        "connections": "connections",
        "connections_per_address": "from one address",
        "connections_per_principal": "of one owner",
        "creates_per_min": "creates a minute",
    }
    words = [
        f"{limits[name]:,} {what}" for name, what in shown.items() if limits.get(name) is not None
    ]
    return ok("limits", ", ".join(words) or "none that matter here")


def _clock(answer: Answer) -> Finding:
    if answer.date is None:
        return warning("clock", "the server does not tell its time", "a proxy may take it away")
    theirs, ours = answer.date
    # What it tells has no fractions of a second.
    skew_s = (theirs - ours).total_seconds() + 0.5
    if abs(skew_s) <= MAX_SKEW_S:
        return ok("clock", "the server's clock and this one agree")
    which = "ahead of" if skew_s > 0 else "behind"
    return warning(
        "clock",
        f"the server's clock is {duration(abs(skew_s))} {which} this one",
        "let both be set by NTP; else times look wrong, and tokens end early or late",
    )


async def _versions(site: Site, doors: list[Door]) -> Finding:
    ours = version("taskpush")
    welcome = next((door.welcome for door in doors if door.welcome), {})
    theirs, protocol = welcome.get("server_version"), welcome.get("protocol")
    if theirs is None:
        answer = await site.get("/openapi.json")
        theirs = mapping(mapping(answer.body).get("info")).get("version")
    said = f"client {ours}, server {theirs or 'unknown'}, protocol {protocol or 'unknown'}"
    if protocol is not None and protocol != PROTOCOL:
        advice = f"this client speaks protocol {PROTOCOL}: install the server's version of it"
        return failed("versions", said, advice)
    if theirs is None or str(theirs).split(".")[:2] != ours.split(".")[:2]:
        return warning("versions", said, "use the same version on both sides when you can")
    return ok("versions", said)


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _plain(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error.reason)
    return os.strerror(error.errno) if error.errno else str(error)
