"""Who is at the door: the ways to show it, in order."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable

from taskpush.access.admission import NO_ACCESS_CONFIGURED, Admission
from taskpush.access.jwt import JwtAuthenticator, looks_like_jwt
from taskpush.access.keys import PREFIX, KeyRing
from taskpush.access.principal import Principal
from taskpush.access.tokens import TokenMint, is_ours
from taskpush.access.visitor import Visitor
from taskpush.errors import AccessEnded, TaskPushError, Unauthenticated
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import AuthenticateFailed

Hook = Callable[[Visitor], Awaitable[object]]
"""Gives an `Admission`, a `Principal`, or None for somebody who is not known. May raise."""


class Authenticator:
    """Lets in who can show who it is, and knows whether that still holds.

    Keys first, then scoped tokens, then those of the configured issuer, then the application's own
    hook; without keys, issuer or hook everybody is the local principal.
    """

    def __init__(
        self,
        keys: KeyRing,
        now: Callable[[], float],
        telemetry: Telemetry,
        *,
        mint: TokenMint | None = None,
        jwt: JwtAuthenticator | None = None,
        hook: Hook | None = None,
    ) -> None:
        self._keys = keys
        self._now = now
        self._telemetry = telemetry
        # None when no scoped tokens are made.
        self._mint = mint
        # None when no issuer is configured.
        self._jwt = jwt
        # None when the application has none.
        self._hook = hook

    @property
    def is_open(self) -> bool:
        """Whether nobody has to show anything."""
        return self._jwt is None and self._hook is None and not self._keys.in_use

    async def admit(self, visitor: Visitor) -> Admission:
        """Who it is; raises `Unauthenticated`, `AccessEnded` or `credential_in_address`.

        Also `Forbidden` when the hook does, and `internal_error` when it fails.
        """
        visitor.refuse_credential_in_address()
        if self.is_open:
            return NO_ACCESS_CONFIGURED
        token = visitor.token
        if token is not None and token.startswith(PREFIX):
            return self._keys.admit(token)
        if token is not None and looks_like_jwt(token):
            if self._mint is not None and is_ours(token):
                return self._vouched(self._mint.admit(token))
            if self._jwt is not None:
                return await self._jwt.admit(token)
        if self._hook is not None:
            return await self._ask(self._hook, visitor)
        raise Unauthenticated(None if token is None else "the credential is not known")

    def lets_in(self, admission: Admission) -> bool:
        """Whether what was let in would still be, as far as that can be told without asking."""
        if admission.expires_at is not None and self._now() >= admission.expires_at:
            return False
        credentials = (admission.credential, *admission.parents)
        return all(self._holds(credential, admission.principal) for credential in credentials)

    def _holds(self, credential: str, principal: Principal) -> bool:
        sort, _, name = credential.partition(":")
        match sort:
            case "none":
                return self.is_open
            case "key":
                return self._keys.lets_in(name)
            case "token":
                return self._mint is not None and self._mint.lets_in(name, principal)
            case _:
                return True

    def _vouched(self, admission: Admission) -> Admission:
        """The admission, when what it was made with is good too."""
        if not self.lets_in(admission):
            raise AccessEnded("what the token was made with has expired or was revoked")
        return admission

    async def _ask(self, hook: Hook, visitor: Visitor) -> Admission:
        try:
            return self._heeded(await hook(visitor))
        except TaskPushError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and lets nobody in
            # It is the application's; whoever knocks learns nothing of it.
            text = "".join(traceback.format_exception(error))
            self._telemetry.emit(AuthenticateFailed(type(error).__name__, text))
            raise TaskPushError(code="internal_error") from None

    def _heeded(self, answer: object) -> Admission:
        if answer is None:
            raise Unauthenticated
        admission = Admission(answer) if isinstance(answer, Principal) else answer
        if not isinstance(admission, Admission):
            raise TypeError(
                f"authenticate gave a {type(answer).__name__}, not a Principal, Admission or None"
            )
        if admission.expires_at is not None and self._now() >= admission.expires_at:
            raise AccessEnded
        return admission
