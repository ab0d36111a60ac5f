"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose identity is settled. Tasks belong to a tenant and, in it, to an owner."""

    tenant: str
    owner: str


LOCAL: Final = Principal(tenant="local", owner="local")
"""Whoever can reach a server without configured access, which listens on loopback only."""
