"""Scoped tokens: what a server hands a browser, for some tasks, some rights and a short time.

A token is a JWT of our own, signed with a secret that stays in the data folder. It falls with the
credential that it was made with, and can be revoked by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from taskpush.access.admission import Admission
from taskpush.access.jwt import header_of
from taskpush.access.principal import Principal, Role, Scope
from taskpush.access.private_file import locked, replace_private
from taskpush.access.revocations import Revocations
from taskpush.errors import AccessEnded, Unauthenticated

SECRET_FILE: Final = "token-secret"
SECRET_BYTES: Final = 32
TYPE: Final = "taskpush+jwt"
"""Tells our tokens from an issuer's. Source: RFC 8725, section 3.11."""
NAME: Final = "taskpush"
"""Who issues them, and whom they are for."""
_ALGORITHM: Final = "HS256"


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token; `id` revokes it."""

    id: str
    token: str
    expires_at: float


class TokenMint:
    """Makes scoped tokens, and tells whose they are."""

    def __init__(self, secret: bytes, revocations: Revocations, now: Callable[[], float]) -> None:
        self._secret = secret
        self._revocations = revocations
        self._now = now

    def mint(self, made_with: Admission, principal: Principal, ttl_s: float) -> Minted:
        """A token for `principal`, good for no longer than what it was made with."""
        now = self._now()
        expires_at = now + ttl_s
        if made_with.expires_at is not None:
            expires_at = min(expires_at, made_with.expires_at)
        token_id = secrets.token_urlsafe(16)
        scope = principal.scope or Scope()
        claims = {
            "iss": NAME,
            "aud": NAME,
            "jti": token_id,
            "iat": int(now),
            "exp": expires_at,
            "sub": principal.owner,
            "tenant": principal.tenant,
            "roles": sorted(principal.roles),
            "scope": [scope.task_id, scope.kind, scope.tag],
            "whole_tenant": principal.whole_tenant,
            "parents": [made_with.credential, *made_with.parents],
        }
        token = jwt.encode(claims, self._secret, _ALGORITHM, headers={"typ": TYPE})
        return Minted(token_id, token, expires_at)

    def admit(self, token: str) -> Admission:
        """Whose it is; raises `Unauthenticated` or `AccessEnded`."""
        claims = self._verified(token)
        principal = Principal(
            claims["tenant"],
            claims["sub"],
            frozenset(map(Role, claims["roles"])),
            Scope(*claims["scope"]),
            claims["whole_tenant"],
        )
        admission = Admission(
            principal, f"token:{claims['jti']}", float(claims["exp"]), tuple(claims["parents"])
        )
        if not self.lets_in(claims["jti"], principal):
            raise AccessEnded("the token was revoked")
        return admission

    def lets_in(self, token_id: str, principal: Principal) -> bool:
        """Whether the token, which is the principal's, was not revoked."""
        return not self._revocations.hold(token_id, principal)

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=NAME,
                issuer=NAME,
                options={"require": ["exp", "jti", "sub"]},
            )
        except ExpiredSignatureError:
            raise AccessEnded("the token has expired") from None
        except (PyJWTError, ValueError, TypeError, OverflowError):
            raise Unauthenticated("the token is not valid") from None
        # jwt.decode counts whole seconds.
        if self._now() >= claims["exp"]:
            raise AccessEnded("the token has expired")
        return claims


def is_ours(token: str) -> bool:
    """Whether a JWT says that it is one of ours; raises `Unauthenticated` for what is none."""
    return header_of(token).get("typ") == TYPE


def secret_in(folder: Path) -> bytes:
    """The secret of a server whose data is in `folder`, made when there is none."""
    path = folder / SECRET_FILE
    with locked(path):
        if not path.exists():
            replace_private(path, secrets.token_hex(SECRET_BYTES).encode())
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"{path} is damaged: remove it, and tokens that were made end")
    return secret


def passing_secret() -> bytes:
    """A secret for a server that forgets everything at its end."""
    return secrets.token_bytes(SECRET_BYTES)
