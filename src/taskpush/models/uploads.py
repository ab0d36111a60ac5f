"""Files that clients sent for params: as the store keeps them, and as readers see them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, Field

MAX_FILE_NAME: Final = 255
"""As long as file systems take them, in characters."""
# Control characters, halves of pairs, line breaks: no name that people give has one.
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the direction of what follows: a name must look like what it is.
_TURNING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,16}$")


@dataclass(frozen=True, slots=True)
class UploadRef:
    """A file that a task was created with."""

    upload_id: str
    # What its sender calls it; one part of a path at most.
    name: str
    media_type: str
    size_bytes: int
    sha256: str

    @property
    def suffix(self) -> str:
        """How its name ends, `.csv`; empty when it does not end so."""
        found = _SUFFIX.search(self.name)
        return found[0].lower() if found else ""


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """A file that somebody sent, and who may use it."""

    ref: UploadRef
    tenant: str
    owner: str
    created_at: datetime
    # When it goes unless a task uses it by then; None while tasks do.
    expires_at: datetime | None
    # How many tasks use it; it goes with the last of them.
    uses: int = 0

    def is_usable(self, tenant: str, owner: str, now: datetime) -> bool:
        """Whether it exists for that owner, at that time."""
        mine = (self.tenant, self.owner) == (tenant, owner)
        return mine and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class HeldUploads:
    """How much of an owner's files is kept."""

    # Those that no task uses, and what they take.
    unused: int
    unused_bytes: int
    # What all take.
    size_bytes: int

    def plus(self, size_bytes: int) -> HeldUploads:
        """With one more that no task uses."""
        return HeldUploads(
            self.unused + 1, self.unused_bytes + size_bytes, self.size_bytes + size_bytes
        )


class Upload(BaseModel):
    """Answer of `POST /api/uploads`: its id stands in the params of tasks."""

    upload_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    expires_at: AwareDatetime | None = Field(
        description="When it is deleted unless a task uses it; null while tasks do."
    )


class TaskUpload(BaseModel):
    """A file that a task was created with."""

    upload_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    url: str = Field(description="Where its content is.")


def check_file_name(name: str) -> str:
    """The name; raises `ValueError` unless it can name a file in whatever folder."""
    if not 0 < len(name) <= MAX_FILE_NAME:
        raise ValueError(f"a file name has 1 to {MAX_FILE_NAME} characters")
    if any(map(_is_unshowable, name)):
        raise ValueError("a file name has no control characters")
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise ValueError("a file name is no path")
    return name


def _is_unshowable(character: str) -> bool:
    turning = unicodedata.bidirectional(character) in _TURNING
    return turning or unicodedata.category(character) in _NO_TEXT


def ids_in(value: Any) -> Iterator[str]:
    """The texts in a JSON value that could be ids of uploads."""
    if isinstance(value, str):
        if _ID.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from ids_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from ids_in(each)
