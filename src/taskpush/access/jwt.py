"""JSON Web Tokens of an issuer that the settings name. Source: RFC 7519; for the traps RFC 8725.

Which algorithms hold, and with which keys, is configured; a token only chooses among these, and can
never turn a public key into a shared secret, since what is configured is one sort or the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from taskpush.access.admission import LATEST, Admission
from taskpush.access.algorithms import PUBLIC, SHARED
from taskpush.access.principal import LOCAL, Principal, Role, is_name
from taskpush.errors import AccessEnded, Unauthenticated

MAX_TOKEN: Final = 8192


class KeySource(Protocol):
    """Where the keys come from."""

    async def key(self, kid: str | None, algorithm: str) -> Any | None:
        """The key of that name for that algorithm; None when there is none."""
        ...


class OneKey:
    """A key that was configured, whatever a token calls it."""

    def __init__(self, key: str | bytes) -> None:
        self._key = key

    async def key(self, kid: str | None, algorithm: str) -> Any | None:
        return self._key


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What a token must be like, and how its claims become a principal."""

    algorithms: tuple[str, ...]
    audience: str
    issuer: str
    leeway_s: float = 30.0
    owner_claim: str = "sub"
    # None: all are of the server's own tenant.
    tenant_claim: str | None = None
    # None: all have `roles`. Else a list of roles, or a text with spaces between them.
    roles_claim: str | None = None
    roles: frozenset[Role] = frozenset()


class JwtAuthenticator:
    """Tells whose a token is."""

    def __init__(self, rules: JwtRules, keys: KeySource) -> None:
        if not rules.algorithms or not (
            SHARED.issuperset(rules.algorithms) or PUBLIC.issuperset(rules.algorithms)
        ):
            raise ValueError("algorithms are those of a shared secret, or of a public key")
        self._rules = rules
        self._keys = keys

    async def admit(self, token: str) -> Admission:
        """Whose it is; raises `Unauthenticated` or `AccessEnded`."""
        header = header_of(token)
        algorithm = header.get("alg")
        if algorithm not in self._rules.algorithms:
            raise Unauthenticated("the token is signed by an algorithm that is not taken")
        kid = header.get("kid")
        key = await self._keys.key(kid, algorithm) if isinstance(kid, str | None) else None
        if key is None:
            raise Unauthenticated("the token is signed by a key that is not known")
        claims = self._verified(token, key, algorithm)
        # Whole seconds, as PyJWT has it; they may be more than a float holds.
        expires_at = min(int(claims["exp"]), LATEST) + self._rules.leeway_s
        # Two tokens are told apart by this, and none can be made of it.
        name = hashlib.sha256(token.encode()).hexdigest()[:16]
        return Admission(self._principal(claims), f"jwt:{name}", expires_at)

    def _verified(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        rules = self._rules
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=rules.audience,
                issuer=rules.issuer,
                leeway=rules.leeway_s,
                options={
                    "require": ["exp", "aud", "iss", rules.owner_claim],
                    # An owner may be called by a number; it is looked at below.
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except ExpiredSignatureError:
            raise AccessEnded("the token has expired") from None
        except (PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise Unauthenticated(f"the token is not valid: {_why(error)}") from None

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        rules = self._rules
        tenant = LOCAL.tenant if rules.tenant_claim is None else _name(claims, rules.tenant_claim)
        roles = rules.roles if rules.roles_claim is None else _roles(claims.get(rules.roles_claim))
        return Principal(tenant, _name(claims, rules.owner_claim), roles)


def looks_like_jwt(text: str) -> bool:
    """Whether it has the shape of a signed token."""
    return text.count(".") == 2 and text.startswith("eyJ")


def header_of(token: str) -> dict[str, Any]:
    """What a token says of itself, which nobody has checked; raises `Unauthenticated`."""
    if len(token) > MAX_TOKEN:
        raise Unauthenticated("the token is too long")
    try:
        return dict(jwt.get_unverified_header(token))
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise Unauthenticated("that is no token") from None


def _name(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    named = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(named, str) or not is_name(named):
        raise Unauthenticated(f"the token's claim {claim} names nobody")
    return named


def _roles(value: object) -> frozenset[Role]:
    """The roles among what the claim says; what is no role of ours is somebody else's."""
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    known = set(Role)
    return frozenset(Role(word) for word in words if isinstance(word, str) and word in known)


def _why(error: Exception) -> str:
    """The class of the error: its text may hold what was sent."""
    return type(error).__name__.removesuffix("Error")
