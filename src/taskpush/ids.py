"""Identifiers: what is minted where, and how long it is."""

from __future__ import annotations

import secrets
from typing import Final
from uuid import UUID

from uuid_utils import uuid7

_EPOCH_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_task_id() -> str:
    """A UUIDv7 in its canonical form: sortable by creation time, 36 characters."""
    return str(uuid7())


def new_upload_id() -> str:
    """A UUIDv7, as tasks have it."""
    return str(uuid7())


def canonical_task_id(text: str) -> str | None:
    """`text` as a canonical lower-case UUID, or None when it is none; of uploads too.

    Clients may choose ids, so one task must not be reachable under two spellings.
    """
    try:
        canonical = str(UUID(text))
    except ValueError:
        return None
    return canonical if canonical == text.lower() else None


def new_epoch() -> str:
    """An opaque epoch: 8 random characters (40 bits), minted whenever a writer process starts."""
    return "".join(secrets.choice(_EPOCH_ALPHABET) for _ in range(8))


def new_connection_id() -> str:
    """An opaque id for one connection; not a credential."""
    return secrets.token_urlsafe(12)
