"""Servers that are away or have no room: how long clients wait, and when they come back."""

from __future__ import annotations

import asyncio

import pytest

from taskpush.client import (
    AsyncClient,
    BadAnswer,
    Patience,
    RequestRefused,
    ServerUnreachable,
)
from tests.client.fake_server import FakeServer
from tests.client.reading import next_of, rest_of, seqs
from tests.client.wire import TASK
from tests.support.proxy import SeverableLink
from tests.support.server import free_port

# ---------------------------------------------------------------- unreachable


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://localhost", "http://", ""])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        AsyncClient(address)


async def test_a_server_that_was_never_there_is_given_up_at_once() -> None:
    port = free_port()
    refused = rf"Cannot connect to 127\.0\.0\.1:{port} \(Connection refused\)$"
    async with AsyncClient(f"http://127.0.0.1:{port}") as client, asyncio.timeout(5):
        with pytest.raises(ServerUnreachable, match=refused):
            await client.kinds()
        with pytest.raises(ServerUnreachable):
            await client.connect()
        with pytest.raises(ServerUnreachable):
            await anext(client.watch(TASK))


async def test_something_else_at_the_address_is_no_server(fake: FakeServer) -> None:
    async with AsyncClient(f"{fake.url}/docs#") as client:
        with pytest.raises(BadAnswer):
            await client.kinds()


async def test_a_watch_gives_a_lost_server_up_when_its_patience_ends(
    fake: FakeServer, link: SeverableLink, impatient: Patience
) -> None:
    fake.create(TASK)
    async with AsyncClient(link.url, patience=impatient) as client:
        items = client.watch(TASK)
        await next_of(items, 1)
        link.refusing = True
        link.cut()
        with pytest.raises(ServerUnreachable):
            await next_of(items, 1)


# ---------------------------------------------------------------- too much


async def test_a_client_that_finds_no_room_comes_back_when_it_was_told(fake: FakeServer) -> None:
    fake.no_room = [{"code": "connection_limit", "retry_after_s": 0.3}] * 2
    fake.create(TASK)
    fake.end(TASK)
    async with AsyncClient(fake.url) as client:
        assert seqs(await rest_of(client.watch(TASK))) == [1, 2]
    first, second, third = fake.connects
    assert min(second - first, third - second) >= 0.3


async def test_a_refused_handshake_is_tried_again_when_it_was_told_and_by_no_other_transport(
    fake: FakeServer,
) -> None:
    fake.full = [1]
    fake.create(TASK)
    fake.end(TASK)
    async with AsyncClient(fake.url) as client:
        assert seqs(await rest_of(client.watch(TASK))) == [1, 2]
    first, second = fake.handshakes
    assert second - first >= 1


async def test_a_client_that_finds_no_room_for_longer_than_it_waits_gives_up(
    fake: FakeServer, impatient: Patience
) -> None:
    fake.no_room = [{"code": "connection_limit", "retry_after_s": 0.2}] * 100
    async with AsyncClient(fake.url, patience=impatient) as client:
        with pytest.raises(ServerUnreachable, match="connection_limit"):
            await rest_of(client.watch(TASK))
    assert len(fake.connects) <= 4


async def test_who_creates_too_much_creates_later_and_once(
    client: AsyncClient, fake: FakeServer
) -> None:
    await client.kinds()
    fake.told_later = [1]
    began = asyncio.get_running_loop().time()
    await client.create_task("layout")
    assert asyncio.get_running_loop().time() - began >= 1
    assert len(fake.creates) == 1


async def test_who_would_have_to_wait_for_long_is_told_for_how_long(
    client: AsyncClient, fake: FakeServer
) -> None:
    await client.kinds()
    fake.told_later = [3600]
    with pytest.raises(RequestRefused) as refused:
        await client.create_task("layout")
    assert (refused.value.code, refused.value.retry_after) == ("rate_limited", 3600)
    assert fake.creates == []


async def test_a_subscription_that_came_too_fast_is_asked_for_again_when_it_was_told(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    fake.end(TASK)
    fake.refusals = [{"code": "rate_limited", "message": "slow down", "retry_after_s": 0.5}]
    began = asyncio.get_running_loop().time()
    assert seqs(await rest_of(client.watch(TASK))) == [1, 2]
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert len(fake.subscribes) == 2
