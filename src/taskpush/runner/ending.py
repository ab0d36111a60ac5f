"""How a handler ended, as values; the same for the loop, threads and worker processes."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import JsonValue

from taskpush.errors import TaskPushError
from taskpush.models.task import TaskError, TaskRecord
from taskpush.models.values import joined
from taskpush.runner.context import TaskCancelled, TaskContext
from taskpush.runner.kind import InvalidResult, KindSpec
from taskpush.runner.sendable import cut, reason, without_surrogates

MAX_ERROR_BYTES: Final = 4 * 1024


@dataclass(frozen=True, slots=True)
class Returned:
    """It returned a result that can travel."""

    result: JsonValue


@dataclass(frozen=True, slots=True)
class Raised:
    """It ended in an exception, or its params or result are invalid."""

    error: TaskError
    # For operators; None when the exception was not the handler's.
    traceback: str | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """It gave way to a cancel, whatever that was for."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Its worker process is gone, and it said nothing."""

    message: str


Ending = Returned | Raised | Stopped | Lost


@dataclass(frozen=True, slots=True)
class TimedOut:
    """What the runner makes of `Stopped` and `Lost`: the attempt took longer than it may."""

    after_s: float

    @property
    def error(self) -> TaskError:
        return TaskError(f"Timed out after {self.after_s:g} s", "Timeout", "timeout")


TRIED_ONCE: Final = frozenset({"invalid_params", "invalid_result", "checkpoint_lost"})
"""Codes of failures that another attempt would only repeat."""


def call(spec: KindSpec, context: TaskContext, params: Any) -> Ending:
    """Run a plain handler to its end, whatever that is."""
    try:
        return Returned(spec.dump_result(spec.invoke(context, params)))
    except TaskCancelled:
        return Stopped()
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a job must not end the server
        return raised(error)


def raised(error: BaseException) -> Raised:
    """The ending that an exception makes."""
    if isinstance(error, InvalidResult):
        return Raised(_task_error(error, "invalid_result"), None)
    text = "".join(traceback.format_exception(error))
    return Raised(_task_error(error, "handler_error"), without_surrogates(text))


def unresumable(error: Exception) -> Raised:
    """The ending of an attempt whose checkpoint cannot be read: it must not begin anew unasked."""
    return Raised(
        _error(f"The checkpoint is lost: {error}", "CheckpointLost", "checkpoint_lost"), None
    )


def refused(error: TaskPushError) -> Raised:
    """The ending of an attempt whose params do not fit."""
    problems = joined(f"{each.loc}: {each.message}" for each in error.problems)
    return Raised(_error(problems or error.detail, "InvalidParams", error.code), None)


def _task_error(error: BaseException, code: str) -> TaskError:
    name = type(error).__name__
    return _error(reason(error), name, code)


def _error(message: str, error_type: str, code: str) -> TaskError:
    return TaskError(
        error=cut(without_surrogates(message), MAX_ERROR_BYTES),
        error_type=cut(without_surrogates(error_type), MAX_ERROR_BYTES),
        code=code,
    )


def redacted(ending: Raised, spec: KindSpec, record: TaskRecord) -> Raised:
    """The ending without what is sensitive in the params: exceptions like to quote their causes."""
    error = replace(ending.error, error=spec.redacted(ending.error.error, record))
    trace = ending.traceback and spec.redacted(ending.traceback, record)
    return Raised(error, trace)
