"""Commands: create, cancel, retry, delete."""

from __future__ import annotations

import asyncio
import math
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import orjson
from pydantic import ValidationError

from taskpush.access.destinations import Destinations
from taskpush.access.policy import demand, may
from taskpush.access.principal import Principal, Role
from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.core.limits import DEFAULT_LIMITS, Limits
from taskpush.core.rates import Rates
from taskpush.errors import (
    FieldProblem,
    Forbidden,
    InvalidRequest,
    NotFound,
    QueueFull,
    StartedElsewhere,
    TaskPushError,
)
from taskpush.ids import new_task_id
from taskpush.models.audit import Action, AuditEntry, Via
from taskpush.models.commands import (
    CancelTask,
    CreateBatch,
    CreateTask,
    RetryTask,
)
from taskpush.models.events import Status
from taskpush.models.problems import field_problem
from taskpush.models.task import ProducerRef, TaskRecord
from taskpush.models.uploads import UploadRef, ids_in
from taskpush.models.values import joined, value_problems
from taskpush.models.webhooks import Webhook
from taskpush.runner.aside import read_aside
from taskpush.runner.base import Runner
from taskpush.runner.kind import KindSpec
from taskpush.runner.registry import Registry
from taskpush.runner.uploads import Uploads
from taskpush.store.base import Created, IdempotencyKey, Store, Waiting
from taskpush.store.blobs import Blobs
from taskpush.tasks.audit import AuditTrail, noted
from taskpush.tasks.uploads import UploadShelf, remove_files

Outcome = TypeVar("Outcome")

UNKNOWN_S: Final = 5.0
"""When to come back to a full queue of which nobody knows when it will have room."""


async def _unknown(_kind: str, _places: int) -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for a create, and what it was sent with."""

    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The tasks of a create; `fresh` is False when an earlier call had made them."""

    records: Sequence[TaskRecord]
    fresh: bool


class TaskService:
    """Creates and controls tasks, for a principal, by the policy.

    What is done to a task is noted in the audit trail, in the transaction that does it; so are
    attempts of those who may not.

    `room_in_s` tells when a kind's full queue has so many places again, in seconds, or None.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        runner: Runner,
        clock: Clock,
        blobs: Blobs,
        audit: AuditTrail,
        *,
        default_kind: str | None = None,
        room_in_s: Callable[[str, int], Awaitable[float | None]] = _unknown,
        limits: Limits = DEFAULT_LIMITS,
        destinations: Destinations | None = None,
        uploads: UploadShelf | None = None,
    ) -> None:
        self._limits = limits
        self._destinations = destinations or Destinations()
        # None when everybody may create as many as they like.
        self._creates = _rates(limits.creates_per_min.each)
        self._store = store
        self._registry = registry
        self._runner = runner
        self._clock = clock
        self._blobs = blobs
        self._audit = audit
        self._uploads = uploads or UploadShelf(store, blobs, clock, limits=limits)
        self._under_way: set[asyncio.Task[Any]] = set()
        # None means that every create has to name its kind.
        self._default_kind = default_kind
        self._room_in_s = room_in_s

    def parse_create(self, body: Mapping[str, Any]) -> CreateTask:
        """Read the body of a create.

        A body without `kind` and `params` is taken whole as the params of the default kind.
        Raises `InvalidRequest` naming the fields that are wrong.
        """
        if self._default_kind is not None and "kind" not in body and "params" not in body:
            body = {"kind": self._default_kind, "params": dict(body)}
        try:
            return CreateTask.model_validate(body)
        except ValidationError as error:
            raise InvalidRequest(problems=problems_of(error)) from None

    def parse_batch(self, batch: CreateBatch) -> list[CreateTask]:
        """Read the bodies of a batch; raises `InvalidRequest` naming the first that is wrong."""
        commands = []
        for index, body in enumerate(batch.tasks):
            try:
                commands.append(self.parse_create(body))
            except InvalidRequest as error:
                raise _within(f"tasks.{index}", error) from None
        return commands

    async def create(
        self, principal: Principal, command: CreateTask, key: Idempotency | None = None
    ) -> Accepted:
        """Store the task and hand it to the runner; it is committed, synced, when this returns.

        With a key that was used for the same body, the task of that time is returned. Raises
        `forbidden`, `unknown_kind`, `invalid_params`, `invalid_request`, `task_id_taken`,
        `started_elsewhere`, `not_external`, `rate_limited`, `queue_full` or
        `idempotency_conflict`; nothing is stored then.
        """
        demand(principal, Role.CREATE)
        owned = _owned(principal, key)
        try:
            record = await self._new(principal, command)
        except TaskPushError as refused:
            return await self._earlier(owned, refused)
        return await self._see_through(self._commit(principal, [record], owned))

    async def create_batch(
        self, principal: Principal, commands: Sequence[CreateTask], key: Idempotency | None = None
    ) -> Accepted:
        """As `create`, for all the tasks or none of them."""
        demand(principal, Role.CREATE)
        owned = _owned(principal, key)
        try:
            records = await self._all_new(principal, commands)
        except TaskPushError as refused:
            return await self._earlier(owned, refused)
        return await self._see_through(self._commit(principal, records, owned))

    async def _earlier(self, key: IdempotencyKey | None, refused: TaskPushError) -> Accepted:
        """What the key created before; raises `refused` when that is nothing.

        It may be refused for what came to pass since: the files went with the task, say.
        """
        created = None if key is None else await self._store.created_under(key)
        if created is None:
            raise refused
        return _accepted(created)

    async def _commit(
        self, principal: Principal, records: Sequence[TaskRecord], key: IdempotencyKey | None
    ) -> Accepted:
        self._count(principal, len(records))
        try:
            created = await self._store.create(records, key=key, limits=self._queue_limits(records))
        except QueueFull as full:
            raise await self._refusal(full) from None
        if created.fresh:
            for record in created.records:
                self._runner.submit(Waiting.of(record))
        return _accepted(created)

    def _count(self, principal: Principal, tasks: int) -> None:
        """Raise `rate_limited` when the principal has created as many as it may, for now."""
        per_min = self._limits.creates_per_min.of(local=principal.local)
        if self._creates is None or per_min is None:
            return
        who = (principal.tenant, principal.owner)
        try:
            wait_s = self._creates.take(who, tasks, self._clock.monotonic())
        except ValueError:
            raise InvalidRequest(
                f"{tasks} tasks at once; one may create {per_min} a minute"
            ) from None
        if wait_s:
            raise TaskPushError(
                f"at most {per_min} tasks may be created a minute",
                code="rate_limited",
                retry_after_s=math.ceil(wait_s),
            )

    def _queue_limits(self, records: Sequence[TaskRecord]) -> Mapping[str, int]:
        limits = {record.kind: self._kind(record.kind).queue_limit for record in records}
        return {kind: limit for kind, limit in limits.items() if limit is not None}

    async def _refusal(self, full: QueueFull) -> TaskPushError:
        """What is said to whoever found no room: when there will be, or that there never is."""
        if full.wanted > full.limit:
            return InvalidRequest(
                f"{full.wanted} tasks of kind {full.kind} at once; its queue takes {full.limit}"
            )
        room_in_s = await self._room_in_s(full.kind, full.wanted - full.room)
        full.retry_after_s = math.ceil(max(1.0, UNKNOWN_S if room_in_s is None else room_in_s))
        return full

    async def cancel(
        self, principal: Principal, task_id: str, command: CancelTask, via: Via
    ) -> TaskRecord:
        """Ask for the end of a pending or running task; returns it as it stands then.

        A pending task is ended at once, a running one when its handler has stopped. Raises
        `NotFound`; `IllegalTransition` when the task is over; `StaleAttempt` for another attempt.
        """
        decide = lifecycle.cancel(command.attempt, self._clock.now(), keep=command.keep)
        detail = "keep" if command.keep else None
        entry = self._audit.entry(Action.CANCEL, principal, via, detail)
        return await self._see_through(self._control(principal, task_id, decide, entry))

    async def retry(
        self, principal: Principal, task_id: str, command: RetryTask, via: Via
    ) -> TaskRecord:
        """Give a task that failed, was cancelled or interrupted another attempt.

        Raises `NotFound`, `IllegalTransition`, `StaleAttempt`, `StartedElsewhere` for a task that
        only its producer can take up, or `not_external` for a producer where a handler would.
        """
        decide = lifecycle.retry(
            command.attempt,
            from_start=command.from_start,
            producer_id=command.producer_id,
        )
        if command.producer_id is not None:
            decide = self._by_producers(decide)
        detail = "from the start" if command.from_start else None
        entry = self._audit.entry(Action.RETRY, principal, via, detail)
        return await self._see_through(self._control(principal, task_id, decide, entry))

    async def delete(self, principal: Principal, task_id: str, via: Via) -> None:
        """Delete a task that is over, with its events and files.

        Raises `NotFound`, and `IllegalTransition` while it waits or runs.
        """
        entry = self._audit.entry(Action.DELETE, principal, via)
        await self._see_through(self._remove(principal, task_id, entry))

    async def _remove(self, principal: Principal, task_id: str, entry: AuditEntry) -> None:
        async with self._refusals_noted(entry, task_id):
            decide = _guarded(principal, noted(entry, lifecycle.delete()))
            deleted = await self._store.delete(task_id, decide)
        await remove_files(self._store, self._blobs, [deleted])

    async def _control(
        self, principal: Principal, task_id: str, decide: lifecycle.Decide, entry: AuditEntry
    ) -> TaskRecord:
        """Commit, then tell the runner what has become of the task."""
        async with self._refusals_noted(entry, task_id):
            guarded = _guarded(principal, noted(entry, decide))
            commit = await self._store.write(task_id, guarded, synced=True)
        if commit.record.status is Status.RUNNING:
            self._runner.cancel(task_id)
        elif commit.record.status is Status.PENDING:
            self._runner.submit(Waiting.of(commit.record))
        return commit.record

    @asynccontextmanager
    async def _refusals_noted(self, entry: AuditEntry, task_id: str) -> AsyncIterator[None]:
        try:
            yield
        except (Forbidden, NotFound) as error:
            await self._audit.refused(entry, task_id, error)
            raise

    async def _see_through(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Await `work`, which goes on when the caller goes away.

        What was committed must reach the runner, also when the request was cancelled meanwhile.
        """
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _all_new(
        self, principal: Principal, commands: Sequence[CreateTask]
    ) -> Sequence[TaskRecord]:
        records = []
        for index, command in enumerate(commands):
            try:
                records.append(await self._new(principal, command))
            except TaskPushError as error:
                raise _within(f"tasks.{index}", error) from None
        return records

    async def _new(self, principal: Principal, command: CreateTask) -> TaskRecord:
        spec = self._kind(command.kind)
        _check_who_runs_it(spec, command)
        uploads = await self._uploads.of(principal, spec, command.params)
        params = await read_aside(spec.validate_params, command.params, uploads)
        _check_travels(params, "params")
        _check_travels(command.metadata, "metadata")
        _check_size(params, "params", self._limits.params_bytes)
        _check_size(command.metadata, "metadata", self._limits.metadata_bytes)
        return TaskRecord(
            task_id=command.task_id or new_task_id(),
            kind=spec.name,
            tenant=principal.tenant,
            owner=principal.owner,
            params=params,
            created_at=self._clock.now(),
            title=command.title,
            priority=command.priority,
            run_at=command.run_at,
            timeout_s=command.timeout_s if command.timeout_s is not None else spec.timeout_s,
            max_attempts=_tries(spec, command),
            tags=tuple(dict.fromkeys(command.tags)),
            metadata=command.metadata,
            producer=_reporting(command),
            created_by_producer=command.producer_id is not None,
            webhooks=(*spec.webhooks, *self._webhooks(command)),
            uploads=_used(uploads, params),
            message="Task created",
        )

    def _by_producers(self, decide: lifecycle.Decide) -> lifecycle.Decide:
        """`decide`, for tasks that no handler runs."""

        def decide_external(record: TaskRecord | None) -> lifecycle.Decision:
            decision = decide(record)
            if not self._kind(decision.record.kind).is_external:
                raise TaskPushError(code="not_external")
            return decision

        return decide_external

    def _webhooks(self, command: CreateTask) -> Iterable[Webhook]:
        for index, new in enumerate(command.webhooks):
            try:
                self._destinations.check(new.url)
            except TaskPushError as error:
                problem = FieldProblem(f"webhooks.{index}.url", error.detail)
                raise TaskPushError(error.detail, code=error.code, problems=[problem]) from None
            yield new.webhook()

    def _kind(self, name: str) -> KindSpec:
        spec = self._registry.get(name)
        if spec is None:
            raise TaskPushError(f"no kind named {name} is registered", code="unknown_kind")
        return spec


def _owned(principal: Principal, key: Idempotency | None) -> IdempotencyKey | None:
    if key is None:
        return None
    return IdempotencyKey(principal.tenant, principal.owner, key.key, key.body_hash)


def _accepted(created: Created) -> Accepted:
    if not created.records:
        raise NotFound("what this idempotency key created was deleted")
    return Accepted(created.records, fresh=created.fresh)


def _used(uploads: Uploads, params: Mapping[str, Any]) -> tuple[UploadRef, ...]:
    """Those of the uploads whose ids stand in the params, each once, in their order."""
    named = dict.fromkeys(ids_in(params)) if uploads else ()
    return tuple(uploads[upload_id].ref for upload_id in named if upload_id in uploads)


def _guarded(principal: Principal, decide: lifecycle.Decide) -> lifecycle.Decide:
    """`decide`, for those who may control the task; for others there is no such task.

    Raises `Forbidden` for those who may control none.
    """
    demand(principal, Role.CONTROL)

    def guarded(record: TaskRecord | None) -> lifecycle.Decision:
        if record is None or not may(principal, Role.CONTROL, record):
            raise NotFound
        return decide(record)

    return guarded


def _within(loc: str, error: TaskPushError) -> TaskPushError:
    """The error of a part, told of the whole."""
    problems = [replace(each, loc=f"{loc}.{each.loc}") for each in error.problems]
    return TaskPushError(f"{loc}: {error.detail}", code=error.code, problems=problems)


def problems_of(error: ValidationError) -> list[FieldProblem]:
    """Pydantic's findings as field problems, without the values that were sent."""
    return [
        field_problem(found, ".".join(str(part) for part in found["loc"]) or "body")
        for found in error.errors(include_url=False, include_input=False)
    ]


def _check_who_runs_it(spec: KindSpec, command: CreateTask) -> None:
    """Raise unless somebody will: a handler, or the producer that is named or will come."""
    if command.producer_id is not None and not spec.is_external:
        raise TaskPushError(code="not_external")
    if spec.created_by_producer and command.producer_id is None:
        raise StartedElsewhere(f"the programs that run tasks of kind {spec.name} create them")


def _reporting(command: CreateTask) -> ProducerRef | None:
    """The producer to which the first attempt belongs from the start."""
    named = command.producer_id
    return None if named is None else ProducerRef(named, attempt=1, last_seq=0)


def _tries(spec: KindSpec, command: CreateTask) -> int:
    """How often it is tried by itself: once where nobody takes it up but who has created it."""
    wanted = command.max_attempts
    if command.producer_id is None:
        return wanted or spec.max_attempts
    if wanted not in (None, 1):
        message = "a task that its producer creates is tried once"
        raise InvalidRequest(message, problems=[FieldProblem("max_attempts", message)])
    return 1


def _check_travels(value: Any, loc: str) -> None:
    problems = list(value_problems(value, loc))
    if problems:
        raise InvalidRequest(joined(problems), problems=[FieldProblem(loc, joined(problems))])


def _check_size(value: Any, loc: str, limit_bytes: int) -> None:
    size_bytes = len(orjson.dumps(value))
    if size_bytes > limit_bytes:
        message = f"{size_bytes} bytes; at most {limit_bytes} are kept"
        ctx = {"size_bytes": size_bytes, "max_bytes": limit_bytes}
        raise InvalidRequest(problems=[FieldProblem(loc, message, type="too_many_bytes", ctx=ctx)])


def _rates(per_min: int | None) -> Rates | None:
    return None if per_min is None else Rates(per_min / 60, at_once=per_min)
