"""Scoped tokens that were revoked, until they would have expired anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from taskpush.access.principal import Principal, Role
from taskpush.access.private_file import replace_private
from taskpush.errors import TaskPushError

FILE: Final = "revoked-tokens.json"
MAX_TTL_S: Final = 24 * 3600.0
"""No token lives longer, so no revocation has to."""
MAX_REVOKED: Final = 10_000
MAX_OF_ONE: Final = 1_000
"""Revocations that one owner may have at a time, or the admins of a tenant together."""

Entry = tuple[str, str | None, str]
"""Tenant, owner (None: any of the tenant) and id: nobody revokes what is somebody else's."""


class Revocations:
    """The revoked tokens, kept in a file when there is a path."""

    def __init__(self, path: Path | None, now: Callable[[], float]) -> None:
        """Raises `ValueError` for a file that is damaged."""
        # None: they are forgotten when the server ends, with the secret.
        self._path = path
        self._now = now
        self._until: dict[Entry, float] = {}
        self._writing = asyncio.Lock()
        if path is not None and path.exists():
            listed = orjson.loads(path.read_bytes())
            self._until = {(tenant, owner, name): until for tenant, owner, name, until in listed}

    def hold(self, token_id: str, principal: Principal) -> bool:
        """Whether the token of that id, which is the principal's, was revoked."""
        tenant, owner = principal.tenant, principal.owner
        return (tenant, owner, token_id) in self._until or (tenant, None, token_id) in self._until

    async def revoke(self, token_id: str, by: Principal) -> None:
        """Revoke a token of the principal's owner or, for an admin, of its tenant.

        It is written before this returns. An id that nobody was given takes a place until the time
        is up, as nobody knows which were given: raises `rate_limited` when there are too many.
        """
        owner = None if by.has(Role.ADMIN) else by.owner
        async with self._writing:
            now = self._now()
            kept = {entry: until for entry, until in self._until.items() if until > now}
            of_one = sum(entry[:2] == (by.tenant, owner) for entry in kept)
            if of_one >= MAX_OF_ONE or len(kept) >= MAX_REVOKED:
                raise TaskPushError("too many tokens were revoked in a day", code="rate_limited")
            self._until = kept | {(by.tenant, owner, token_id): now + MAX_TTL_S}
            if self._path is not None:
                listed = [[*entry, until] for entry, until in self._until.items()]
                await asyncio.to_thread(replace_private, self._path, orjson.dumps(listed))
