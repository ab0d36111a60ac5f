"""What clients ask for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from taskpush.models.commands import CreateTask, Subscribe

TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


def test_previews_are_only_for_those_who_ask() -> None:
    assert not Subscribe.model_validate({"task_id": TASK}).previews
    assert Subscribe.model_validate({"task_id": TASK, "previews": True}).previews


@pytest.mark.parametrize("previews", ["yes", 1, None, []])
def test_previews_is_true_or_false(previews: object) -> None:
    with pytest.raises(ValidationError):
        Subscribe.model_validate({"task_id": TASK, "previews": previews})


def test_a_title_that_is_too_long_is_told_in_characters() -> None:
    with pytest.raises(ValidationError, match="at most 200 characters"):
        CreateTask.model_validate({"kind": "layout", "title": "t" * 201})


def test_a_title_with_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(ValidationError, match="valid string"):
        CreateTask.model_validate({"kind": "layout", "title": "\ud800"})
