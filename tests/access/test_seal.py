"""Texts for readers who are to give them back, and to learn nothing from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.access.seal import Seal

SECRET = b"s" * 32


@given(st.text(st.characters(codec="ascii", exclude_characters=" "), max_size=200))
def test_what_was_closed_is_opened_again_also_by_a_server_that_was_restarted(text: str) -> None:
    assert Seal(SECRET, "feed").open(Seal(SECRET, "feed").close(text)) == text


def test_nobody_sees_that_a_text_is_the_same_or_how_long_it_is() -> None:
    seal = Seal(SECRET)
    closed = {seal.close(f"ab12cd34.{number:x}.0") for number in (1, 1, 2, 16**9)}
    assert len(closed) == 4
    assert len({len(each) for each in closed}) == 1


def test_another_purpose_or_another_secret_does_not_open_it() -> None:
    closed = Seal(SECRET, "feed").close("ab12cd34.1.0")
    assert Seal(SECRET, "list").open(closed) is None
    assert Seal(b"t" * 32, "feed").open(closed) is None
    assert Seal(purpose="feed").open(closed) is None


def test_no_changed_character_is_taken() -> None:
    seal = Seal(SECRET)
    closed = seal.close("ab12cd34.1.0")
    for place, mark in enumerate(closed):
        other = "A" if mark != "A" else "B"
        assert seal.open(closed[:place] + other + closed[place + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "t1", "ab12cd34.1.0", "not a cursor", "äöü", "====", "A" * 4000, "A" * 96]
)
def test_what_no_seal_has_made_is_opened_by_none(text: str) -> None:
    assert Seal(SECRET).open(text) is None
