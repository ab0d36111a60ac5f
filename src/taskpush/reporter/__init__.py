"""For programs outside the server that run tasks: report one of them with a `Reporter`."""

from taskpush.reporter.reporter import Reporter, Undelivered
from taskpush.runner.context import TaskCancelled

__all__ = ["Reporter", "TaskCancelled", "Undelivered"]
