"""Static files: packed where the browser takes that, and kept as long as their names say."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path
from typing import Final

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

STATIC: Final = Path(__file__).parent / "static"
# Their names hold a hash of what is in them.
_HASHED: Final = "dashboard/assets/"
_PACKED: Final = ".gz"
"""`hatch_build.py` puts files of this suffix beside those that become smaller."""


class Assets(StaticFiles):
    """Static files that are checked for changes at every load, unless their names change too."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await self._packed(path, scope) or await super().get_response(path, scope)
        kept = "public, max-age=31536000, immutable" if path.startswith(_HASHED) else "no-cache"
        response.headers.update({"Cache-Control": kept, "Vary": "Accept-Encoding"})
        return response

    async def _packed(self, path: str, scope: Scope) -> Response | None:
        """The packed file, which has its own ETag; None where there is none or it is not wanted."""
        headers = Headers(scope=scope)
        # Parts of a file are parts of what it holds.
        if "range" in headers or not takes_gzip(headers.get("accept-encoding", "")):
            return None
        try:
            response = await super().get_response(path + _PACKED, scope)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            return None
        if response.status_code != 304:
            media_type = guess_type(path)[0] or "application/octet-stream"
            charset = "; charset=utf-8" if media_type.startswith("text/") else ""
            response.headers.update(
                {"Content-Encoding": "gzip", "Content-Type": media_type + charset}
            )
        return response


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an answer may be packed, by the header of RFC 9110, section 12.5.3."""
    weights = {}
    for element in accept_encoding.lower().split(","):
        coding, _, parameter = element.partition(";")
        name, _, weight = parameter.partition("=")
        weights[coding.strip()] = weight.strip() if name.strip() == "q" else "1"
    try:
        return float(weights.get("gzip", weights.get("*", "0"))) > 0
    except ValueError:
        return False
