"""What a client asks of the server, call by call, over REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from taskpush.client.errors import (
    BadAnswer,
    RequestRefused,
    TaskCancelled,
    TaskFailed,
    TaskInterrupted,
)
from taskpush.client.events import WatchEvent
from taskpush.client.rest import Answer, Rest
from taskpush.client.task import Task
from taskpush.errors import TaskPushError
from taskpush.ids import new_task_id
from taskpush.models.position import START, Position

After = Position | str | int | None
"""Where a watch starts: None is the log's start, "now" the present; else a position, or its text
`epoch:seq`, or a bare seq."""

_NO_TYPE: Final = "application/octet-stream"
"""Of a file whose type is not said: the server goes by its name."""
_PAGE: Final = 200
"""Items asked for at once; the server gives no more."""


class Calls:
    """Creating, reading and ending tasks, without watching them."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def create_task(
        self,
        /,
        kind: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        task_id: str | None = None,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        timeout_s: float | None = None,
        max_attempts: int | None = None,
        **flat: Any,
    ) -> Task:
        """Create a task: `create_task("layout", {"bom_file": "config/bom_example.json"})`.

        Without a kind, keywords are the params of the server's default kind:
        `create_task(bom_file="config/bom_example.json", max_iterations=20)`. With a kind the
        call survives a lost answer, since the task's id is chosen here; without one it is not
        repeated, and `ServerUnreachable` may then mean that the task was created.

        `run_at` (with a zone) delays the task, `priority` moves it among those that wait,
        `timeout_s` bounds an attempt, and `max_attempts` is how often it is tried.

        Raises `RequestRefused` with `unknown_kind`, `invalid_params` (see its `errors`), …, and
        `QueueFull` with `retry_after` when the kind's queue has no room.
        """
        named = {
            "task_id": task_id,
            "title": title,
            "tags": tags,
            "metadata": metadata,
            "priority": priority,
            "run_at": run_at and run_at.isoformat(),
            "timeout_s": timeout_s,
            "max_attempts": max_attempts,
        }
        given = {name: value for name, value in named.items() if value is not None}
        if kind is None:
            if params is not None or given:
                raise TypeError("a task without a kind takes nothing but keywords, its params")
            return Task(await self._post("/tasks", flat, repeatable=False))
        if flat:
            raise TypeError(f"params of a {kind} task go into a dict, not {', '.join(flat)}=…")
        chosen = task_id or new_task_id()
        body = {"kind": kind, "params": dict(params or {}), **given, "task_id": chosen}
        return await self._create(chosen, body)

    async def get_task(self, task_id: str) -> Task:
        """The task as it stands."""
        return Task(await self._get(_path(task_id)))

    async def get_task_result(self, task_id: str) -> Any:
        """What the completed task returned.

        Raises `TaskFailed`, `TaskCancelled` or `TaskInterrupted` when it ended otherwise, and
        `RequestRefused` with `task_not_finished` while it goes on.
        """
        answer = await self._rest.call("GET", f"{_path(task_id)}/result")
        if answer.status < 400:
            return answer.problem.get("result")
        raise _no_result(task_id, answer) or answer.refusal()

    async def list_tasks(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        tag: str | None = None,
        q: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Task]:
        """The tasks that fit, newest first; `limit` is how many at most, None means all."""
        query = _query(limit, status=status, kind=kind, tag=tag, q=q)
        async for fields in _at_most(limit, self._items("/tasks", query)):
            yield Task(fields)

    async def cancel(self, task_id: str, *, attempt: int | None = None, keep: bool = False) -> Task:
        """Ask for the task's end; a running one goes on until it has stopped.

        With `keep` it ends `interrupted`, and `retry` goes on from its newest checkpoint. Raises
        `RequestRefused` with `illegal_transition` when it is over already.
        """
        body = {"keep": keep} | ({} if attempt is None else {"attempt": attempt})
        return Task(await self._post(f"{_path(task_id)}/cancel", body, repeatable=False))

    async def retry(
        self, task_id: str, *, attempt: int | None = None, from_start: bool = False
    ) -> Task:
        """Give a task that failed, was cancelled or interrupted another attempt.

        It goes on from its newest checkpoint unless `from_start`. Raises `RequestRefused` with
        `illegal_transition` for a task in another state.
        """
        body = {"from_start": from_start} | ({} if attempt is None else {"attempt": attempt})
        return Task(await self._post(f"{_path(task_id)}/retry", body, repeatable=False))

    async def delete(self, task_id: str) -> None:
        """Delete a task that is over, with its events and artifacts.

        Raises `RequestRefused` with `illegal_transition` while it waits or runs.
        """
        answer = await self._rest.call("DELETE", _path(task_id), repeatable=False)
        if answer.status >= 400:
            raise answer.refusal()

    async def artifacts(self, task_id: str) -> list[dict[str, Any]]:
        """The files that the task has made: `name`, `size_bytes`, `sha256`, `url`, `attempt`, …

        `partial` are those of an attempt that failed, was cancelled or interrupted.
        """
        return [fields async for fields in self._items(f"{_path(task_id)}/artifacts", {})]

    async def upload(
        self,
        content: str | Path | bytes,
        *,
        name: str | None = None,
        media_type: str | None = None,
    ) -> str:
        """Send a file, by its path or its bytes; gives the id that stands for it in params.

        `create_task("import", {"table": client.upload("parts.csv")})`. Bytes need a `name`; without
        a `media_type` the name decides. A file of any size is sent piece by piece. Who wants it
        gone before it expires can `discard_upload` it.

        Raises `OSError` when the file cannot be read, and `RequestRefused` with
        `payload_too_large` or `upload_limit`.
        """
        if isinstance(content, bytes):
            if name is None:
                raise TypeError("bytes are sent with a name")
            return await self._upload(content, name, media_type)
        path = Path(content)
        with await asyncio.to_thread(path.open, "rb") as file:
            return await self._upload(file, name or path.name, media_type)

    async def _upload(self, content: bytes | BinaryIO, name: str, media_type: str | None) -> str:
        answer = await self._rest.send_file(
            "POST", "/uploads", content, media_type or _NO_TYPE, query={"name": name}
        )
        upload = answer.accepted()
        if not isinstance(upload, dict) or not isinstance(upload.get("upload_id"), str):
            raise BadAnswer("the server sent an upload that is none")
        upload_id: str = upload["upload_id"]
        return upload_id

    async def discard_upload(self, upload_id: str) -> None:
        """Delete a file that no task uses; raises `RequestRefused` with `upload_in_use`."""
        path = f"/uploads/{quote(upload_id, safe='')}"
        answer = await self._rest.call("DELETE", path, repeatable=False)
        if answer.status >= 400:
            raise answer.refusal()

    async def kinds(self) -> list[dict[str, Any]]:
        """What tasks the server runs, with JSON Schema of their params and results."""
        return [fields async for fields in self._items("/kinds", {})]

    async def queue(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Who waits for what, per kind, as `GET /api/queue` says it: in order, with estimates."""
        query = {} if kind is None else {"kind": kind}
        return [fields async for fields in self._items("/queue", query)]

    async def stats(self, kind: str | None = None, *, days: int = 30) -> dict[str, Any]:
        """What became of the tasks of the last days, as `GET /api/stats` says it."""
        query = {"days": str(days)} | ({} if kind is None else {"kind": kind})
        answer = await self._get("/stats", query)
        if not isinstance(answer, dict):
            raise BadAnswer("the server sent statistics that are none")
        return answer

    async def audit(
        self,
        *,
        task_id: str | None = None,
        owner: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Who did what, newest first, as `GET /api/audit` says it; for admins.

        `owner` is who asked, `since` an aware time; `limit` is how many at most, None means all.
        """
        moment = None if since is None else since.isoformat()
        query = _query(limit, task_id=task_id, owner=owner, action=action, since=moment)
        async for entry in _at_most(limit, self._items("/audit", query)):
            yield entry

    async def connections(
        self, *, task_id: str | None = None, owner: str | None = None, limit: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Who watches what, newest first, as `GET /api/connections` says it; for admins.

        Only those who watch the task, only the owner's; `limit` is how many at most, None means
        all.
        """
        query = _query(limit, task_id=task_id, owner=owner)
        async for connection in _at_most(limit, self._items("/connections", query)):
            yield connection

    async def events(self, task_id: str, after: After = None) -> AsyncIterator[WatchEvent]:
        """The logged events after a position that there are now, without waiting for more.

        Raises `RequestRefused` with `position_gone` when the log does not reach back that far.
        """
        if after == "now":
            return
        position = parse_after(after) or START
        async for envelope in self._items(f"{_path(task_id)}/events", {"after": str(position)}):
            yield WatchEvent.parse(envelope)

    # ------------------------------------------------------------ how

    async def _create(self, task_id: str, body: Mapping[str, Any]) -> Task:
        answer = await self._rest.call("POST", "/tasks", body=body)
        taken = answer.status == 409 and answer.problem.get("code") == "task_id_taken"
        if answer.repeated and taken:
            # An earlier try created it, and its answer was lost.
            task = await self.get_task(task_id)
            if task.kind == body["kind"]:
                return task
        return Task(answer.accepted())

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return (await self._rest.call("GET", path, query=query)).accepted()

    async def _post(self, path: str, body: Mapping[str, Any], *, repeatable: bool) -> Any:
        answer = await self._rest.call("POST", path, body=body, repeatable=repeatable)
        return answer.accepted()

    async def _items(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """The items of all pages."""
        page = await self._get(path, query)
        while True:
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise BadAnswer(f"the server sent a page of {path} that is none")
            for item in page["items"]:
                yield item
            following = page.get("next")
            if not following:
                return
            page = await self._get(str(following).removeprefix("/api"))


def _query(limit: int | None, **named: str | None) -> dict[str, str]:
    """What is not None, and how many items a page has when `limit` are wanted."""
    query = {name: value for name, value in named.items() if value is not None}
    return query | {"limit": str(max(1, min(limit or _PAGE, _PAGE)))}


async def _at_most(
    limit: int | None, items: AsyncIterator[dict[str, Any]]
) -> AsyncIterator[dict[str, Any]]:
    left = limit
    async for item in items:
        if left is not None:
            if left <= 0:
                return
            left -= 1
        yield item


def _path(task_id: str) -> str:
    return f"/tasks/{quote(task_id, safe='')}"


def parse_after(after: After) -> Position | None:
    match after:
        case None | Position():
            return after
        case int():
            return Position(seq=after)
        case str():
            try:
                return Position.parse(after)
            except TaskPushError as error:
                raise RequestRefused(error.code, detail=error.detail) from None


def _no_result(task_id: str, answer: Answer) -> TaskFailed | TaskCancelled | TaskInterrupted | None:
    problem = answer.problem
    detail = str(problem.get("detail") or "")
    match problem.get("code"):
        case "task_failed":
            return TaskFailed(
                task_id,
                error=detail,
                error_type=str(problem.get("error_type") or ""),
                code=str(problem.get("error_code") or "task_failed"),
            )
        case "task_cancelled":
            return TaskCancelled(task_id, detail or "the task was cancelled")
        case "task_interrupted":
            return TaskInterrupted(task_id, detail or "the task was interrupted")
    return None
