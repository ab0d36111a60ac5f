"""What a preview may be."""

from __future__ import annotations

import pytest

from taskpush.core.progress import BadReport
from taskpush.runner.reporting.previews import preview

LARGEST = 192 * 1024
LONGEST = 16 * 1024


@pytest.mark.parametrize("content", [b"x" * LARGEST, bytearray(b"x"), memoryview(b"x")])
def test_a_picture_is_bytes(content: bytes) -> None:
    shown = preview(content, "image/png")
    assert shown == {"media_type": "image/png", "content": bytes(content)}
    assert type(shown["content"]) is bytes


@pytest.mark.parametrize(
    "media_type", ["text/plain", "text/html; charset=utf-8", "application/json", "image/svg+xml"]
)
def test_a_text_is_a_str(media_type: str) -> None:
    assert preview("x" * LONGEST, media_type)["content"] == "x" * LONGEST


@pytest.mark.parametrize(
    ("content", "media_type", "why"),
    [
        (b"x" * (LARGEST + 1), "image/png", "196609 bytes"),
        (b"", "image/png", "0 bytes"),
        (b"x", "application/pdf", "not application/pdf"),
        (b"x", "text/plain", "not text/plain"),
        ("ä" * (LONGEST // 2 + 1), "text/plain", "16386 bytes"),
        ("\x01" * LONGEST, "text/plain", "do not fit one event"),
        ("x", "image/png", "not image/png"),
        ("\ud800", "text/plain", "surrogate"),
        (b"x", "image/png\r\nX: y", "no media type"),
        (b"x", None, "no media type"),
        ([1], "image/png", "not a list"),
        (None, "image/png", "not a NoneType"),
    ],
)
def test_anything_else_is_refused(content: object, media_type: object, why: str) -> None:
    with pytest.raises(BadReport, match=why):
        preview(content, media_type)
