"""Commands: create and cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from taskpush.access.policy import Action, may, may_create
from taskpush.access.principal import Principal
from taskpush.clock import Clock
from taskpush.core import lifecycle
from taskpush.errors import FieldProblem, InvalidRequest, NotFound, TaskPushError
from taskpush.ids import new_task_id
from taskpush.models.commands import MAX_METADATA_BYTES, CancelTask, CreateTask
from taskpush.models.events import Status
from taskpush.models.task import TaskRecord
from taskpush.models.values import joined, value_problems
from taskpush.runner.base import Runner
from taskpush.runner.registry import KindSpec, Registry
from taskpush.store.base import Store


class TaskService:
    """Creates and controls tasks, for a principal, by the policy."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        runner: Runner,
        clock: Clock,
        *,
        default_kind: str | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._runner = runner
        self._clock = clock
        # None means that every create has to name its kind.
        self._default_kind = default_kind

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

    async def create(self, principal: Principal, command: CreateTask) -> TaskRecord:
        """Store the task and hand it to the runner; returns it as it was committed, synced.

        Raises `unknown_kind`, `invalid_params`, `invalid_request` or `task_id_taken`; nothing is
        stored then.
        """
        if not may_create(principal):
            raise NotFound
        spec = self._kind(command.kind)
        params = spec.validate_params(command.params)
        _check_travels(params, "params")
        _check_metadata(command.metadata)
        record = TaskRecord(
            task_id=command.task_id or new_task_id(),
            kind=spec.name,
            tenant=principal.tenant,
            owner=principal.owner,
            params=params,
            created_at=self._clock.now(),
            title=command.title,
            tags=tuple(dict.fromkeys(command.tags)),
            metadata=command.metadata,
            message="Task created",
        )
        commit = await self._store.write(record.task_id, lifecycle.create(record), synced=True)
        self._runner.submit(record.task_id, record.kind, record.priority)
        return commit.record

    async def cancel(self, principal: Principal, task_id: str, command: CancelTask) -> TaskRecord:
        """Ask for the end of a pending or running task; returns it as it stands then.

        A pending task is cancelled at once, a running one when its handler has stopped. Raises
        `NotFound`; `IllegalTransition` when the task is over; `StaleAttempt` for another attempt.
        """
        decide = lifecycle.cancel(command.attempt, self._clock.now())

        def guarded(record: TaskRecord | None) -> lifecycle.Decision:
            if record is None or not may(principal, Action.CONTROL, record):
                raise NotFound
            return decide(record)

        commit = await self._store.write(task_id, guarded, synced=True)
        if commit.record.status is Status.RUNNING:
            self._runner.cancel(task_id)
        return commit.record

    def _kind(self, name: str) -> KindSpec:
        spec = self._registry.get(name)
        if spec is None:
            raise TaskPushError(f"no kind named {name} is registered", code="unknown_kind")
        return spec


def problems_of(error: ValidationError) -> list[FieldProblem]:
    """Pydantic's findings as field problems, without the values that were sent."""
    return [
        FieldProblem(".".join(str(part) for part in found["loc"]) or "body", found["msg"])
        for found in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _check_travels(value: Any, loc: str) -> None:
    problems = list(value_problems(value, loc))
    if problems:
        raise InvalidRequest(joined(problems), problems=[FieldProblem(loc, joined(problems))])


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    _check_travels(metadata, "metadata")
    size = len(orjson.dumps(metadata))
    if size > MAX_METADATA_BYTES:
        message = f"{size} bytes; at most {MAX_METADATA_BYTES} are kept"
        raise InvalidRequest(problems=[FieldProblem("metadata", message)])
