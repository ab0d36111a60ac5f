"""API keys: named, revocable, kept as hashes in a file that the command line writes.

A key is `tpk_<id>_<secret>`. The secret is 256 random bits, which nobody guesses however fast the
hash is: so it is a plain SHA-256, compared in constant time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from taskpush.access.admission import Admission
from taskpush.access.principal import LOCAL, MAX_NAME, Principal, Role, is_name
from taskpush.access.private_file import Version, locked, replace_private, version_of
from taskpush.errors import AccessEnded, Unauthenticated
from taskpush.models.commands import Name
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import KeysUnreadable

FILE: Final = "keys.json"
PREFIX: Final = "tpk_"
DEFAULT_ROLES: Final = (Role.CREATE, Role.READ, Role.CONTROL)

_KEY: Final = re.compile(r"tpk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODYS: Final = "0" * 64


def _party(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"a printable text of 1 to {MAX_NAME} characters")
    return text


Party = Annotated[str, AfterValidator(_party)]
"""An owner or a tenant."""


class ApiKey(BaseModel):
    """What is kept of a key: everything but the secret."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: Name
    sha256: str
    tenant: Party
    owner: Party
    roles: tuple[Role, ...]
    # Unix times; None when it does not expire, or is not revoked.
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    # Names of the system's users; None when it is not known, or not revoked.
    created_by: str | None = None
    revoked_by: str | None = None

    def ended(self, now: float) -> bool:
        """Whether it lets nobody in any more."""
        expired = self.expires_at is not None and now >= self.expires_at
        return expired or self.revoked_at is not None


class KeyFile(BaseModel):
    """The file as a whole."""

    version: int = Field(default=1, ge=1, le=1)
    keys: tuple[ApiKey, ...] = ()


class KeyProblem(ValueError):
    """What was asked of the keys cannot be done; says why, to whoever asked on the command line."""


def create_key(
    path: Path,
    name: str,
    *,
    roles: Iterable[Role],
    owner: str,
    tenant: str = LOCAL.tenant,
    now: float,
    expires_at: float | None = None,
    by: str | None = None,
) -> str:
    """Add a key to the file; returns the key itself, which is not kept anywhere.

    `by` is who makes it, for the audit trail.

    Raises `KeyProblem` when the name is in use.
    """
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    try:
        key = ApiKey(
            id=key_id,
            name=name,
            sha256=_hash(secret),
            tenant=tenant,
            owner=owner,
            roles=tuple(sorted(set(roles))),
            created_at=now,
            expires_at=expires_at,
            created_by=by,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise KeyProblem(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    with locked(path):
        present = read_keys(path)
        if any(each.name == name and not each.ended(now) for each in present):
            raise KeyProblem(f"there is a key named {name} already: revoke it, or choose another")
        _write(path, [*present, key])
    return f"{PREFIX}{key_id}_{secret}"


def revoke_key(path: Path, name: str, *, now: float, by: str | None = None) -> ApiKey:
    """Revoke the key of that name or id; raises `KeyProblem` when there is none in use."""
    with locked(path):
        present = read_keys(path)
        for index, key in enumerate(present):
            if name in (key.name, key.id) and key.revoked_at is None:
                revoked = key.model_copy(update={"revoked_at": now, "revoked_by": by})
                _write(path, [*present[:index], revoked, *present[index + 1 :]])
                return revoked
    raise KeyProblem(f"no key named {name} is in use")


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """All keys, the revoked ones too; raises `KeyProblem` for a file that is none of ours."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        return KeyFile.model_validate_json(content).keys
    except ValidationError:
        raise KeyProblem(f"{path} is damaged, or of a newer version") from None


class KeyRing:
    """The keys of a file, as they are now: read again whenever the file has changed.

    A file that cannot be read any more lets nobody in.
    """

    def __init__(self, path: Path, telemetry: Telemetry, now: Callable[[], float]) -> None:
        self._path = path
        self._telemetry = telemetry
        self._now = now
        self._version: Version | None = None
        self._keys: dict[str, ApiKey] = {}
        # Whether there was a file, once: then nobody gets in without a key, whatever becomes of it.
        self._seen = False
        # At once: a file that is there at the start, and gone at the first request, was there.
        self._refresh()

    @property
    def in_use(self) -> bool:
        """Whether there have been keys since the start."""
        self._refresh()
        return self._seen

    def admit(self, text: str) -> Admission:
        """Whose key it is; raises `Unauthenticated` or `AccessEnded`."""
        match = _KEY.fullmatch(text)
        if match is None:
            raise Unauthenticated("that is no API key")
        self._refresh()
        key = self._keys.get(match[1])
        # As long for an id that there is not.
        right = compare_digest(_hash(match[2]), key.sha256 if key else _NOBODYS)
        if key is None or not right:
            raise Unauthenticated("the API key is not known")
        if key.ended(self._now()):
            raise AccessEnded("the API key has expired or was revoked")
        principal = Principal(key.tenant, key.owner, frozenset(key.roles))
        return Admission(principal, f"key:{key.id}", key.expires_at)

    def lets_in(self, key_id: str) -> bool:
        """Whether the key is still good."""
        self._refresh()
        key = self._keys.get(key_id)
        return key is not None and not key.ended(self._now())

    def _refresh(self) -> None:
        version = version_of(self._path)
        if version == self._version:
            return
        self._version = version
        self._seen = True
        try:
            self._keys = {key.id: key for key in read_keys(self._path)}
        except (KeyProblem, OSError) as error:
            self._keys = {}
            self._telemetry.emit(KeysUnreadable(str(error)))


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    replace_private(path, KeyFile(keys=tuple(keys)).model_dump_json(indent=1).encode() + b"\n")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
