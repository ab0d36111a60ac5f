"""Files that somebody made, served so that none can act as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.responses import FileResponse

SHOWN_IN_PLACE: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "text/plain",
        "text/csv",
        "application/json",
    }
)
"""Types that a browser may show; everything else is a download, whatever it claims to be."""


def served(
    path: Path, *, name: str, media_type: str, sha256: str, pinned: bool = True
) -> FileResponse:
    """The answer with that file.

    `pinned`: the address has this content for ever.
    """
    inline = media_type.partition(";")[0].strip() in SHOWN_IN_PLACE
    return FileResponse(
        path,
        media_type=media_type if inline else "application/octet-stream",
        filename=name,
        content_disposition_type="inline" if inline else "attachment",
        headers={
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "ETag": f'"{sha256}"',
            "Cache-Control": (
                "private, immutable, max-age=31536000" if pinned else "private, no-cache"
            ),
        },
    )
