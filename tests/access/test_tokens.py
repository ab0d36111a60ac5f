"""Scoped tokens: made for little, good for a short time, revoked by their owner alone."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from taskpush.access.admission import Admission
from taskpush.access.authenticator import Authenticator
from taskpush.access.keys import KeyRing, create_key, read_keys, revoke_key
from taskpush.access.policy import covers, narrowed
from taskpush.access.principal import OWNERS_ROLES, Principal, Role, Scope
from taskpush.access.revocations import MAX_OF_ONE as REVOKED_OF_ONE
from taskpush.access.revocations import MAX_REVOKED, Revocations
from taskpush.access.tickets import GOOD_FOR_S, MAX_OF_ONE, Tickets
from taskpush.access.tokens import TYPE, TokenMint, is_ours, secret_in
from taskpush.access.visitor import Visitor
from taskpush.errors import AccessEnded, Forbidden, TaskPushError, Unauthenticated
from taskpush.telemetry.bus import Telemetry

ANN = Principal("acme", "ann")
ADMIN = Principal("acme", "boss", frozenset({Role.ADMIN}))
READ = frozenset({Role.READ})
BY_ANN = Admission(ANN, "jwt:x")
SECRET = bytes(range(32))


class Clock:
    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revocations(tmp_path: Path, clock: Clock) -> Revocations:
    return Revocations(tmp_path / "revoked.json", clock)


@pytest.fixture
def mint(revocations: Revocations, clock: Clock) -> TokenMint:
    return TokenMint(SECRET, revocations, clock)


def test_a_token_is_what_it_was_made_as(mint: TokenMint, clock: Clock) -> None:
    for made in (
        narrowed(ANN, Scope(task_id="t1"), READ),
        narrowed(ANN, Scope(tag="red"), frozenset({Role.READ, Role.CONTROL})),
        narrowed(ADMIN, Scope(kind="layout"), READ),
        narrowed(ADMIN, Scope(), READ, own_only=True),
    ):
        minted = mint.mint(BY_ANN, made, 60)
        assert is_ours(minted.token)
        assert mint.admit(minted.token) == Admission(
            made, f"token:{minted.id}", clock.now + 60, ("jwt:x",)
        )


def test_nobody_gives_more_than_they_have(mint: TokenMint) -> None:
    reader = Principal("acme", "ann", READ)
    with pytest.raises(Forbidden):
        narrowed(reader, Scope(), frozenset({Role.CONTROL}))
    with pytest.raises(Forbidden):
        narrowed(narrowed(ANN, Scope(), READ), Scope(task_id="t1"), READ)
    assert not narrowed(ANN, Scope(), READ).whole_tenant
    assert narrowed(ADMIN, Scope(), READ).whole_tenant
    assert not narrowed(ADMIN, Scope(), READ, own_only=True).whole_tenant


def test_a_token_is_good_no_longer_than_what_it_was_made_with(
    mint: TokenMint, clock: Clock
) -> None:
    short = Admission(ANN, "jwt:x", expires_at=clock.now + 5)
    minted = mint.mint(short, ANN, 600)
    assert minted.expires_at == clock.now + 5
    clock.now += 5
    with pytest.raises(AccessEnded):
        mint.admit(minted.token)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": b"x" * 32},
        {"claims": {"iss": "else"}},
        {"claims": {"aud": "else"}},
        {"claims": {"exp": None}},
        {"claims": {"jti": None}},
        {"key": bytes(64), "algorithm": "HS512"},
        {"key": None, "algorithm": "none"},
    ],
)
def test_what_was_not_made_here_is_refused(mint: TokenMint, changes: dict[str, Any]) -> None:
    minted = mint.mint(BY_ANN, narrowed(ANN, Scope(), READ), 60)
    claims = jwt.decode(minted.token, options={"verify_signature": False})
    claims |= changes.get("claims", {})
    claims = {name: value for name, value in claims.items() if value is not None}
    forged = jwt.encode(
        claims,
        changes.get("key", SECRET),
        algorithm=changes.get("algorithm", "HS256"),
        headers={"typ": TYPE},
    )
    with pytest.raises(Unauthenticated):
        mint.admit(forged)


async def test_a_revoked_token_is_good_no_more_also_after_a_restart(
    mint: TokenMint, revocations: Revocations, clock: Clock, tmp_path: Path
) -> None:
    first, second = (mint.mint(BY_ANN, narrowed(ANN, Scope(), READ), 60) for _ in range(2))
    await revocations.revoke(first.id, ANN)
    again = TokenMint(SECRET, Revocations(tmp_path / "revoked.json", clock), clock)
    for each in (mint, again):
        with pytest.raises(AccessEnded):
            each.admit(first.token)
        each.admit(second.token)


async def test_only_its_owner_and_admins_of_its_tenant_revoke_a_token(
    mint: TokenMint, revocations: Revocations
) -> None:
    minted = mint.mint(BY_ANN, narrowed(ANN, Scope(), READ), 60)
    for other in (Principal("acme", "bob"), Principal("other", "ann")):
        await revocations.revoke(minted.id, other)
    await revocations.revoke(minted.id, Principal("other", "boss", frozenset({Role.ADMIN})))
    mint.admit(minted.token)
    await revocations.revoke(minted.id, ADMIN)
    with pytest.raises(AccessEnded):
        mint.admit(minted.token)


async def test_revocations_are_forgotten_with_what_they_revoked_and_bounded(
    clock: Clock,
) -> None:
    revocations = Revocations(None, clock)
    for number in range(MAX_REVOKED):
        revocations._until["acme", f"owner {number % 20}", str(number)] = clock.now + 10
    with pytest.raises(TaskPushError) as full:
        await revocations.revoke("x", ANN)
    assert full.value.code == "rate_limited"
    clock.now += 10
    await revocations.revoke("x", ANN)
    assert len(revocations._until) == 1


async def test_who_revokes_what_nobody_was_given_keeps_nobody_else_from_revoking(
    clock: Clock,
) -> None:
    revocations = Revocations(None, clock)
    for number in range(REVOKED_OF_ONE):
        await revocations.revoke(str(number), ANN)
    with pytest.raises(TaskPushError) as full:
        await revocations.revoke("x", ANN)
    assert full.value.code == "rate_limited"
    for other in (Principal("acme", "bob"), Principal("other", "ann"), ADMIN):
        await revocations.revoke("x", other)
        assert revocations.hold("x", other)


def test_the_secret_is_made_once_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    secret = secret_in(tmp_path / "data")
    assert secret_in(tmp_path / "data") == secret
    assert secret_in(tmp_path / "other") != secret
    assert stat.S_IMODE((tmp_path / "data" / "token-secret").stat().st_mode) == 0o600
    (tmp_path / "data" / "token-secret").write_text("ab")
    with pytest.raises(ValueError, match="damaged"):
        secret_in(tmp_path / "data")


async def test_a_token_falls_with_the_key_that_it_was_made_with(
    mint: TokenMint, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    key = create_key(path, "app", roles=OWNERS_ROLES, owner="ann", tenant="acme", now=clock.now)
    authenticator = Authenticator(KeyRing(path, Telemetry(), clock), clock, Telemetry(), mint=mint)

    def shown(token: str) -> Visitor:
        return Visitor({"headers": [], "query_string": b""}, {"token": token})

    made_with = await authenticator.admit(shown(key))
    minted = mint.mint(made_with, narrowed(ANN, Scope(), READ), 60)
    admission = await authenticator.admit(shown(minted.token))
    assert authenticator.lets_in(admission)
    revoke_key(path, read_keys(path)[0].id, now=clock.now)
    assert not authenticator.lets_in(admission)
    with pytest.raises(AccessEnded):
        await authenticator.admit(shown(minted.token))


def test_a_connection_goes_on_by_what_covers_what_it_had() -> None:
    one, other = (narrowed(ANN, Scope(task_id=task), READ) for task in ("t1", "t2"))
    assert covers(one, one)
    assert covers(ANN, one)
    assert not covers(one, ANN)
    assert not covers(other, one)
    assert not covers(narrowed(ANN, Scope(task_id="t1"), frozenset({Role.CONTROL})), one)
    assert not covers(Principal("acme", "bob"), one)
    assert not covers(ANN, narrowed(Principal("acme", "ann", ADMIN.roles), Scope(), READ))
    assert covers(ADMIN, narrowed(ADMIN, Scope(), READ))


def test_a_ticket_is_good_once_and_for_half_a_minute(clock: Clock) -> None:
    tickets = Tickets(clock)
    used, late = tickets.issue(BY_ANN)[0], tickets.issue(BY_ANN)[0]
    assert tickets.redeem(used) == BY_ANN
    clock.now += GOOD_FOR_S
    for ticket in (used, late, "", "é" * 50, "\ud800"):
        with pytest.raises(Unauthenticated):
            tickets.redeem(ticket)
    assert not tickets._waiting
    assert not tickets._of_one


def test_nobody_takes_all_tickets(clock: Clock) -> None:
    tickets = Tickets(clock)
    first, *_ = [tickets.issue(BY_ANN)[0] for _ in range(MAX_OF_ONE)]
    with pytest.raises(TaskPushError) as full:
        tickets.issue(BY_ANN)
    assert full.value.code == "rate_limited"
    tickets.issue(Admission(ANN, "jwt:y"))
    tickets.redeem(first)
    tickets.issue(BY_ANN)


def test_two_whom_an_application_lets_in_have_tickets_of_their_own(clock: Clock) -> None:
    tickets = Tickets(clock)
    for _ in range(MAX_OF_ONE):
        tickets.issue(Admission(ANN))
    tickets.issue(Admission(Principal("acme", "bob")))
    tickets.issue(Admission(Principal("other", "ann")))
