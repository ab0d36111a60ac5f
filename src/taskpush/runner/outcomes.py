"""What an attempt's end makes of its task, whoever executed it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import orjson
from pydantic import JsonValue

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide, Decision
from taskpush.models.task import TaskError, TaskRecord
from taskpush.runner.ending import TRIED_ONCE
from taskpush.runner.kind import KindSpec
from taskpush.runner.sendable import MAX_DATA_BYTES


def completed(
    spec: KindSpec, task_id: str, attempt: int, now: datetime, result: JsonValue
) -> Decide:
    """It returned a result that fits its kind."""
    # Events go to all who may read the task; a result is shown to each as they may.
    apart = len(orjson.dumps(result)) > MAX_DATA_BYTES or spec.result_mask.hides
    url = f"/api/tasks/{task_id}/result" if apart else None
    return lifecycle.complete(attempt, now, result=result, result_url=url)


def failed(
    spec: KindSpec,
    attempt: int,
    now: datetime,
    error: TaskError,
    random: Callable[[], float],
    *,
    reason: str | None = None,
) -> Decide:
    """It failed; another attempt follows where the kind's policy wants one."""

    def retry_in_s(failures: int) -> float:
        return spec.retry_in_s(failures, random)

    def decide(record: TaskRecord | None) -> Decision:
        # Nobody who wants it gone waits for another try of it.
        unwanted = record is not None and record.cancel_requested
        again = None if unwanted or error.code in TRIED_ONCE else retry_in_s
        return lifecycle.fail(attempt, now, error, reason=reason, retry_in_s=again)(record)

    return decide
