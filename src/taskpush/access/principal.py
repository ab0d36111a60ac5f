"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from taskpush.models.feed import FeedFilter


class Role(StrEnum):
    """What somebody may do with tasks; `admin` does all of it, with those of the whole tenant.

    `metrics` is for who may do nothing with any, and sees how the server is.
    """

    CREATE = "create"
    READ = "read"
    CONTROL = "control"
    REPORT = "report"
    METRICS = "metrics"
    ADMIN = "admin"


_ROLES: Final = frozenset(Role)
OWNERS_ROLES: Final = frozenset({Role.CREATE, Role.READ, Role.CONTROL, Role.REPORT})
"""What an owner may do with tasks of its own."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The tasks that a scoped token is for: one, or those of a feed. None means: any."""

    task_id: str | None = None
    kind: str | None = None
    tag: str | None = None


MAX_NAME: Final = 200


def is_name(value: object) -> bool:
    """Whether it can name an owner or a tenant: a text that looks like what it is."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose identity is settled. Tasks belong to a tenant and, in it, to an owner.

    Raises `ValueError` for what names nobody: an owner of None would be every owner.
    """

    tenant: str
    owner: str
    roles: frozenset[Role] = OWNERS_ROLES
    # None unless it is who holds a scoped token, which is for these tasks only.
    scope: Scope | None = None
    # Whether it reaches every owner's tasks of the tenant: an admin, or who holds a token of one.
    whole_tenant: bool = False
    # Whether nobody was asked who it is. No name makes a principal local, and no credential.
    local: bool = False

    def __post_init__(self) -> None:
        for what, value in (("tenant", self.tenant), ("owner", self.owner)):
            if not is_name(value):
                raise ValueError(f"{what} is a printable text of 1 to {MAX_NAME} characters")
        # In a text, `in` would look for parts of words.
        roles: object = self.roles
        if not isinstance(roles, frozenset) or not roles <= _ROLES:
            raise ValueError("roles is a frozenset of roles")

    def has(self, role: Role) -> bool:
        """Whether the role was given to it, by itself or with all others."""
        return role in self.roles or Role.ADMIN in self.roles

    @property
    def reach(self) -> FeedFilter:
        """The tasks that any of its roles are for, but for a scope of one task."""
        scope = self.scope or Scope()
        everybody = self.whole_tenant or Role.ADMIN in self.roles
        owner = None if everybody else self.owner
        return FeedFilter(self.tenant, owner=owner, kind=scope.kind, tag=scope.tag)


LOCAL: Final = Principal(tenant="local", owner="local", local=True)
"""Whoever can reach a server without configured access, which listens on loopback only.

Its tenant is the server's own: the admins of it see what is counted of all tenants together. Who
shows a credential for the same owner has the same tasks, and nothing else of what is local.
"""
