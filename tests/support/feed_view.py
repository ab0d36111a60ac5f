"""What a client of a feed knows, by the rules of the contract and nothing more."""

from __future__ import annotations

from typing import Any


class FeedView:
    """The newest state of each task it was told of, and where to go on."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        # None until it was told something.
        self.cursor: str | None = None
        self.resets = 0
        # Of the tasks, those that are final.
        self.over = 0
        # How many states it was told, and in how many messages.
        self.states = 0
        self.messages = 0

    def take(self, name: str, payload: dict[str, Any]) -> None:
        """Take one event of the feed."""
        self.messages += 1
        if name == "active_tasks":
            if payload["reset"]:
                self.resets += 1
                self.tasks.clear()
                self.over = 0
            told = payload["tasks"]
        else:
            assert name in {"task_created", "feed_update"}, name
            told = [payload["task"]]
        for task in told:
            self.states += 1
            before = self.tasks.pop(task["task_id"], None)
            self.over -= before is not None and before["final"]
            if not task.get("deleted"):
                self.tasks[task["task_id"]] = task
                self.over += task["final"]
        self.cursor = payload["cursor"]
