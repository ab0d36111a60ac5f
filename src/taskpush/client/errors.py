"""What can go wrong for a client of a taskpush server."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from taskpush.errors import CODES, FieldProblem, failure_said


class ClientError(Exception):
    """Base of everything that `taskpush.client` raises on purpose."""


class ServerUnreachable(ClientError):
    """No server answers at the address, or none has for longer than the client waits."""


class BadAnswer(ClientError):
    """What answers at the address does not speak taskpush's protocol, or breaks it."""


class RequestRefused(ClientError):
    """The server understood and said no."""

    def __init__(
        self,
        code: str,
        *,
        status: int | None = None,
        detail: str | None = None,
        errors: Sequence[FieldProblem] = (),
        retry_after: float | None = None,
    ) -> None:
        known = CODES.get(code)
        self.code = code
        # HTTP status; None for a code that came over a socket and is newer than this client.
        self.status = status if status is not None else known and known.status
        self.detail = detail or (known.title if known else code)
        # What is wrong with which field; empty unless the request's content was at fault.
        self.errors = tuple(errors)
        self._retry_after = retry_after
        super().__init__(f"{self.detail} ({code})")

    @property
    def retry_after(self) -> float | None:
        """Seconds after which it may be tried again; None when the server did not say."""
        return self._retry_after


class QueueFull(RequestRefused):
    """The kind's queue takes no more tasks for the moment; nothing was created."""

    def __init__(self, *, retry_after: float, detail: str | None = None) -> None:
        self._room_in_s = retry_after
        said = detail or CODES["queue_full"].title
        super().__init__(
            "queue_full", detail=f"{said}; try again in {retry_after:g} s", retry_after=retry_after
        )

    @property
    @override
    def retry_after(self) -> float:
        """Seconds after which the server expects to have room."""
        return self._room_in_s


class TaskNotCompleted(ClientError):
    """Base: the task is over, and has no result."""

    def __init__(self, task_id: str, message: str) -> None:
        self.task_id = task_id
        super().__init__(message)


class TaskFailed(TaskNotCompleted):
    """The task failed: `error` says why, `error_type` names the exception, `code` is stable."""

    def __init__(self, task_id: str, *, error: str, error_type: str, code: str) -> None:
        self.error = error
        self.error_type = error_type
        self.code = code
        super().__init__(task_id, failure_said(error_type, error))


class TaskCancelled(TaskNotCompleted):
    """The task was cancelled."""


class TaskInterrupted(TaskNotCompleted):
    """The task lost its server or worker; it may be resumed."""


class WaitTimeout(ClientError, TimeoutError):
    """The task was not over in time. It goes on."""

    def __init__(self, task_id: str, timeout_s: float) -> None:
        self.task_id = task_id
        super().__init__(f"task {task_id} was not over within {timeout_s:g} s; it goes on")
