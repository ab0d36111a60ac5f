"""The port to the runner: what executes tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from taskpush.store.base import Waiting


class Runner(ABC):
    """Executes pending tasks, and records how they ended.

    The store is the truth: a runner takes a task by committing its start, and what the store
    refuses to start is not executed. So a task that is announced twice, or was cancelled
    meanwhile, does no harm. An attempt ends in exactly one outcome: which one, the store decides.

    One runner object is used from one event loop. Per kind, tasks start by higher priority, then
    in the order in which they were announced; of those with a `concurrency_key` in common, one at
    a time. No task is started before its `run_at`.

    A task that is tried again after a failure, or goes on by itself without its worker, is queued
    again without being announced.
    """

    @abstractmethod
    async def start(self, waiting: Sequence[Waiting]) -> None:
        """Begin to work: `waiting` are the tasks pending now, in their order."""

    @abstractmethod
    def submit(self, task: Waiting) -> None:
        """The task is pending, and that was committed. Never blocks.

        Does nothing for a task of a kind that producers outside the server run.
        Before `start` and after `stop` this does nothing: the task stays pending in the store.
        """

    @abstractmethod
    def cancel(self, task_id: str) -> None:
        """Tell a running attempt to stop; that this is wanted was committed before.

        Never blocks, and does nothing for a task that this runner does not execute. An attempt
        that is only about to start is told as well. May be called again, and repeats the asking.
        """

    @abstractmethod
    async def stop(self, deadline_s: float) -> int:
        """Stop taking work and end what runs.

        Handlers are told to stop; what has not stopped after `deadline_s` is let go. Their tasks
        become `interrupted` with reason `server_stopped`, unless the handler reached an outcome
        first. When this returns, every outcome is committed or the store is unavailable. Returns
        how many tasks were interrupted.
        """

    @abstractmethod
    def running(self) -> Sequence[str]:
        """Ids of the tasks that are executed at the moment, in the order of their start."""
