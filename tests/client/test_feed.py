"""Watching a feed: as a value, and with both clients against a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from taskpush.client import (
    AsyncClient,
    BadAnswer,
    Client,
    FeedChange,
    FeedItem,
    FeedReset,
    RequestRefused,
    Task,
)
from taskpush.client.feed import FeedSession
from taskpush.client.session import MAX_TRIES, Subscribe
from tests.support.proxy import severable_link
from tests.support.server import ServerProcess

WITHIN_S = 30


def asked(session: FeedSession) -> Subscribe:
    request = session.next_request()
    assert request is not None
    return request


def live(after: str | None = None) -> FeedSession:
    """A session whose subscription was answered."""
    session = FeedSession("all", after=after)
    session.link_up()
    session.answered(asked(session).number, {"ok": True, "feed": "all"})
    return session


def taken(session: FeedSession) -> list[FeedItem]:
    items = []
    while (item := session.take()) is not None:
        items.append(item)
    return items


def listed(cursor: str, *tasks: str, reset: bool = False) -> dict[str, Any]:
    return {"feed": "all", "tasks": [state(task) for task in tasks], "cursor": cursor} | {
        "reset": reset
    }


def update(task: str, cursor: str, **fields: Any) -> dict[str, Any]:
    return {"feed": "all", "task": state(task, **fields), "cursor": cursor}


def state(task: str, **fields: Any) -> dict[str, Any]:
    return {"task_id": task, "status": "running", **fields}


def shown(session: FeedSession) -> list[tuple[str, str | None, str | None] | str]:
    return [
        (item.task_id, item.task.status if item.task is not None else None, item.cursor)
        if isinstance(item, FeedChange)
        else "reset"
        for item in taken(session)
    ]


def test_it_asks_once_for_each_link_and_goes_on_where_it_was() -> None:
    session = FeedSession("kind:layout", after="c1")
    assert session.next_request() is None
    session.link_up()
    request = asked(session)
    assert request.payload == {"feed": "kind:layout", "after": "c1"}
    assert session.next_request() is None
    session.answered(request.number, {"ok": True})
    session.receive("feed_update", update("a", "c2"))
    session.link_down()
    assert session.next_request() is None
    session.link_up()
    assert asked(session).payload == {"feed": "kind:layout", "after": "c2"}


def test_what_waits_is_merged_and_the_cursor_is_that_of_what_was_taken() -> None:
    session = live()
    session.receive("active_tasks", listed("c1", "a", "b"))
    session.receive("feed_update", update("a", "c2", status="completed"))
    session.receive("feed_update", update("c", "c3", deleted=True))
    assert shown(session) == [("a", "completed", None), ("b", "running", None), ("c", None, "c3")]
    session.receive("task_created", update("d", "c4"))
    session.receive("feed_update", update("e", "c5"))
    assert shown(session) == [("d", "running", "c3"), ("e", "running", "c5")]


def test_a_reset_comes_before_what_is_listed_anew_and_drops_what_waited() -> None:
    session = live("c0")
    session.receive("feed_update", update("a", "c1"))
    session.receive("active_tasks", listed("c2", "b", reset=True))
    assert shown(session) == ["reset", ("b", "running", "c2")]


def test_what_an_earlier_subscription_is_still_told_is_left_out() -> None:
    session = FeedSession("all")
    session.link_up()
    request = asked(session)
    session.receive("feed_update", update("a", "c9"))
    session.answered(request.number, {"ok": True})
    assert taken(session) == []
    session.link_down()
    session.link_up()
    assert asked(session).payload == {"feed": "all"}


def test_a_refusal_for_the_moment_is_asked_again_and_another_fails() -> None:
    session = FeedSession("all")
    session.link_up()
    for _ in range(MAX_TRIES - 1):
        session.answered(asked(session).number, {"ok": False, "code": "rate_limited"})
        assert not session.over
    session.answered(asked(session).number, {"ok": False, "code": "rate_limited"})
    assert isinstance(session.failure, RequestRefused)
    other = FeedSession("everything")
    other.link_up()
    other.answered(asked(other).number, {"ok": False, "code": "invalid_request"})
    assert isinstance(other.failure, RequestRefused)
    assert other.next_request() is None


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("active_tasks", {"feed": "all", "tasks": None, "cursor": "c"}),
        ("feed_update", {"feed": "all", "task": [], "cursor": "c"}),
        ("task_created", {"feed": "all", "cursor": "c"}),
    ],
)
def test_what_is_no_task_fails_the_watch(name: str, payload: dict[str, Any]) -> None:
    session = live()
    session.receive(name, payload)
    assert isinstance(session.failure, BadAnswer)


async def test_every_last_state_arrives_across_cut_links(real_server: ServerProcess) -> None:
    known: dict[str, str] = {}
    items = cuts = 0
    async with (
        severable_link(real_server.port) as link,
        AsyncClient(link.url) as client,
        AsyncClient(real_server.url) as creator,
        asyncio.timeout(WITHIN_S),
    ):
        _, before = await asyncio.to_thread(real_server.call, "GET", "/api/feed")
        params = {"iterations": 10, "pause_s": 0.05}
        tasks = [await creator.create_task("iterate", params, tags=["cut"]) for _ in range(30)]
        over = {task.task_id: "completed" for task in tasks}
        async for item in client.feed("tag:cut", after=before["cursor"]):
            assert isinstance(item, FeedChange)
            assert item.task is not None
            known[item.task_id] = item.task.status
            items += 1
            if items % 8 == 0 and cuts < 3:
                cuts += 1
                link.cut()
            if known == over:
                break
    assert cuts == 3


def test_a_feed_is_gone_on_with_by_its_cursor(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:
        cursor = real_server.call("GET", "/api/feed")[1]["cursor"]
        first = client.create_task("iterate", {"iterations": 1}, tags=["later"])
        for item in client.feed("tag:later", after=cursor):
            assert isinstance(item, FeedChange)
            cursor = item.cursor
            if item.task is not None and item.task.final:
                break
        list(client.watch(first.task_id))
        second = client.create_task("iterate", {"iterations": 1}, tags=["later"])
        list(client.watch(second.task_id))
        client.delete(first.task_id)
        feed = client.feed("tag:later", after=cursor)
        known: dict[str, Task | None] = {}
        while first.task_id not in known or known.get(second.task_id) is None:
            item = next(feed)
            assert isinstance(item, FeedChange)
            if item.task is None or item.task.final:
                known[item.task_id] = item.task
        assert known[first.task_id] is None
        assert next(iter(client.feed("tag:later", after="of another server"))) == FeedReset(
            "tag:later"
        )


@pytest.mark.parametrize("name", ["everything", "queue"])
def test_a_feed_without_such_a_name_is_refused(real_server: ServerProcess, name: str) -> None:
    with Client(real_server.url) as client, pytest.raises(RequestRefused, match="invalid_request"):
        next(client.feed(name))
