"""taskpush in an application of one's own: at the root, under a prefix, and forgotten to start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
import uvicorn
from fastapi import FastAPI

from taskpush import TaskContext, TaskPush
from taskpush.errors import StoreLocked
from taskpush.settings import Settings


def _push(data: Path, **settings: Any) -> TaskPush:
    push = TaskPush(default_kind="double", settings=Settings(data=data, **settings))

    @push.task("double")
    async def double(ctx: TaskContext, params: dict[str, int]) -> int:
        """Twice the number."""
        await ctx.iteration(1, metrics={"number": params["number"]})
        return 2 * params["number"]

    return push


@asynccontextmanager
async def _served(app: Any) -> AsyncIterator[str]:
    """The application on a free port of a real uvicorn, in this process."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=3
        )
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done(), serving.result()
        await asyncio.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


def _alone(data: Path) -> Any:
    return _push(data)


def _at_the_root(data: Path) -> Any:
    # Its own documentation pages would stand before ours.
    app = FastAPI(docs_url=None, openapi_url=None)
    app.add_api_route("/own", lambda: {"own": True})
    _push(data).mount_into(app)
    return app


def _under_a_prefix(data: Path) -> Any:
    app = FastAPI()
    app.add_api_route("/own", lambda: {"own": True})
    _push(data).mount_into(app, "/jobs")
    return app


def _by_hand(data: Path) -> Any:
    push = _push(data)
    app = FastAPI(lifespan=push.lifespan)
    app.mount("/deep/jobs", push)
    return app


@pytest.mark.parametrize(
    ("make", "prefix"),
    [(_alone, ""), (_at_the_root, ""), (_under_a_prefix, "/jobs"), (_by_hand, "/deep/jobs")],
)
async def test_every_part_answers_where_it_is_mounted(
    make: Callable[[Path], Any], prefix: str, tmp_path: Path
) -> None:
    async with _served(make(tmp_path)) as url, aiohttp.ClientSession(url) as http:
        created = await http.post(f"{prefix}/api/tasks", json={"number": 21})
        assert created.status == 201
        task_id = (await created.json())["task_id"]
        assert created.headers["Location"] == f"{prefix}/api/tasks/{task_id}"
        assert await _watched_result(url, prefix, task_id) == 42
        for path in ("/", "/docs", "/openapi.json", "/readyz", "/static/vendor/socket.io.min.js"):
            async with http.get(prefix + path) as answer:
                assert answer.status == 200, path
        page = await (await http.get(f"{prefix}/docs")).text()
        assert f'"{prefix}/static/vendor/swagger-ui-bundle.js"' in page
        assert "cdn" not in page.lower()
        async with http.get("/own") as own:
            assert (own.status == 200) is (make in (_at_the_root, _under_a_prefix))


async def _watched_result(url: str, prefix: str, task_id: str) -> Any:
    client = socketio.AsyncClient()
    final: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_update(envelope: dict[str, Any]) -> None:
        if envelope["data"].get("final"):
            final.set_result(envelope["data"]["result"])

    client.on("task_update", on_update, namespace="/tasks")
    await client.connect(
        url, socketio_path=f"{prefix}/socket.io", namespaces=["/tasks"], transports=["websocket"]
    )
    try:
        await client.emit("subscribe", {"task_id": task_id}, namespace="/tasks")
        return await asyncio.wait_for(final, 10)
    finally:
        await client.disconnect()


@pytest.mark.parametrize(
    ("allow_hosts", "status"), [((), 400), (("jobs.example",), 200), (("*",), 200)]
)
async def test_mounted_it_answers_to_the_names_it_would_alone(
    tmp_path: Path, allow_hosts: tuple[str, ...], status: int
) -> None:
    app = FastAPI()
    app.add_api_route("/own", lambda: {"own": True})
    _push(tmp_path, allow_hosts=allow_hosts).mount_into(app, "/jobs")
    named = {"Host": "jobs.example"}
    async with _served(app) as url, aiohttp.ClientSession(url, headers=named) as http:
        async with http.get("/jobs/api/kinds") as answer:
            assert answer.status == status
        # What is not its own is none of its business.
        async with http.get("/own") as answer:
            assert answer.status == 200
            assert "Content-Security-Policy" not in answer.headers


async def test_mounted_but_not_started_it_says_what_is_missing(tmp_path: Path) -> None:
    app = FastAPI()
    app.mount("/jobs", _push(tmp_path))
    async with _served(app) as url, aiohttp.ClientSession(url) as http:
        answer = await http.get("/jobs/api/kinds")
        assert answer.status == 503
        problem = await answer.json(content_type="application/problem+json")
        assert problem["code"] == "not_started"
        assert "mount_into" in problem["detail"]


async def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with _push(tmp_path).lifespan():
        with pytest.raises(StoreLocked, match="another server"):
            async with _push(tmp_path).lifespan():
                pass


async def test_a_default_kind_that_nobody_registered_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="default_kind 'nobody'"):
        async with TaskPush(default_kind="nobody", settings=Settings(store="memory")).lifespan():
            pass


async def test_it_starts_again_after_it_was_stopped(tmp_path: Path) -> None:
    push = _push(tmp_path)
    for expected in (1, 2):
        async with _served(push) as url, aiohttp.ClientSession(url) as http:
            await http.post("/api/tasks", json={"number": 1})
            page = await (await http.get("/api/tasks")).json()
            assert len(page["items"]) == expected


@pytest.mark.parametrize(("mode", "warned"), [(0o700, False), (0o755, True)])
async def test_a_data_folder_that_others_may_look_into_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    async with _push(data).lifespan():
        pass
    said = [line for line in caplog.messages if line.startswith("data.exposed")]
    assert said == ([f"data.exposed folder={data} mode={mode:04o}"] if warned else [])
