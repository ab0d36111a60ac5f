"""A task's stream over a real server: where it begins, what it says, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.checker import faults
from tests.support.server import ServerProcess
from tests.support.stream import RawStream, StreamEvent, raw_stream

ORIGIN = "https://app.example"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(
        tmp_path_factory.mktemp("stream") / "data", args=("--allow-origin", ORIGIN)
    ) as process:
        yield process


async def _create(server: ServerProcess, kind: str, **params: Any) -> str:
    return await asyncio.to_thread(lambda: server.create(kind, **params))


async def _over(server: ServerProcess, kind: str, **params: Any) -> tuple[str, list[Any]]:
    """A task that is over, and its log."""
    task_id = await _create(server, kind, **params)
    await asyncio.to_thread(server.wait_over, task_id)
    return task_id, await asyncio.to_thread(server.log_of, task_id)


async def _call(server: ServerProcess, method: str, path: str) -> tuple[int, Any]:
    return await asyncio.to_thread(server.call, method, path)


async def _read(
    server: ServerProcess, task_id: str, query: str = "", **headers: str
) -> list[StreamEvent]:
    path = f"/api/tasks/{task_id}/stream{query}"
    async with raw_stream(server.port, path, **headers) as stream:
        assert stream.status == 200
        return await stream.events()


def _id(event: dict[str, Any]) -> str:
    return f"{event['epoch']}:{event['seq']}"


def _seqs(events: list[StreamEvent]) -> list[int]:
    return [e.data["seq"] for e in events if e.name == "task_update" and e.data["seq"]]


async def test_a_running_task_is_seen_from_its_first_event_to_its_last(
    server: ServerProcess,
) -> None:
    task_id = await _create(server, "iterate", iterations=20, pause_s=0.02, log_every=5)
    events = await _read(server, task_id)
    log = await asyncio.to_thread(server.log_of, task_id)
    assert {event.name for event in events} == {"task_update"}
    assert faults(task_id, log, [event.data for event in events]) == []
    assert any(event.data["seq"] is None for event in events)


async def test_an_id_is_the_position_and_volatile_events_have_none(server: ServerProcess) -> None:
    task_id, _ = await _over(server, "iterate", iterations=3)
    for event in await _read(server, task_id):
        assert event.id == (None if event.data["seq"] is None else _id(event.data))


async def test_a_stream_is_an_answer_that_nobody_may_keep_or_buffer(server: ServerProcess) -> None:
    task_id, _ = await _over(server, "iterate", iterations=1)
    path = f"/api/tasks/{task_id}/stream"
    async with raw_stream(server.port, path, origin=ORIGIN, accept_encoding="gzip, br") as stream:
        await stream.events()
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["access-control-allow-origin"] == ORIGIN
        assert "content-encoding" not in stream.headers
        assert "content-length" not in stream.headers
        assert stream.retry_ms is not None
        assert 500 <= stream.retry_ms <= 1500


async def test_what_follows_a_position_is_sent(server: ServerProcess) -> None:
    task_id, log = await _over(server, "iterate", iterations=5)
    after = _seqs(await _read(server, task_id, f"?after={_id(log[3])}"))
    bare = _seqs(await _read(server, task_id, "?after=4"))
    assert after == bare == [5, 6, 7, 8]


async def test_a_browser_that_comes_back_keeps_its_address_and_goes_on(
    server: ServerProcess,
) -> None:
    task_id, log = await _over(server, "iterate", iterations=5)
    for query in (f"?after={_id(log[1])}", "?after=now", "?after=nonsense"):
        assert _seqs(await _read(server, task_id, query, last_event_id=_id(log[5]))) == [7, 8]


async def test_from_now_on_is_from_now_on_also_after_a_loss(server: ServerProcess) -> None:
    task_id = await _create(server, "sleep")
    before = await _until_seq(server, task_id, 3)
    path = f"/api/tasks/{task_id}/stream?after=now"
    async with raw_stream(server.port, path) as stream:
        first = await stream.event()
        assert first == StreamEvent(None, before)
    await _call(server, "POST", f"/api/tasks/{task_id}/cancel")
    await asyncio.to_thread(server.wait_over, task_id)
    assert _seqs(await _read(server, task_id, "?after=now", last_event_id=before)) == [4]


async def test_who_has_the_final_event_is_told_not_to_come_back(server: ServerProcess) -> None:
    task_id, log = await _over(server, "iterate", iterations=2)
    path = f"/api/tasks/{task_id}/stream"
    for query, headers in (
        ("", {"last_event_id": _id(log[-1])}),
        (f"?after={_id(log[-1])}", {}),
        (f"?after={log[-1]['seq']}", {}),
        ("?after=now", {}),
    ):
        async with raw_stream(server.port, path + query, **headers) as stream:
            assert stream.status == 204


async def test_a_final_event_that_a_retry_followed_does_not_end_it(server: ServerProcess) -> None:
    task_id, first = await _over(server, "fail")
    assert (await _call(server, "POST", f"/api/tasks/{task_id}/retry"))[0] == 202
    await asyncio.to_thread(server.wait_over, task_id)
    log = await asyncio.to_thread(server.log_of, task_id)
    assert len(log) > len(first)
    assert _seqs(await _read(server, task_id)) == [event["seq"] for event in log]
    resumed = _seqs(await _read(server, task_id, last_event_id=_id(first[-1])))
    assert resumed == [event["seq"] for event in log[len(first) :]]


async def test_a_task_that_was_interrupted_may_go_on_and_is_waited_for(
    server: ServerProcess,
) -> None:
    task_id = await _create(server, "sleep")
    await _until_seq(server, task_id, 3)
    body = {"keep": True}
    async with raw_stream(server.port, f"/api/tasks/{task_id}/stream") as stream:
        await asyncio.to_thread(server.call, "POST", f"/api/tasks/{task_id}/cancel", body)
        await _until(stream, lambda event: event.data["data"].get("status") == "interrupted")
        await _call(server, "POST", f"/api/tasks/{task_id}/retry")
        await _until(stream, lambda event: event.data["attempt"] == 2)
        await _call(server, "POST", f"/api/tasks/{task_id}/cancel")
        assert (await stream.events())[-1].data["data"]["final"] is True


async def test_a_history_that_cannot_be_continued_is_told(server: ServerProcess) -> None:
    task_id, log = await _over(server, "iterate", iterations=2)
    for position in ("zzzz:3", f"{log[0]['epoch']}:99"):
        first, *rest = await _read(server, task_id, last_event_id=position)
        assert (first.name, first.id, rest) == ("resync", _id(log[-1]), [])
        assert first.data["snapshot"]["status"] == "completed"
        assert first.data["position"] == {"epoch": log[-1]["epoch"], "seq": len(log)}


async def test_a_resync_of_a_running_task_is_followed_by_what_comes(server: ServerProcess) -> None:
    task_id = await _create(server, "sleep")
    await _until_seq(server, task_id, 3)
    async with raw_stream(server.port, f"/api/tasks/{task_id}/stream?after=zzzz:2") as stream:
        first = await stream.event()
        assert first is not None
        assert first.name == "resync"
        await _call(server, "POST", f"/api/tasks/{task_id}/cancel")
        assert _seqs(await stream.events()) == [4]


async def test_a_deleted_task_ends_it_and_exists_no_more(server: ServerProcess) -> None:
    task_id = await _create(server, "sleep")
    await _until_seq(server, task_id, 3)
    async with raw_stream(server.port, f"/api/tasks/{task_id}/stream") as stream:
        body = {"keep": True}
        await asyncio.to_thread(server.call, "POST", f"/api/tasks/{task_id}/cancel", body)
        await _until(stream, lambda event: event.data["data"].get("status") == "interrupted")
        assert (await _call(server, "DELETE", f"/api/tasks/{task_id}"))[0] == 204
        (last,) = await stream.events()
        assert last == StreamEvent("task_deleted", None, {"task_id": task_id})
    async with raw_stream(server.port, f"/api/tasks/{task_id}/stream") as stream:
        assert stream.status == 404


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/api/tasks/{UNKNOWN}/stream", 404, "not_found"),
        ("/api/tasks/nonsense/stream", 404, "not_found"),
        (f"/api/tasks/{UNKNOWN}/stream?after=-1", 422, "invalid_position"),
        (f"/api/tasks/{UNKNOWN}/stream?after=a:b:1", 422, "invalid_position"),
    ],
)
async def test_what_is_wrong_is_a_problem_and_no_stream(
    server: ServerProcess, path: str, status: int, code: str
) -> None:
    answer, problem = await _call(server, "GET", path)
    assert (answer, problem["code"]) == (status, code)


async def test_the_documentation_knows_its_media_type(server: ServerProcess) -> None:
    _, document = await _call(server, "GET", "/openapi.json")
    answers = document["paths"]["/api/tasks/{task_id}/stream"]["get"]["responses"]
    assert list(answers["200"]["content"]) == ["text/event-stream"]
    assert set(answers) == {
        *("200", "204"),
        *("400", "401", "403", "404", "422", "429", "503"),
    }


async def _until_seq(server: ServerProcess, task_id: str, seq: int) -> str:
    return await asyncio.to_thread(server.wait_seq, task_id, seq)


async def _until(stream: RawStream, condition: Any) -> None:
    async with asyncio.timeout(20):
        while True:
            event = await stream.event()
            assert event is not None
            if event.name == "task_update" and condition(event):
                return
