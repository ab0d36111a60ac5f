"""Tokens of an issuer, and what people try with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt
import orjson
import pytest

from taskpush.access.jwks import Jwks
from taskpush.access.jwt import JwtAuthenticator, JwtRules, KeySource, OneKey
from taskpush.access.principal import Principal, Role
from taskpush.errors import AccessEnded, Unauthenticated
from taskpush.telemetry.bus import Telemetry
from tests.access.signing import (
    AUDIENCE,
    ISSUER,
    b64,
    claims,
    ec_key,
    forged,
    jwk,
    jwks,
    pem,
    rsa_key,
    token,
)

RSA, OTHER_RSA, EC = rsa_key(), rsa_key(), ec_key()
SECRET = "a secret of thirty-two bytes, or more of them"
READ = frozenset({Role.READ})


def rules(*algorithms: str, **changes: Any) -> JwtRules:
    return JwtRules(algorithms, AUDIENCE, ISSUER, roles=READ, **changes)


def by_rsa(**changes: Any) -> JwtAuthenticator:
    return JwtAuthenticator(rules("RS256", **changes), OneKey(pem(RSA)))


def by_jwks(document: bytes, *algorithms: str) -> JwtAuthenticator:
    async def fetch() -> bytes:
        return document

    keys: KeySource = Jwks(fetch, algorithms, Telemetry(), time.monotonic)
    return JwtAuthenticator(rules(*algorithms), keys)


@pytest.mark.parametrize(
    ("key", "algorithm", "checked_with"),
    [(SECRET, "HS256", SECRET), (RSA, "RS256", pem(RSA)), (EC, "ES256", pem(EC))],
)
async def test_a_good_token_shows_whose_it_is(key: Any, algorithm: str, checked_with: Any) -> None:
    authenticator = JwtAuthenticator(rules(algorithm), OneKey(checked_with))
    expires = time.time() + 60
    admission = await authenticator.admit(token(key, algorithm, exp=expires))
    assert admission.principal == Principal("local", "ann", READ)
    assert admission.expires_at == pytest.approx(expires + 30, abs=1.5)


async def test_claims_name_owner_tenant_and_roles() -> None:
    authenticator = by_rsa(owner_claim="uid", tenant_claim="org", roles_claim="scope")
    admission = await authenticator.admit(
        token(RSA, "RS256", sub=None, uid=7, org="acme", scope="openid create read ADMIN")
    )
    assert admission.principal == Principal("acme", "7", frozenset({Role.CREATE, Role.READ}))
    listed = await authenticator.admit(
        token(RSA, "RS256", uid="x", org="acme", scope=["admin", 1, None, "else"])
    )
    assert listed.principal.roles == {Role.ADMIN}
    none = await authenticator.admit(token(RSA, "RS256", uid="x", org="acme"))
    assert none.principal.roles == frozenset()


ATTACKS: dict[str, Callable[[], str]] = {
    "alg none": lambda: forged({"alg": "none", "typ": "JWT"}),
    "alg None": lambda: forged({"alg": "NoNe", "typ": "JWT"}),
    "no alg": lambda: forged({"typ": "JWT"}),
    "alg is a list": lambda: forged({"alg": ["RS256"]}),
    "the public key as a shared secret": lambda: forged({"alg": "HS256"}, pem(RSA)),
    "the same, said to be RS256": lambda: forged({"alg": "RS256"}, pem(RSA)),
    "an algorithm that is not configured": lambda: token(RSA, "RS512"),
    "another's key": lambda: token(OTHER_RSA, "RS256"),
    "another's key, brought along": lambda: jwt.encode(
        claims(), OTHER_RSA, algorithm="RS256", headers={"jwk": jwk(OTHER_RSA, "x")}
    ),
    "a key's address, brought along": lambda: jwt.encode(
        claims(), OTHER_RSA, algorithm="RS256", headers={"jku": "http://127.0.0.1:9/"}
    ),
    "for somebody else": lambda: token(RSA, "RS256", aud="other.example"),
    "for nobody": lambda: token(RSA, "RS256", aud=None),
    "by somebody else": lambda: token(RSA, "RS256", iss="https://evil.example"),
    "by nobody": lambda: token(RSA, "RS256", iss=None),
    "for ever": lambda: token(RSA, "RS256", exp=None),
    "until no number": lambda: forged({"alg": "RS256"}, exp="tomorrow"),
    "not yet": lambda: token(RSA, "RS256", nbf=time.time() + 600),
    "from the future": lambda: token(RSA, "RS256", iat=time.time() + 600),
    "about nobody": lambda: token(RSA, "RS256", sub=None),
    "about an empty name": lambda: token(RSA, "RS256", sub=""),
    "about a list": lambda: token(RSA, "RS256", sub=["ann"]),
    "about true": lambda: token(RSA, "RS256", sub=True),
    "about a name with a line break": lambda: token(RSA, "RS256", sub="ann\nbob"),
    "about a huge name": lambda: token(RSA, "RS256", sub="a" * 500),
    "huge": lambda: token(RSA, "RS256", filler="x" * 20_000),
    "cut": lambda: token(RSA, "RS256")[:-5],
    "without a signature": lambda: token(RSA, "RS256").rpartition(".")[0] + ".",
    "not base64": lambda: "eyJ!.eyJ!.x",
    "deep": lambda: f"{b64(b'[' * 5000)}.{b64(b'{}')}.x",
    "a critical extension": lambda: jwt.encode(
        claims(), RSA, algorithm="RS256", headers={"crit": ["b64"], "b64": False}
    ),
    "empty": lambda: "..",
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_is_not_a_good_token_is_refused(attack: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await by_rsa().admit(ATTACKS[attack]())
    assert "ann" not in refused.value.detail


async def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, mac = token(RSA, "RS256").split(".")
    with pytest.raises(Unauthenticated):
        await by_rsa().admit(f"{head}.{b64(orjson.dumps(claims(sub='root')))}.{mac}")


async def test_a_token_is_good_until_it_expires_and_the_clocks_may_differ_a_little() -> None:
    await by_rsa().admit(token(RSA, "RS256", exp=time.time() - 20))
    with pytest.raises(AccessEnded):
        await by_rsa().admit(token(RSA, "RS256", exp=time.time() - 40))
    with pytest.raises(AccessEnded):
        await by_rsa(leeway_s=0).admit(token(RSA, "RS256", exp=time.time() - 2))


@pytest.mark.parametrize("exp", [1.79e12, 10**17, 10**400])
async def test_an_expiry_in_a_year_without_a_date_is_the_last_there_is(exp: float) -> None:
    admission = await by_rsa().admit(token(RSA, "RS256", exp=exp))
    assert admission.expires is not None
    assert admission.expires.year == 9999


KIDS = {
    "a path": "../../../../etc/passwd",
    "a device": "/dev/null",
    "SQL": "x' UNION SELECT 'key' --",
    "a command": "| sleep 10",
    "huge": "k" * 4000,
    "empty": "",
    "of another key": "ec",
}


@pytest.mark.parametrize("kid", KIDS)
async def test_the_name_of_a_key_is_only_looked_up(kid: str) -> None:
    authenticator = by_jwks(jwks(jwk(RSA, "rsa"), jwk(EC, "ec")), "RS256", "ES256")
    with pytest.raises(Unauthenticated):
        await authenticator.admit(token(RSA, "RS256", kid=KIDS[kid]))
    # Signed with what such a file or statement would give.
    for secret in (b"", b"key"):
        with pytest.raises(Unauthenticated):
            await authenticator.admit(forged({"alg": "HS256", "kid": KIDS[kid]}, secret))


@pytest.mark.parametrize("kid", [7, ["rsa"], {"rsa": 1}, True])
async def test_a_name_that_is_no_text_is_no_name(kid: Any) -> None:
    authenticator = by_jwks(jwks(jwk(RSA, "rsa")), "RS256")
    with pytest.raises(Unauthenticated):
        await authenticator.admit(forged({"alg": "RS256", "kid": kid}))


async def test_a_key_is_used_for_its_own_algorithm_only() -> None:
    authenticator = by_jwks(jwks(jwk(RSA, "a", alg="RS512"), jwk(EC, "b")), "RS256", "ES256")
    await authenticator.admit(token(EC, "ES256", kid="b"))
    with pytest.raises(Unauthenticated):
        await authenticator.admit(token(RSA, "RS256", kid="a"))


def test_shared_secrets_and_public_keys_do_not_go_together() -> None:
    for algorithms in ((), ("HS256", "RS256"), ("none",)):
        with pytest.raises(ValueError, match="algorithms"):
            JwtAuthenticator(rules(*algorithms), OneKey(SECRET))
