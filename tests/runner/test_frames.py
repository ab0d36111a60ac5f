"""Frames between server and worker."""

from __future__ import annotations

import pytest

from taskpush.runner import frames


def test_a_message_survives_the_way() -> None:
    frame = frames.pack({"log": {"message": "ä"}, "id": 1})
    head, body = frame[: frames.HEAD_BYTES], frame[frames.HEAD_BYTES :]
    assert frames.body_bytes(head) == len(body)
    assert frames.unpack(body) == {"log": {"message": "ä"}, "id": 1}


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read() -> None:
    with pytest.raises(frames.BadFrame):
        frames.body_bytes(b"\xff\xff\xff\xff")


def test_a_frame_holds_an_object() -> None:
    with pytest.raises(frames.BadFrame):
        frames.unpack(b"[1]")


def test_too_long_a_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 10)
    with pytest.raises(frames.BadFrame):
        frames.pack({"returned": "x" * 10})


def test_bytes_that_are_attached_survive_the_way() -> None:
    attachment = bytes(range(256)) * 3
    body = frames.pack({"volatile": "preview", "data": {"content": None}}, attachment)
    assert frames.unpack(body[frames.HEAD_BYTES :]) == {
        "volatile": "preview",
        "data": {"content": None},
        "attachment": attachment,
    }


def test_a_line_break_in_a_text_attaches_nothing() -> None:
    body = frames.pack({"returned": "a\nb"})
    assert frames.unpack(body[frames.HEAD_BYTES :]) == {"returned": "a\nb"}
