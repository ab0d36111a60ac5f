"""The issuer's keys: rotated, asked for too often, out of reach."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from taskpush.access.jwks import KEEP_FOR_S, MAX_BYTES, Jwks, fetch_from
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import JwksUnreadable, TelemetryEvent
from tests.access.signing import ec_key, jwk, jwks, rsa_key

OLD, NEW, EC = rsa_key(), rsa_key(), ec_key()


class Issuer:
    """A document that may change, and how often it was asked for."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.asked = 0
        self.now = 0.0
        self.said: list[TelemetryEvent] = []
        # Set while it answers at once.
        self.answers = asyncio.Event()
        self.answers.set()
        self.was_asked = asyncio.Event()
        self.keys = Jwks(
            self.fetch, ("RS256", "ES256"), Telemetry(self.said.append), lambda: self.now
        )

    async def fetch(self) -> bytes:
        self.asked += 1
        self.was_asked.set()
        await self.answers.wait()
        if not self.document:
            raise OSError("no route to host")
        return self.document

    async def settled(self) -> None:
        """Until nothing is read any more."""
        while self.keys._asking is not None:
            await asyncio.wait([self.keys._asking])


async def test_a_key_is_found_by_its_name_and_algorithm() -> None:
    issuer = Issuer(jwks(jwk(OLD, "a"), jwk(EC, "b")))
    assert await issuer.keys.key("a", "RS256") is not None
    assert await issuer.keys.key("b", "ES256") is not None
    assert await issuer.keys.key("b", "RS256") is None
    assert issuer.asked == 1


async def test_without_a_name_the_only_key_is_meant() -> None:
    assert await Issuer(jwks(jwk(OLD, None), jwk(EC, "b"))).keys.key(None, "RS256") is not None
    assert await Issuer(jwks(jwk(OLD, "a"), jwk(NEW, "b"))).keys.key(None, "RS256") is None


async def test_a_new_key_is_asked_for_when_a_token_comes_with_it() -> None:
    issuer = Issuer(jwks(jwk(OLD, "old")))
    await issuer.keys.key("old", "RS256")
    issuer.document = jwks(jwk(OLD, "old"), jwk(NEW, "new"))
    issuer.now = 20
    assert await issuer.keys.key("new", "RS256") is not None
    assert await issuer.keys.key("old", "RS256") is not None
    assert issuer.asked == 2


async def test_unknown_names_are_asked_for_no_more_often_than_every_fifteen_seconds() -> None:
    issuer = Issuer(jwks(jwk(OLD, "old")))
    for turn in range(600):
        issuer.now = turn / 10
        assert await issuer.keys.key(f"unknown-{turn}", "RS256") is None
        assert await issuer.keys.key("old", "RS256") is not None
    assert issuer.asked == 4


async def test_many_who_come_at_once_ask_once() -> None:
    issuer = Issuer(jwks(jwk(OLD, "old")))
    issuer.answers.clear()
    waiting = [asyncio.create_task(issuer.keys.key("old", "RS256")) for _ in range(50)]
    await issuer.was_asked.wait()
    issuer.answers.set()
    assert None not in await asyncio.gather(*waiting)
    assert issuer.asked == 1


async def test_a_caller_who_leaves_does_not_end_what_others_wait_for() -> None:
    issuer = Issuer(jwks(jwk(OLD, "old")))
    issuer.answers.clear()
    leaves, stays = (asyncio.create_task(issuer.keys.key("old", "RS256")) for _ in range(2))
    await issuer.was_asked.wait()
    leaves.cancel()
    issuer.answers.set()
    assert await stays is not None


async def test_a_withdrawn_key_is_good_until_the_next_reading() -> None:
    issuer = Issuer(jwks(jwk(OLD, "old")))
    await issuer.keys.key("old", "RS256")
    issuer.document = jwks(jwk(NEW, "new"))
    issuer.now = 301
    # Nobody waits for a reading while there are keys.
    assert await issuer.keys.key("old", "RS256") is not None
    await issuer.settled()
    assert await issuer.keys.key("old", "RS256") is None
    assert await issuer.keys.key("new", "RS256") is not None


async def test_while_the_issuer_is_away_its_keys_are_good_for_an_hour() -> None:
    issuer = Issuer(jwks(jwk(OLD, "old")))
    await issuer.keys.key("old", "RS256")
    issuer.document = b""
    issuer.now = KEEP_FOR_S - 1
    assert await issuer.keys.key("old", "RS256") is not None
    await issuer.settled()
    assert [type(event) for event in issuer.said] == [JwksUnreadable]
    issuer.now = KEEP_FOR_S + 60
    assert await issuer.keys.key("old", "RS256") is None
    issuer.document = jwks(jwk(OLD, "old"))
    issuer.now += 60
    assert await issuer.keys.key("old", "RS256") is not None


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {**jwk(OLD, "x"), "use": "enc"},
        {**jwk(OLD, "x"), "n": "!!"},
        {"kty": "RSA", "kid": "x"},
        {**jwk(OLD, "x"), "kid": 7},
        "x",
        None,
    ],
)
async def test_what_is_no_key_for_signatures_is_left_out(entry: Any) -> None:
    issuer = Issuer(orjson.dumps({"keys": [entry, jwk(EC, "good")]}))
    assert await issuer.keys.key("x", "RS256") is None
    assert await issuer.keys.key("good", "ES256") is not None
    assert issuer.said == []


@pytest.mark.parametrize("document", [b"", b"[]", b"{", b'{"keys": {}}', b"<html>"])
async def test_what_is_no_document_gives_no_keys_and_is_told(document: bytes) -> None:
    issuer = Issuer(document)
    assert await issuer.keys.key("old", "RS256") is None
    assert [type(event) for event in issuer.said] == [JwksUnreadable]


async def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(jwk(OLD, "a")))
    assert await fetch_from(str(path))() == path.read_bytes()
    with pytest.raises(OSError, match="No such file"):
        await fetch_from(str(tmp_path / "none"))()


async def test_an_address_is_read_but_not_where_it_redirects_to_nor_without_end() -> None:
    async def good(_: web.Request) -> web.Response:
        return web.Response(body=b"{}")

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound("/good")

    async def long(_: web.Request) -> web.Response:
        return web.Response(body=bytes(MAX_BYTES + 1))

    app = web.Application()
    for handler in (good, away, long):
        app.router.add_get(f"/{handler.__name__}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        assert await fetch_from(f"{url}/good")() == b"{}"
        with pytest.raises(ValueError, match="302"):
            await fetch_from(f"{url}/away")()
        with pytest.raises(ValueError, match="more than"):
            await fetch_from(f"{url}/long")()
    finally:
        await runner.cleanup()
