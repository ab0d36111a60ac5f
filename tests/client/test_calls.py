"""Creating and reading tasks, on a server that can be told to misbehave."""

from __future__ import annotations

import pytest

from taskpush.client import (
    AsyncClient,
    ClientError,
    Patience,
    RequestRefused,
    ServerUnreachable,
    TaskCancelled,
    TaskFailed,
    TaskInterrupted,
)
from tests.client.fake_server import FakeServer
from tests.client.wire import TASK, TIMESTAMP


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
