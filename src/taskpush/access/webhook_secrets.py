"""The secrets that webhooks are signed with: one, and while receivers change over the one before.

They lie in the data folder, readable by its owner alone, and nobody else is told of them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from taskpush.access.private_file import Version, locked, replace_private, version_of
from taskpush.core.webhooks import PREFIX, secret_bytes

FILE: Final = "webhook-secrets"
SECRET_BYTES: Final = 32

Change = Callable[[list[str]], list[str]]


class SecretProblem(Exception):
    """The file cannot be used; the text says why, without what is in it."""


def read_secrets(path: Path) -> list[str]:
    """The secrets, the newest first; none before the first was made. Raises `SecretProblem`."""
    try:
        found = orjson.loads(path.read_bytes())["secrets"]
        for secret in found:
            secret_bytes(secret)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SecretProblem(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SecretProblem(f"{path} is no file of webhook secrets") from None
    return list(found)


def ensure_secret(path: Path) -> list[str]:
    """As `read_secrets`; the first one is made when there is none."""
    return read_secrets(path) or _changed(path, lambda known: known or [_new_secret()])


def rotate(path: Path) -> list[str]:
    """Make a new secret, and keep the one before: both sign until `retire`."""
    return _changed(path, lambda known: [_new_secret(), *known[:1]])


def retire(path: Path) -> list[str]:
    """Sign by the newest secret alone."""
    return _changed(path, lambda known: known[:1])


class WebhookSecrets:
    """The secrets of a running server, which heeds a change at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: Version | None = None
        self._keys: tuple[bytes, ...] = ()

    def keys(self) -> tuple[bytes, ...]:
        """The keys to sign with, the newest first. Raises `SecretProblem` or `OSError`."""
        version = version_of(self._path)
        if version is None or version != self._version:
            found = ensure_secret(self._path)
            self._keys = tuple(map(secret_bytes, found))
            self._version = version_of(self._path)
        return self._keys


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _changed(path: Path, change: Change) -> list[str]:
    with locked(path):
        known = change(read_secrets(path))
        replace_private(path, orjson.dumps({"secrets": known}))
    return known
