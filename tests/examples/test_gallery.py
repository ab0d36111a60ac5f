from __future__ import annotations

import pytest

from examples.gallery import FailParams, WordCountParams, fail, push, word_count
from taskpush import TaskPush
from tests.examples.satellite.recording import Recording


def test_the_gallery_is_one_application() -> None:
    assert isinstance(push, TaskPush)


def test_words_are_counted_without_regard_to_case() -> None:
    params = WordCountParams(text="One two\ntwo three THREE three", top=2)
    result = word_count(Recording().as_context(), params)
    assert (result.total, result.distinct) == (6, 3)
    assert [(entry.word, entry.count) for entry in result.commonest] == [("three", 3), ("two", 2)]


def test_fail_fails_with_its_message_after_its_iterations() -> None:
    recording = Recording()
    with pytest.raises(ValueError, match=r"^no more$"):
        fail(recording.as_context(), FailParams(message="no more", after_iterations=2))
    assert [entry["i"] for entry in recording.named("iteration")] == [1, 2]
