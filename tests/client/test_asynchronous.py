"""Watching by the asynchronous client, on a server that can be told to misbehave."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from taskpush.client import (
    AsyncClient,
    ClientError,
    Position,
    RequestRefused,
    Resync,
)
from taskpush.client.door import LinkFailed
from taskpush.client.session import CAPACITY
from taskpush.client.socket_link import SocketLink
from tests.client.fake_server import FakeServer
from tests.client.reading import next_of, rest_of, seqs, until
from tests.client.wire import TASK
from tests.support.proxy import SeverableLink


async def test_a_watch_shows_the_log_then_the_present_until_the_end(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    fake.run(TASK)
    items = client.watch(TASK)
    assert seqs(await next_of(items, 2)) == [1, 2]
    fake.iterate(TASK, 1, 3)
    fake.publish(TASK, "progress", {"progress_percent": 50}, rev=1)
    assert seqs(await next_of(items, 4)) == [3, 4, 5, None]
    fake.end(TASK)
    assert seqs(await rest_of(items)) == [6]


async def test_a_task_that_is_over_shows_its_log_and_ends(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    fake.publish(TASK, "progress", {"progress_percent": 99}, rev=1)
    fake.end(TASK)
    assert seqs(await rest_of(client.watch(TASK.upper()))) == [1, None, 2]
    assert await rest_of(client.watch(TASK, "e1:2")) == []
    assert await rest_of(client.watch(TASK, "now")) == []


@pytest.mark.parametrize("after", [Position(3, "e1"), "e1:3", "3", 3], ids=str)
async def test_a_watch_can_start_after_a_position(
    client: AsyncClient, fake: FakeServer, after: Position | str | int
) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, 5)
    fake.end(TASK)
    assert seqs(await rest_of(client.watch(TASK, after))) == [4, 5, 6, 7]


@pytest.mark.parametrize("after", ["yesterday", "e1:-1", "99"])
async def test_a_position_that_is_none_is_refused(
    client: AsyncClient, fake: FakeServer, after: str
) -> None:
    fake.create(TASK)
    with pytest.raises(RequestRefused):
        await rest_of(client.watch(TASK, after))


async def test_a_task_can_be_watched_before_it_is_created(
    client: AsyncClient, fake: FakeServer
) -> None:
    items = client.watch(TASK)
    first = asyncio.ensure_future(next_of(items, 1))
    await until(lambda: fake.subscribes)
    await client.create_task("layout", task_id=TASK)
    assert seqs(await first) == [1]
    await items.aclose()


async def test_a_cut_link_loses_repeats_and_swaps_nothing(
    fake: FakeServer, link: SeverableLink
) -> None:
    changes: list[bool] = []
    fake.create(TASK)
    async with AsyncClient(link.url, on_connection_change=changes.append) as client:
        items = client.watch(TASK)
        seen = await next_of(items, 1)
        for cut in range(4):
            await asyncio.to_thread(fake.iterate, TASK, 5 * cut, 5 * cut + 4)
            link.cut()
            seen += await next_of(items, 3)
        fake.end(TASK)
        seen += await rest_of(items)
    assert seqs(seen) == [*range(1, 23)]
    assert changes[:3] == [True, False, True]
    assert changes[-1] is False


async def test_what_is_created_over_rest_can_be_watched_although_the_first_connection_fails(
    fake: FakeServer, link: SeverableLink
) -> None:
    async with AsyncClient(link.url) as client:
        task = await client.create_task("layout")
        link.refusing = True
        items = client.watch(task.task_id)
        first = asyncio.ensure_future(next_of(items, 1))
        await until(lambda: client._connections and client._connections[0]._failures)
        link.refusing = False
        assert seqs(await first) == [1]
        await items.aclose()


async def test_a_gap_is_closed_by_asking_again(client: AsyncClient, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, 5)
    fake.hidden = {3, 4}
    items = client.watch(TASK)
    assert seqs(await next_of(items, 6)) == [*range(1, 7)]
    assert [asked.get("after") for asked in fake.subscribes] == [None, {"epoch": "e1", "seq": 2}]
    await items.aclose()


async def test_repeated_events_are_shown_once(client: AsyncClient, fake: FakeServer) -> None:
    fake.create(TASK)
    items = client.watch(TASK)
    await next_of(items, 1)
    event = fake.append(TASK, "log", {"message": "once"})
    fake.send("task_update", event)
    fake.send("task_update", fake.logs[TASK][0])
    fake.end(TASK)
    assert seqs(await rest_of(items)) == [2, 3]


async def test_a_history_that_was_cut_is_said(fake: FakeServer, link: SeverableLink) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, 8)
    async with AsyncClient(link.url) as client:
        items = client.watch(TASK)
        await next_of(items, 9)
        fake.restore(TASK, 4)
        link.cut()
        (cut,) = await next_of(items, 1)
        fake.iterate(TASK, 1, 1)
        fake.end(TASK)
        rest = await rest_of(items)
    assert isinstance(cut, Resync)
    assert (cut.position, cut.snapshot["task_id"]) == (Position(4, "e1"), TASK)
    assert seqs(rest) == [5, 6]


async def test_watches_share_a_connection_and_leave_it_alone(
    fake: FakeServer, link: SeverableLink
) -> None:
    other = f"1{TASK[1:]}"
    async with AsyncClient(link.url) as client:
        for task_id in (TASK, other):
            fake.create(task_id)
        first, second = client.watch(TASK), client.watch(other)
        await next_of(first, 1)
        await next_of(second, 1)
        assert link.open_connections == 1
        await first.aclose()
        await until(lambda: fake.unsubscribes == [TASK])
        fake.end(other)
        assert seqs(await rest_of(second)) == [2]


async def test_a_task_may_be_watched_twice_from_different_places(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, 3)
    async with aclosing(client.watch(TASK)) as whole, aclosing(client.watch(TASK, "now")) as late:
        assert seqs(await next_of(whole, 2)) == [1, 2]
        following = asyncio.ensure_future(next_of(late, 1))
        await until(lambda: len(fake.subscribes) == 2)
        await until(lambda: all(len(sids) == 2 for sids in fake._watchers.values()))
        fake.end(TASK)
        assert seqs(await rest_of(whole)) == [3, 4, 5]
        assert seqs(await following) == [5]


async def test_a_slow_application_holds_up_nothing_and_misses_nothing(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, CAPACITY + 200)
    items = client.watch(TASK)
    seen = await next_of(items, 1)
    await until(lambda: fake.unsubscribes)
    fake.end(TASK)
    seen += await rest_of(items)
    assert seqs(seen) == [*range(1, CAPACITY + 203)]


async def test_a_refusal_for_the_moment_is_asked_again(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    fake.refusals = [{"code": "store_unavailable"}, {"code": "rate_limited"}]
    items = client.watch(TASK)
    assert seqs(await next_of(items, 1)) == [1]
    await items.aclose()


async def test_a_refused_subscription_raises_its_code(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.refusals = [{"code": "subscription_limit", "message": "at most 128"}]
    with pytest.raises(RequestRefused, match="at most 128"):
        await next_of(client.watch(TASK), 1)


async def test_a_deleted_task_ends_its_watch(client: AsyncClient, fake: FakeServer) -> None:
    fake.create(TASK)
    items = client.watch(TASK)
    await next_of(items, 1)
    fake.send("task_deleted", {"task_id": TASK})
    with pytest.raises(RequestRefused, match="deleted"):
        await next_of(items, 1)


async def test_a_client_that_was_sent_away_does_not_come_back(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    items = client.watch(TASK)
    await next_of(items, 1)
    await asyncio.to_thread(fake.hang_up, "rate_limited")
    with pytest.raises(RequestRefused, match="go away"):
        await next_of(items, 1)
    assert len(fake.subscribes) == 1


async def test_closing_the_client_ends_its_watches(client: AsyncClient, fake: FakeServer) -> None:
    fake.create(TASK)
    items = client.watch(TASK)
    await next_of(items, 1)
    waiting = asyncio.ensure_future(next_of(items, 1))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientError, match="closed"):
        await waiting


async def test_polling_is_tried_where_websockets_do_not_pass_and_no_other_door_is_allowed(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, tried = SocketLink.connect, []

    async def no_websocket(
        link: SocketLink, url: str, auth: dict[str, str] | None, timeout_s: float
    ) -> None:
        tried.append(link._transport)
        if link._transport == "websocket":
            raise LinkFailed("a proxy does not let it pass")
        await connect(link, url, auth, timeout_s)

    monkeypatch.setattr(SocketLink, "connect", no_websocket)
    fake.create(TASK)
    fake.iterate(TASK, 1, 50)
    async with AsyncClient(fake.url, doors=("socketio",)) as client:
        items = client.watch(TASK)
        assert seqs(await next_of(items, 51)) == [*range(1, 52)]
        fake.end(TASK)
        assert seqs(await rest_of(items)) == [52]
    assert tried == ["websocket", "polling"]
