"""Somebody whose tokens a server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.access.signing import AUDIENCE, ISSUER, jwk, jwks, rsa_key, token


class Issuer:
    """Signs tokens, with keys that a file tells the server."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self._keys = {"one": rsa_key()}
        self._publish()

    @property
    def settings(self) -> dict[str, str]:
        """Of a server that takes its tokens."""
        return {
            "jwt_algorithms": "RS256",
            "jwt_jwks": str(self.file),
            "jwt_audience": AUDIENCE,
            "jwt_issuer": ISSUER,
            "jwt_roles_claim": "roles",
            "jwt_tenant_claim": "org",
            "jwt_leeway_s": "0",
        }

    def token(self, *, key: str = "one", **changes: Any) -> str:
        """A token, by the key of that name."""
        said: dict[str, Any] = {"roles": "create read control", "org": "acme", "kid": key}
        return token(self._keys[key], "RS256", **(said | changes))

    def add_key(self, name: str) -> None:
        """Sign by another key too."""
        self._keys[name] = rsa_key()
        self._publish()

    def _publish(self) -> None:
        known = [jwk(key, name) for name, key in self._keys.items()]
        self.file.write_bytes(jwks(*known))
