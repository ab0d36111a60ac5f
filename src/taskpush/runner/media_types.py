"""Media types: which ones can be served, and which a file's name tells."""

from __future__ import annotations

import mimetypes
import re
from typing import Final

# It becomes a Content-Type header, so nothing but a plain type and simple parameters.
_MEDIA_TYPE: Final = re.compile(r"[\w.+\-]+/[\w.+\-]+(; ?[\w\-]+=[\w.\-]+)*", re.ASCII)
_PACKED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}


def type_of(name: str) -> str | None:
    """The media type that a file's name tells: of `t.csv.gz` that of what was packed by gzip."""
    media_type, packed = mimetypes.guess_type(name, strict=False)
    return media_type if packed is None else _PACKED.get(packed, "application/octet-stream")


def is_media_type(text: str) -> bool:
    """Whether it can stand in a Content-Type header as it is."""
    return _MEDIA_TYPE.fullmatch(text) is not None
