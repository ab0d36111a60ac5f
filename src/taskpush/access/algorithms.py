"""Which algorithms tokens may be signed by; apart, so that settings need not load the library."""

from __future__ import annotations

from typing import Final

SHARED: Final = frozenset({"HS256", "HS384", "HS512"})
"""Those of a secret that both sides know."""
PUBLIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
)
"""Those of a key whose public half everybody may know."""
