"""What a principal may do; every read and every command asks here."""

from __future__ import annotations

from enum import StrEnum

from taskpush.access.principal import LOCAL, Principal
from taskpush.models.feed import FeedFilter
from taskpush.models.task import TaskRecord


class Action(StrEnum):
    """What can be wanted."""

    CREATE = "create"
    READ = "read"
    CONTROL = "control"


def may_create(principal: Principal) -> bool:
    """Whether the principal may create tasks: the local one may, and there is no other yet."""
    return bool(principal.owner)


def may_see_all(principal: Principal) -> bool:
    """Whether the principal may learn how much there is of everybody's tasks."""
    return principal == LOCAL


def may(principal: Principal, action: Action, record: TaskRecord) -> bool:
    """Whether the principal may do `action` with this task.

    The owner may do everything with it; nobody else may, nor learn that it exists.
    """
    return (principal.tenant, principal.owner) == (record.tenant, record.owner) and bool(action)


def readable(principal: Principal) -> FeedFilter:
    """The tasks that the principal may read, as a feed of its own: those it owns."""
    return FeedFilter(principal.tenant, owner=principal.owner)
