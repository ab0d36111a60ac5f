"""What tests do with API keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from taskpush.access.keys import create_key, revoke_key
from taskpush.access.principal import OWNERS_ROLES, Role

ENDED_WITHIN_S: Final = 12
"""A look around takes place every 5 s; the promise is 30 s."""


class Keys:
    """The API keys of a server."""

    def __init__(self, data: Path) -> None:
        self.path = data / "keys.json"

    def make(self, name: str, *roles: Role, owner: str | None = None, tenant: str = "acme") -> str:
        return create_key(
            self.path,
            name,
            roles=roles or OWNERS_ROLES,
            owner=owner or name,
            tenant=tenant,
            now=time.time(),
        )

    def revoke(self, name: str) -> None:
        revoke_key(self.path, name, now=time.time())


def secret_part(key: str) -> str:
    """What of a key must never be seen; it may hold a `_` of its own."""
    _, _, secret = key.split("_", 2)
    return secret
