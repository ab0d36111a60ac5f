"""The asynchronous client against a server that can be told to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from taskpush.client import (
    AsyncClient,
    BadAnswer,
    ClientError,
    Patience,
    Position,
    RequestRefused,
    Resync,
    ServerUnreachable,
    TaskCancelled,
    TaskFailed,
    TaskInterrupted,
    WatchItem,
)
from taskpush.client.door import LinkFailed
from taskpush.client.session import CAPACITY
from taskpush.client.socket_link import SocketLink
from tests.client.fake_server import FakeServer
from tests.client.wire import TASK, TIMESTAMP
from tests.support.proxy import SeverableLink, severable_link
from tests.support.server import free_port

WITHIN_S = 10


@pytest.fixture
async def client(fake: FakeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(fake.url) as client:
        yield client


@pytest.fixture
async def link(fake: FakeServer) -> AsyncIterator[SeverableLink]:
    async with severable_link(fake.port) as link:
        yield link


async def next_of(items: AsyncIterator[WatchItem], count: int) -> list[WatchItem]:
    async with asyncio.timeout(WITHIN_S):
        return [await anext(items) for _ in range(count)]


async def rest_of(items: AsyncIterator[WatchItem]) -> list[WatchItem]:
    async with asyncio.timeout(WITHIN_S):
        return [item async for item in items]


def seqs(items: list[WatchItem]) -> list[int | None]:
    return [None if isinstance(item, Resync) else item.seq for item in items]


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition()` holds: for what happens in the fake server's thread."""
    async with asyncio.timeout(WITHIN_S):
        # Nothing that could be awaited: another thread changes it.
        while not condition():  # noqa: ASYNC110 - what changes it is not ours to await
            await asyncio.sleep(0.005)


# ---------------------------------------------------------------- tasks


async def test_a_created_task_reads_like_its_snapshot(
    client: AsyncClient, fake: FakeServer
) -> None:
    task = await client.create_task("layout", {"seed": 1}, title="First")
    assert fake.creates == [
        {"kind": "layout", "params": {"seed": 1}, "title": "First", "task_id": task.task_id}
    ]
    assert (task.status, task.kind, task.final) == ("pending", "layout", False)
    assert task["params"] == {"seed": 1}
    assert dict(task)["created_at"] == TIMESTAMP


async def test_a_flat_create_posts_the_params_as_they_are(
    client: AsyncClient, fake: FakeServer
) -> None:
    task = await client.create_task(bom_file="config/bom_example.json", max_iterations=20)
    assert fake.creates == [{"bom_file": "config/bom_example.json", "max_iterations": 20}]
    assert task["task_id"] == task.task_id


async def test_a_flat_create_takes_nothing_beside_the_params(client: AsyncClient) -> None:
    with pytest.raises(TypeError):
        await client.create_task(title="First", bom_file="x")
    with pytest.raises(TypeError):
        await client.create_task("layout", bom_file="x")


async def test_a_create_whose_answer_was_lost_finds_the_task_it_made(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.lose_answers = 1
    await client.kinds()
    task = await client.create_task("layout", {"seed": 1})
    assert len(fake.creates) == 2
    assert list(fake.records) == [task.task_id]


async def test_a_taken_id_is_refused_when_nothing_was_lost(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.create(TASK)
    with pytest.raises(RequestRefused) as refused:
        await client.create_task("layout", task_id=TASK)
    assert (refused.value.code, refused.value.status) == ("task_id_taken", 409)


async def test_a_flat_create_whose_answer_was_lost_is_not_repeated(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.lose_answers = 1
    await client.kinds()
    with pytest.raises(ServerUnreachable):
        await client.create_task(seed=1)
    assert len(fake.creates) == 1


async def test_a_server_that_is_not_ready_yet_is_asked_again(
    client: AsyncClient, fake: FakeServer
) -> None:
    fake.unavailable = 2
    await client.create_task(seed=1)
    assert len(fake.creates) == 1


async def test_a_server_that_stays_unavailable_says_so_in_the_end(
    fake: FakeServer, impatient: Patience
) -> None:
    fake.unavailable = 1000
    async with AsyncClient(fake.url, patience=impatient) as client:
        with pytest.raises(RequestRefused) as refused:
            await client.create_task(seed=1)
    assert (refused.value.code, refused.value.status) == ("shutting_down", 503)


async def test_invalid_params_name_their_fields(client: AsyncClient) -> None:
    with pytest.raises(RequestRefused) as refused:
        await client.create_task("layout", {"seed": "x"})
    assert refused.value.code == "invalid_params"
    assert [problem.loc for problem in refused.value.errors] == ["params.seed"]


async def test_lists_follow_their_pages(client: AsyncClient, fake: FakeServer) -> None:
    ids = [f"{number}{TASK[1:]}" for number in range(5)]
    for task_id in ids:
        fake.create(task_id)
    assert [task.task_id async for task in client.list_tasks()] == ids
    assert [task.task_id async for task in client.list_tasks(limit=3)] == ids[:3]
    assert [task async for task in client.list_tasks(status="failed")] == []


async def test_events_are_the_log_after_a_position(client: AsyncClient, fake: FakeServer) -> None:
    fake.create(TASK)
    fake.iterate(TASK, 1, 7)
    assert [event.seq async for event in client.events(TASK)] == [*range(1, 9)]
    assert [event.seq async for event in client.events(TASK, "e1:6")] == [7, 8]


async def test_a_result_is_what_the_task_returned(client: AsyncClient, fake: FakeServer) -> None:
    fake.create(TASK)
    with pytest.raises(RequestRefused, match="task_not_finished"):
        await client.get_task_result(TASK)
    fake.end(TASK, result={"final_iteration": 15})
    assert await client.get_task_result(TASK) == {"final_iteration": 15}


@pytest.mark.parametrize(
    ("word", "error"),
    [("failed", TaskFailed), ("cancelled", TaskCancelled), ("interrupted", TaskInterrupted)],
)
async def test_a_task_that_ended_otherwise_has_no_result(
    client: AsyncClient, fake: FakeServer, word: str, error: type[ClientError]
) -> None:
    fake.create(TASK)
    fake.end(TASK, word)
    with pytest.raises(error) as raised:
        await client.get_task_result(TASK)
    if isinstance(raised.value, TaskFailed):
        assert (raised.value.error, raised.value.error_type) == ("no plan fits", "NoPlan")
        assert (raised.value.code, raised.value.task_id) == ("task_error", TASK)


async def test_an_unknown_task_is_refused(client: AsyncClient) -> None:
    for call in (client.get_task, client.get_task_result):
        with pytest.raises(RequestRefused, match="not_found"):
            await call("0199f0c2-0000-7c63-9a0b-5f5f0c1d2e3f")


# ---------------------------------------------------------------- unreachable


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://localhost", "http://", ""])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        AsyncClient(address)


async def test_a_server_that_was_never_there_is_given_up_at_once() -> None:
    async with AsyncClient(f"http://127.0.0.1:{free_port()}") as client, asyncio.timeout(5):
        with pytest.raises(ServerUnreachable):
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


# ---------------------------------------------------------------- watching


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
