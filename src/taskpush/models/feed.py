"""Feeds: sets of tasks that can be subscribed to, and how they are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Born(Protocol):
    """What a task was created with, as far as it decides which feeds it is in."""

    @property
    def tenant(self) -> str: ...

    @property
    def owner(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def tags(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """Which tasks a feed holds. None means: any.

    Only what a task was created with decides, so that no task moves from feed to feed.
    """

    tenant: str
    # None means every owner's (for those who may).
    owner: str | None = None
    kind: str | None = None
    tag: str | None = None

    def holds(self, task: Born) -> bool:
        """Whether the task is in the feed."""
        return (
            task.tenant == self.tenant
            and self.owner in (None, task.owner)
            and self.kind in (None, task.kind)
            and (self.tag is None or self.tag in task.tags)
        )
