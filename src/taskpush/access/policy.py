"""What a principal may do; every read and every command asks here.

Who lacks a role is told so, `forbidden`, since that says nothing of any task. A task that is out of
reach does not exist for them: `not_found`, as for an id that nobody has used.
"""

from __future__ import annotations

from dataclasses import replace

from taskpush.access.admission import NO_ACCESS_CONFIGURED, Admission
from taskpush.access.principal import LOCAL, Principal, Role, Scope
from taskpush.errors import Forbidden
from taskpush.models.feed import FeedFilter
from taskpush.models.task import TaskRecord


def demand(principal: Principal, role: Role) -> None:
    """Raise `forbidden` unless the principal has the role, for whatever tasks."""
    if not principal.has(role):
        raise Forbidden(f"this needs the role {role.value}")


def may(principal: Principal, role: Role, record: TaskRecord) -> bool:
    """Whether the principal may use that role with this task.

    With tasks of its own, an admin with all of its tenant; who holds a scoped token with those
    that it is for. For everybody else the task does not exist.
    """
    return principal.has(role) and reaches(principal, record)


def reaches(principal: Principal, record: TaskRecord) -> bool:
    """Whether the task exists for the principal, whatever it may do with it."""
    only = principal.scope.task_id if principal.scope else None
    return only in (None, record.task_id) and principal.reach.holds(record)


def may_create(principal: Principal) -> bool:
    """Whether the principal may create tasks."""
    return principal.has(Role.CREATE)


def may_await(principal: Principal, task_id: str) -> bool:
    """Whether the principal may wait for a task that does not exist for it, as yet.

    Who creates may have chosen the id; who was given a token for it will be told when it is there.
    """
    if principal.scope is not None and principal.scope.task_id is not None:
        return principal.scope.task_id == task_id
    return may_create(principal)


def may_see_sensitive(principal: Principal) -> bool:
    """Whether the principal may see what is marked sensitive in the tasks that it may read.

    Who may create or control them, and not who was given a token or may only look.
    """
    does_more = principal.has(Role.CREATE) or principal.has(Role.CONTROL)
    return principal.scope is None and does_more


def may_see_all(principal: Principal) -> bool:
    """Whether the principal may learn how much there is of everybody's tasks."""
    admin = principal.has(Role.ADMIN) and principal.tenant == LOCAL.tenant
    return admin or principal.local


def demand_server(principal: Principal) -> None:
    """Raise `forbidden` unless the principal may learn how the server is: what it does for all.

    With the role `metrics`, as every admin has it, and of the server's own tenant.
    """
    if not may_see_server(principal):
        demand(principal, Role.METRICS)
        raise Forbidden("this is about the tasks of every tenant")


def may_see_server(principal: Principal) -> bool:
    """Whether the principal may learn how the server is."""
    return principal.local or (principal.has(Role.METRICS) and principal.tenant == LOCAL.tenant)


def demand_admin(admission: Admission) -> None:
    """Raise `forbidden` unless an admin was let in, or anybody, since no access is configured."""
    if not is_admin(admission):
        demand(admission.principal, Role.ADMIN)


def is_admin(admission: Admission) -> bool:
    """Whether who was let in may see what everybody in the tenant does."""
    nobody_was_asked = admission.credential == NO_ACCESS_CONFIGURED.credential
    return nobody_was_asked or admission.principal.has(Role.ADMIN)


def readable(
    principal: Principal, *, kind: str | None = None, tag: str | None = None
) -> FeedFilter:
    """The tasks that the principal may read, of that kind and with that tag.

    Raises `forbidden` without the role, for who holds a token for one task, and for what lies
    beside what the token is for.
    """
    demand(principal, Role.READ)
    if principal.scope is not None and principal.scope.task_id is not None:
        raise Forbidden("the token is for one task")
    reach = principal.reach
    if _beside(reach.kind, kind) or _beside(reach.tag, tag):
        raise Forbidden("the token is for other tasks")
    return replace(reach, kind=reach.kind or kind, tag=reach.tag or tag)


def narrowed(
    principal: Principal, scope: Scope, roles: frozenset[Role], *, own_only: bool = False
) -> Principal:
    """The principal as whoever it gives a token for these tasks and roles.

    An admin's token reaches every owner's tasks of the tenant, unless `own_only`. Raises
    `forbidden` for a role that it lacks itself, and for who holds a scoped token already.
    """
    if principal.scope is not None:
        raise Forbidden("a scoped token makes no others")
    for role in sorted(roles):
        demand(principal, role)
    whole_tenant = principal.has(Role.ADMIN) and not own_only
    return Principal(principal.tenant, principal.owner, roles, scope, whole_tenant)


def covers(other: Principal, principal: Principal) -> bool:
    """Whether `other` is the same somebody, and may all that `principal` may."""
    same = (other.tenant, other.owner) == (principal.tenant, principal.owner)
    roles = all(map(other.has, principal.roles))
    reach = other.reach.owner is None or principal.reach.owner is not None
    return same and roles and reach and other.scope in (None, principal.scope)


def _beside(granted: str | None, wanted: str | None) -> bool:
    return None not in (granted, wanted) and granted != wanted
