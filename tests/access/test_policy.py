"""The policy as a table: who may do what with whose tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from taskpush.access.admission import NO_ACCESS_CONFIGURED, Admission
from taskpush.access.policy import (
    demand,
    demand_admin,
    demand_server,
    is_admin,
    may,
    may_await,
    may_create,
    may_see_all,
    may_see_server,
    narrowed,
    reaches,
    readable,
)
from taskpush.access.principal import LOCAL, OWNERS_ROLES, Principal, Role, Scope
from taskpush.errors import Forbidden
from taskpush.models.feed import FeedFilter
from taskpush.models.task import TaskRecord

NOW = datetime(2026, 11, 22, tzinfo=UTC)
C, R, W, P, A = Role.CREATE, Role.READ, Role.CONTROL, Role.REPORT, Role.ADMIN


def principal(
    roles: frozenset[Role] = OWNERS_ROLES,
    *,
    owner: str = "ann",
    tenant: str = "acme",
    scope: Scope | None = None,
    whole_tenant: bool = False,
) -> Principal:
    return Principal(tenant, owner, roles, scope, whole_tenant)


def task(owner: str = "ann", tenant: str = "acme", *, task_id: str = "t1") -> TaskRecord:
    return TaskRecord(task_id, "layout", tenant, owner, {}, NOW, tags=("red", "blue"))


ANN = principal()
READER = principal(frozenset({R}))
ADMIN = principal(frozenset({A}))
FOR_ONE = principal(frozenset({R, W}), scope=Scope(task_id="t1"))
FOR_RED = principal(frozenset({R}), scope=Scope(tag="red"))
FOR_LAYOUTS = principal(frozenset({R}), scope=Scope(kind="layout"))
FOR_ALL_RED = principal(frozenset({R}), scope=Scope(tag="red"), whole_tenant=True)

TABLE = [
    # who, role, task, whether they may
    (ANN, R, task(), True),
    (ANN, W, task(), True),
    (ANN, P, task(), True),
    (ANN, A, task(), False),
    (ANN, R, task("bob"), False),
    (ANN, W, task("bob"), False),
    (ANN, R, task("ann", "other"), False),
    (READER, R, task(), True),
    (READER, W, task(), False),
    (READER, P, task(), False),
    (ADMIN, R, task("bob"), True),
    (ADMIN, W, task("bob"), True),
    (ADMIN, P, task("bob"), True),
    (ADMIN, R, task("bob", "other"), False),
    (ADMIN, W, task("ann", "other"), False),
    (FOR_ONE, R, task(), True),
    (FOR_ONE, W, task(), True),
    (FOR_ONE, P, task(), False),
    (FOR_ONE, R, task(task_id="t2"), False),
    (FOR_ONE, R, task("bob"), False),
    (FOR_RED, R, task(), True),
    (FOR_RED, W, task(), False),
    (FOR_RED, R, task("bob"), False),
    (FOR_LAYOUTS, R, task(), True),
    (FOR_ALL_RED, R, task("bob"), True),
    (FOR_ALL_RED, R, task("bob", "other"), False),
    (principal(frozenset()), R, task(), False),
    (LOCAL, W, task("local", "local"), True),
    (LOCAL, R, task(), False),
]


@pytest.mark.parametrize(("who", "role", "record", "allowed"), TABLE)
def test_who_may_do_what(who: Principal, role: Role, record: TaskRecord, allowed: bool) -> None:
    assert may(who, role, record) is allowed


def test_a_scope_leaves_out_other_kinds_and_tags() -> None:
    other = TaskRecord("t1", "render", "acme", "ann", {}, NOW, tags=("green",))
    assert not reaches(FOR_RED, other)
    assert not reaches(FOR_LAYOUTS, other)


@pytest.mark.parametrize("role", Role)
def test_an_admin_has_every_role_and_a_reader_one(role: Role) -> None:
    demand(ADMIN, role)
    if role is Role.READ:
        demand(READER, role)
    else:
        with pytest.raises(Forbidden):
            demand(READER, role)


@pytest.mark.parametrize("nobody", [None, "", 7, "a\nb", "\ud800", "x" * 201])
def test_who_has_no_name_is_nobody_and_not_everybody(nobody: Any) -> None:
    with pytest.raises(ValueError, match="owner"):
        Principal("acme", nobody)
    with pytest.raises(ValueError, match="tenant"):
        Principal(nobody, "ann")


@pytest.mark.parametrize("roles", ["administrator", ["read"], {"read"}, frozenset({"root"}), None])
def test_roles_are_a_set_of_roles(roles: Any) -> None:
    with pytest.raises(ValueError, match="roles"):
        Principal("acme", "ann", roles)


def test_who_creates_awaits_any_id_and_who_was_given_a_token_only_its_own() -> None:
    assert may_create(ANN)
    assert may_await(ANN, "t9")
    assert not may_create(READER)
    assert not may_await(READER, "t9")
    assert may_await(FOR_ONE, "t1")
    assert not may_await(FOR_ONE, "t9")
    assert not may_await(FOR_RED, "t9")


def test_only_admins_of_the_servers_own_tenant_see_what_there_is_of_all() -> None:
    assert may_see_all(LOCAL)
    assert may_see_all(principal(frozenset({A}), tenant="local"))
    assert not may_see_all(ADMIN)
    assert not may_see_all(principal(tenant="local"))


def test_a_credential_for_the_owner_local_is_not_whoever_is_local() -> None:
    named = Principal(LOCAL.tenant, LOCAL.owner, LOCAL.roles)
    assert named != LOCAL
    assert not may_see_all(named)
    assert may(named, R, task("local", "local"))
    token = narrowed(LOCAL, Scope(), frozenset({R}))
    assert not token.local
    assert not may_see_all(token)


def test_what_is_readable_is_never_more_than_the_principals_reach() -> None:
    assert readable(ANN) == FeedFilter("acme", owner="ann")
    assert readable(ANN, kind="layout") == FeedFilter("acme", owner="ann", kind="layout")
    assert readable(ADMIN, tag="red") == FeedFilter("acme", tag="red")
    assert readable(FOR_RED) == FeedFilter("acme", owner="ann", tag="red")
    assert readable(FOR_RED, kind="layout") == FeedFilter("acme", "ann", "layout", "red")
    assert readable(FOR_ALL_RED) == FeedFilter("acme", tag="red")


@pytest.mark.parametrize(
    ("who", "wanted"),
    [
        (FOR_RED, {"tag": "blue"}),
        (FOR_LAYOUTS, {"kind": "render"}),
        (FOR_ONE, {}),
        (principal(frozenset({C, W, P})), {}),
    ],
)
def test_a_list_beside_what_a_token_is_for_is_forbidden(
    who: Principal, wanted: dict[str, str]
) -> None:
    with pytest.raises(Forbidden):
        readable(who, **wanted)


OPERATOR = principal(frozenset({Role.METRICS}), tenant="local")


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (LOCAL, True),
        (OPERATOR, True),
        (principal(frozenset({A}), tenant="local"), True),
        (ADMIN, False),
        (principal(frozenset({Role.METRICS})), False),
        (principal(tenant="local"), False),
        (Principal("local", "local"), False),
    ],
)
def test_how_the_server_is_concerns_those_who_look_after_it(who: Principal, allowed: bool) -> None:
    assert may_see_server(who) is allowed
    if allowed:
        demand_server(who)
    else:
        with pytest.raises(Forbidden):
            demand_server(who)


def test_who_reads_metrics_may_do_nothing_else() -> None:
    assert not any(may(OPERATOR, role, task("ann", "local")) for role in (C, R, W, P))
    assert not may_see_all(OPERATOR)
    assert not is_admin(Admission(OPERATOR))


def test_an_admin_is_who_has_the_role_or_anybody_while_nobody_is_asked() -> None:
    demand_admin(Admission(ADMIN, "key:1"))
    demand_admin(NO_ACCESS_CONFIGURED)
    for who in (ANN, FOR_ONE, FOR_ALL_RED, LOCAL):
        with pytest.raises(Forbidden):
            demand_admin(Admission(who, "hook"))
