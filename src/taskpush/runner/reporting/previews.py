"""What a preview may be: a picture as bytes, or a short text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from taskpush.core.progress import BadReport
from taskpush.models.events import MAX_PICTURE_BYTES, MAX_PREVIEW_TEXT_BYTES
from taskpush.models.values import is_clean_text
from taskpush.runner.media_types import is_media_type
from taskpush.runner.sendable import MAX_DATA_BYTES, encoded_size, glimpse

# SVG is a text; it may be shown as a picture all the same.
_OF_TEXTS: Final = re.compile(r"text/|application/json\b|image/svg\+xml\b")


def preview(content: object, media_type: object) -> Mapping[str, Any]:
    """The data of one `ctx.preview`, with a picture's bytes as `content`.

    Raises `BadReport` when it cannot be shown.
    """
    if not isinstance(media_type, str) or not is_media_type(media_type):
        raise BadReport(f"{glimpse(media_type)} is no media type")
    match content:
        case bytes() | bytearray() | memoryview():
            return {"media_type": media_type, "content": _picture(bytes(content), media_type)}
        case str():
            return _text(content, media_type)
    raise BadReport(f"content is bytes or str, not a {type(content).__name__}")


def _picture(content: bytes, media_type: str) -> bytes:
    if not media_type.startswith("image/"):
        raise BadReport(f"bytes are a picture, image/…, not {media_type}")
    if not 0 < len(content) <= MAX_PICTURE_BYTES:
        raise BadReport(f"a picture of {len(content)} bytes, of at most {MAX_PICTURE_BYTES}")
    return content


def _text(content: str, media_type: str) -> Mapping[str, Any]:
    if not _OF_TEXTS.match(media_type):
        raise BadReport(f"a str is text/…, application/json or image/svg+xml, not {media_type}")
    if not is_clean_text(content):
        raise BadReport("text with a lone surrogate")
    size_bytes = len(content.encode())
    if size_bytes > MAX_PREVIEW_TEXT_BYTES:
        raise BadReport(f"a text of {size_bytes} bytes, of at most {MAX_PREVIEW_TEXT_BYTES}")
    data = {"media_type": media_type, "content": content}
    # Control characters take six bytes each.
    if encoded_size(data) > MAX_DATA_BYTES:
        raise BadReport(f"{encoded_size(data)} bytes do not fit one event")
    return data
