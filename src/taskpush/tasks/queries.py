"""Reading: one task, lists, results, the log by long poll."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import JsonValue

from taskpush.access.policy import demand, may, readable
from taskpush.access.principal import Principal, Role
from taskpush.access.seal import Seal
from taskpush.core.views import artifact_of, volatile_of
from taskpush.errors import NotFound, TaskPushError
from taskpush.models.events import EventType, Status
from taskpush.models.position import Position
from taskpush.models.task import ListedArtifact, LoggedEvent, TaskRecord, VolatileEvent
from taskpush.push.hub import Hub
from taskpush.store.base import LogPage, Store, TaskFilter, TaskPage
from taskpush.tasks.showing import Showing
from taskpush.tasks.waiting import LongPolls

_NO_RESULT = {
    Status.PENDING: "task_not_finished",
    Status.RUNNING: "task_not_finished",
    Status.FAILED: "task_failed",
    Status.CANCELLED: "task_cancelled",
    Status.INTERRUPTED: "task_interrupted",
}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list is asked for; None means any, or the first page. Whose comes from who asks."""

    limit: int
    after: str | None = None
    status: Status | None = None
    kind: str | None = None
    tag: str | None = None
    # Both exclusive.
    created_after: datetime | None = None
    created_before: datetime | None = None
    # Part of the title or the id, without regard to case.
    q: str | None = None


class TaskQueries:
    """Reads tasks, for a principal, by the policy."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        showing: Showing,
        polls: LongPolls | None = None,
        *,
        seal: Seal | None = None,
    ) -> None:
        """`seal` closes places in lists; without one they end with this process."""
        self._seal = Seal() if seal is None else seal
        self._store = store
        self._hub = hub
        self._showing = showing
        self._polls = LongPolls() if polls is None else polls

    def shown(self, principal: Principal, record: TaskRecord) -> TaskRecord:
        """The record as the principal may see it."""
        return self._showing.record(principal, record)

    async def find(self, principal: Principal, task_id: str) -> TaskRecord | None:
        """The task, or None when it does not exist for this principal; raises `Forbidden`."""
        demand(principal, Role.READ)
        record = await self._store.get(task_id)
        return record if record is not None and may(principal, Role.READ, record) else None

    async def get(self, principal: Principal, task_id: str) -> TaskRecord:
        """The task; raises `NotFound` when it does not exist for this principal."""
        record = await self.find(principal, task_id)
        if record is None:
            raise NotFound
        return record

    async def page(self, principal: Principal, query: ListQuery) -> TaskPage:
        """A page of tasks, newest first; raises `Forbidden` and `InvalidRequest`."""
        reach = readable(principal, kind=query.kind, tag=query.tag)
        where = TaskFilter(
            tenant=reach.tenant,
            owner=reach.owner,
            status=query.status,
            kind=reach.kind,
            tag=reach.tag,
            created_after=query.created_after,
            created_before=query.created_before,
            q=query.q,
        )
        after = None if query.after is None else self._seal.open(query.after) or ""
        page = await self._store.tasks(where, limit=query.limit, after=after)
        return replace(page, next=page.next and self._seal.close(page.next))

    async def result(self, principal: Principal, task_id: str) -> JsonValue:
        """What the task returned.

        Raises `task_not_finished`, `task_interrupted`, `task_failed` or `task_cancelled`, with
        the status and the error, when there is no result; `result_gone` when the principal's task
        was deleted.
        """
        record = await self.find(principal, task_id)
        if record is None:
            owner = {"tenant": principal.tenant, "owner": principal.owner}
            deleted = await self._store.was_deleted(task_id, **owner)
            raise TaskPushError(code="result_gone") if deleted else NotFound
        if record.status is Status.COMPLETED:
            return self._showing.result(principal, record)
        error = record.error
        raise TaskPushError(
            error.error if error else record.message,
            code=_NO_RESULT[record.status],
            extra={"task_status": record.status.value}
            | ({"error_type": error.error_type, "error_code": error.code} if error else {}),
        )

    async def artifacts(self, principal: Principal, task_id: str) -> Sequence[ListedArtifact]:
        """All files that the task has made, in the order in which it made them."""
        await self.get(principal, task_id)
        events = await self._store.read_type(task_id, EventType.ARTIFACT)
        # Read last: an attempt that has ended meanwhile says what its files are.
        record = await self.get(principal, task_id)
        return [artifact_of(record, event) for event in events]

    async def artifact(
        self, principal: Principal, task_id: str, name: str, sha256: str | None
    ) -> ListedArtifact:
        """The newest artifact of that name, or the newest with that hash.

        Raises `NotFound` when the task does not exist for this principal, `artifact_not_found`
        when it has no such file.
        """
        for artifact in reversed(await self.artifacts(principal, task_id)):
            if artifact.name == name and sha256 in {None, artifact.sha256}:
                return artifact
        raise TaskPushError(f"no artifact named {name}", code="artifact_not_found")

    async def events(
        self,
        principal: Principal,
        task_id: str,
        after: Position,
        *,
        limit: int,
        wait_s: float,
        after_rev: int | None = None,
    ) -> tuple[TaskRecord, LogPage]:
        """A page of the log after a position.

        With `wait_s`, an empty page waits that long for the next event of any type, unless the
        task is over, has a volatile event newer than `after_rev`, or the server stops. Raises
        `NotFound` and `PositionGone`.
        """
        stirred = _Stirred()
        self._hub.attach(task_id, stirred)
        try:
            record = await self.get(principal, task_id)
            page = await self._store.read(task_id, after, limit)
            news = page.events or page.final or _has_newer(record, after_rev)
            if not news and wait_s > 0:
                async with self._polls.up_to(wait_s):
                    await stirred.wait()
                page = await self._store.read(task_id, after, limit)
            return await self.get(principal, task_id), page
        finally:
            self._hub.detach(task_id, stirred)


def _has_newer(record: TaskRecord, rev: int | None) -> bool:
    """Whether a page would show a volatile event that whoever has seen `rev` has not."""
    return rev is not None and any(event.rev > rev for event in volatile_of(record))


class _Stirred:
    """A watcher that only notes that something happened."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def on_logged(self, event: LoggedEvent) -> None:
        self._event.set()

    def on_volatile(self, event: VolatileEvent) -> None:
        # A page has no previews in it.
        if event.event_type is not EventType.PREVIEW:
            self._event.set()

    def on_deleted(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Until something happened."""
        await self._event.wait()
