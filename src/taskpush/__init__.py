"""taskpush: long-running Python jobs whose every step reaches the people who wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskpush.access.admission import Admission
    from taskpush.access.principal import Principal, Role
    from taskpush.app import TaskPush
    from taskpush.core.retention import Keep, Retention
    from taskpush.models.sensitive import Sensitive
    from taskpush.models.webhooks import Webhook
    from taskpush.reporter.reporter import Reporter
    from taskpush.runner.context import TaskCancelled, TaskContext
    from taskpush.runner.policy import Backoff
    from taskpush.runner.uploads import Accepts, Upload

__all__ = [
    "Accepts",
    "Admission",
    "Backoff",
    "Keep",
    "Principal",
    "Reporter",
    "Retention",
    "Role",
    "Sensitive",
    "TaskCancelled",
    "TaskContext",
    "TaskPush",
    "Upload",
    "Webhook",
]

_HOMES = {
    "TaskPush": "taskpush.app",
    "Admission": "taskpush.access.admission",
    "Principal": "taskpush.access.principal",
    "Role": "taskpush.access.principal",
    "Reporter": "taskpush.reporter",
    "Sensitive": "taskpush.models.sensitive",
    "TaskContext": "taskpush.runner.context",
    "TaskCancelled": "taskpush.runner.context",
    "Backoff": "taskpush.runner.policy",
    "Accepts": "taskpush.runner.uploads",
    "Upload": "taskpush.runner.uploads",
    "Keep": "taskpush.core.retention",
    "Retention": "taskpush.core.retention",
    "Webhook": "taskpush.models.webhooks",
}


def __getattr__(name: str) -> Any:
    """Load public names when they are asked for: importing the client stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
