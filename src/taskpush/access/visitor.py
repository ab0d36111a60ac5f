"""Who knocks, before it is known who it is.

A credential comes in the `Authorization` header or, over Socket.IO, in the `auth` of CONNECT; never
in an address, which ends up in logs and histories.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl

from taskpush.errors import TaskPushError, Unauthenticated

MAX_CREDENTIAL: Final = 8192
IN_ADDRESSES: Final = frozenset(
    {
        "access_token",
        "api_key",
        "api-key",
        "apikey",
        "auth_token",
        "authorization",
        "bearer",
        "id_token",
        "jwt",
        "token",
    }
)
_KEY_OR_TOKEN: Final = re.compile(r"tpk_[0-9a-f]{16}_|(?:^|\s)eyJ[A-Za-z0-9_-]+\.eyJ")


class Visitor:
    """A request or a handshake, and what it shows of who sent it."""

    def __init__(self, scope: Mapping[str, Any], auth: Mapping[str, Any] | None = None) -> None:
        """`auth` is what came with Socket.IO's CONNECT."""
        self.scope = scope
        self._auth = auth or {}

    @property
    def peer(self) -> str:
        """Where it comes from, for the log."""
        client = self.scope.get("client")
        return f"{client[0]}:{client[1]}" if client else "unknown"

    @property
    def address(self) -> str | None:
        """Where it comes from, without the port; None when it came over no network."""
        client = self.scope.get("client")
        return str(client[0]) if client else None

    @cached_property
    def token(self) -> str | None:
        """The credential that was shown; None when there was none. Raises `Unauthenticated`.

        What `auth` has goes before the header. A header of another scheme than Bearer is not for
        us, but a hook may know it.
        """
        token = self._auth.get("token") or self._bearer()
        if token is None:
            return None
        if not isinstance(token, str) or len(token) > MAX_CREDENTIAL:
            raise Unauthenticated("that is no credential")
        return token

    def refuse_credential_in_address(self) -> None:
        """Raise `credential_in_address` when there is one, or what is called like one."""
        query: bytes = self.scope.get("query_string", b"")
        if not query:
            return
        said = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        if any(name.lower() in IN_ADDRESSES or _KEY_OR_TOKEN.search(value) for name, value in said):
            raise TaskPushError(
                "addresses end up in logs: send the credential as Authorization: Bearer …, or as"
                " token in the auth of Socket.IO",
                code="credential_in_address",
            )

    def _bearer(self) -> str | None:
        values = [value for name, value in self.scope["headers"] if name == b"authorization"]
        if len(values) > 1:
            raise Unauthenticated("there are two Authorization headers")
        text = values[0].decode("latin-1") if values else ""
        scheme, _, credential = text.partition(" ")
        return credential.strip() or None if scheme.lower() == "bearer" else None
