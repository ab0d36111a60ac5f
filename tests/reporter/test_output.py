"""What a program's output says, as a terminal would show it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.reporter.output import (
    MAX_LINE,
    Found,
    Line,
    Overwritten,
    Screen,
    message_of,
    progress_in,
)


def seen(*pieces: bytes) -> list[Line | Overwritten]:
    screen = Screen()
    found = [each for piece in pieces for each in screen.feed(piece)]
    return [*found, *screen.end()]


def test_lines_are_lines_however_they_arrive() -> None:
    assert seen(b"one\ntw", b"o\r", b"\n\n", b"thr", b"ee") == [
        Line("one"),
        Line("two"),
        Line("three"),
    ]


def test_a_line_that_is_written_over_shows_each_state_and_its_last_one_stays() -> None:
    assert seen(b"\r 10%", b"\r 20%", b"\r100%\n") == [
        Overwritten("10%"),
        Overwritten("20%"),
        Line("100%", bar=True),
    ]


def test_what_drives_a_terminal_is_no_text_also_in_pieces() -> None:
    assert seen(b"\x1b[31mr", b"ed\x1b[", b"0m\x1b]0;title\x07\x1b[?25l\x08\n") == [Line("red")]


def test_a_character_in_pieces_is_one_and_what_is_no_text_is_marked() -> None:
    assert seen(b"\xc3", b"\xa9\n\xff\n") == [Line("é"), Line("\ufffd")]


def test_a_line_without_end_comes_in_pieces() -> None:
    assert [len(each.text) for each in seen(b"x" * (2 * MAX_LINE + 5))] == [MAX_LINE, MAX_LINE, 5]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_whatever_a_program_writes_is_read(pieces: list[bytes]) -> None:
    for each in seen(*pieces):
        assert each.text
        progress_in(each.text, bar=isinstance(each, Overwritten))
        message_of(each.text)


@given(st.text(alphabet="ab\n", max_size=60), st.integers(1, 7))
def test_how_it_is_cut_makes_no_difference(text: str, size: int) -> None:
    raw = text.encode()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert seen(*pieces) == seen(raw)


OVERWRITTEN = [
    (" 45%|####   | 45/100 [00:01<00:02, 30.1it/s]", Found(done=45, total=100)),
    ("50%|█████     | 1.20k/2.40k [00:00<00:00]", Found(done=1200, total=2400)),
    ("━━━━━╸━━━━ 1.2/3.4 MB 5.6 MB/s eta 0:00:01", Found(done=1.2e6, total=3.4e6, unit="byte")),
    ("32,768  16%    5.00MB/s    0:00:00 (xfr#1, to-chk=0/1)", Found(percent=16)),
    ("123456789 bytes (123 MB, 118 MiB) copied, 1 s", Found(done=123456789, unit="byte")),
    ("12 of 40 files", Found(done=12, total=40)),
    ("working ...", None),
]
STAYING = [
    ("[3/10] compiling x.c", Found(done=3, total=10)),
    ("Epoch 3/10: loss 0.2", Found(done=3, total=10)),
    ("downloaded 42%", Found(percent=42)),
    ("processed 7 of 9 in all", Found(done=7, total=9)),
    ("on 12/11/2026 at 10:20", None),
    ("see http://example.org/1/2", None),
    ("a ratio of 3/4 today", None),
    ("250% of what was planned", None),
    ("test 5/3", None),
]


@pytest.mark.parametrize(("text", "found"), OVERWRITTEN)
def test_a_bar_says_how_far_it_is(text: str, found: Found | None) -> None:
    assert progress_in(text, bar=True) == found


@pytest.mark.parametrize(("text", "found"), STAYING)
def test_a_line_that_stays_says_so_in_words_or_brackets(text: str, found: Found | None) -> None:
    assert progress_in(text, bar=False) == found


def test_of_a_bar_the_words_are_the_message() -> None:
    assert message_of("   ━━━━━╸━━━━ 1.2/3.4 MB eta 0:00:01") == "1.2/3.4 MB eta 0:00:01"
    assert message_of(" 45%|#####     | 45/100") == "45%| | 45/100"
