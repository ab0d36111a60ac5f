"""What a program's output says: lines, and how far it is. Bytes in, values out.

Programs show progress by writing a line over itself (`\\r`), and say it as `45%`, `12/40` or
`12 of 40`. Source of what terminals obey: ECMA-48, sections 5.4 and 8.3.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_LINE: Final = 8 * 1024
"""A longer line is cut into such pieces: not everything that a program writes is text."""

_ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])"
)
_UNFINISHED: Final = re.compile(r"\r+$|\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)?$")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_TURN: Final = re.compile(r"\r?\n|\r+(?!\n)")

_PERCENT: Final = re.compile(r"(?<![\w.,])(\d{1,3}(?:\.\d+)?)\s?%(?!\w)")
_NUMBER: Final = r"(\d+(?:,\d{3})*(?:\.\d+)?)\s?([kKMGT]?)(i?B|bytes)?"
_COUNT: Final = re.compile(rf"(?<![\w./,:-]){_NUMBER}\s?(?:/|\bof\b)\s?{_NUMBER}(?![\w/-]|[.:]\d)")
_OF_BYTES: Final = re.compile(r"^\s*(\d+) bytes\b.*\bcopied\b")
# In a line that stays, figures mean progress only where a word or brackets say so.
_SAID: Final = re.compile(
    r"[\[(]\s*$|\b(?:batch|chunk|done|epoch|file|frame|item|iteration|page|part|processed|progress"
    r"|round|sample|step|test)s?\s*:?\s*[\[(]?\s*$",
    re.IGNORECASE,
)
_GLYPHS: Final = re.compile(r"[\u2500-\u259f\u2800-\u28ff]+|[#=]{4,}>?|\|\s*\|")
_FACTOR: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTES: Final = {"B", "iB", "bytes"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line that stays."""

    text: str
    # Whether it was written over before: a bar at its end.
    bar: bool = False


@dataclass(frozen=True, slots=True)
class Overwritten:
    """What a line shows that is being written over: a bar, a count, a spinner."""

    text: str


class Screen:
    """Reads what a program writes on one stream, as a terminal would show it."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        # What came of the present line, and of an escape sequence that is not whole.
        self._line = ""
        self._rest = ""
        # What the line showed before its start was gone back to.
        self._shown = ""

    def feed(self, content: bytes) -> Iterator[Line | Overwritten]:
        """What the bytes have added; nothing of them is kept back but half a line."""
        text = self._rest + self._decode(content)
        unfinished = _UNFINISHED.search(text)
        self._rest = unfinished[0] if unfinished and len(unfinished[0]) < 100 else ""
        text = _ESCAPES.sub("", text[: len(text) - len(self._rest)])
        at = 0
        for turn in _TURN.finditer(text):
            self._line += text[at : turn.start()]
            at = turn.end()
            yield from self._line_ended() if turn[0].endswith("\n") else self._gone_back()
        self._line += text[at:]
        yield from self._cut()
        if self._shown and (showing := clean(self._line)) and showing != self._shown:
            # The bar is written after the `\r`: it shows now, not when it is written over.
            self._shown = showing
            yield Overwritten(showing)

    def end(self) -> Iterator[Line | Overwritten]:
        """What is left when nothing more comes."""
        self._line += self._decode(b"", True)
        if clean(self._line) or self._shown:
            yield from self._line_ended()

    def _line_ended(self) -> Iterator[Line | Overwritten]:
        text, bar = clean(self._line) or self._shown.strip(), bool(self._shown)
        self._line = self._shown = ""
        if text:
            yield Line(text[:MAX_LINE], bar)

    def _gone_back(self) -> Iterator[Line | Overwritten]:
        text = clean(self._line)
        self._line = ""
        # From here on the line is one that is written over, if nothing was shown yet as well.
        before, self._shown = self._shown, text or self._shown or " "
        if text and text != before:
            yield Overwritten(text)

    def _cut(self) -> Iterator[Line | Overwritten]:
        while len(self._line) > MAX_LINE:
            piece, self._line = self._line[:MAX_LINE], self._line[MAX_LINE:]
            yield Line(clean(piece))


@dataclass(frozen=True, slots=True)
class Found:
    """How far a program says it is."""

    percent: float | None = None
    done: float | None = None
    total: float | None = None
    # "byte" where the figures are bytes; None where nothing says what they are.
    unit: str | None = None


def progress_in(text: str, *, bar: bool) -> Found | None:
    """The progress that a bar or another line shows; None when it shows none."""
    if bar and (copied := _OF_BYTES.match(text)):
        return Found(done=float(copied[1]), unit="byte")
    count = _count(text, bar=bar)
    percent = _percent(text)
    if count is None:
        return None if percent is None else Found(percent=percent)
    said = 100 * (count.done or 0) / (count.total or 1)
    # Of two figures that do not fit, the count is of something else: files, not their bytes.
    return count if percent is None or abs(said - percent) <= 2 else Found(percent=percent)


def message_of(text: str) -> str:
    """The words of a line that is a bar, without what is drawn."""
    return " ".join(_GLYPHS.sub(" ", text).split())[:200]


def clean(text: str) -> str:
    """The text as it reads: without what is not printed, nor blanks around it."""
    return _UNPRINTABLE.sub("", text.replace("\t", " ")).strip()


def _percent(text: str) -> float | None:
    found = [float(each) for each in _PERCENT.findall(text)]
    fitting = [value for value in found if value <= 100]
    return fitting[0] if fitting else None


def _count(text: str, *, bar: bool) -> Found | None:
    for match in _COUNT.finditer(text):
        done_text, done_factor, done_unit, total_text, total_factor, total_unit = match.groups()
        # "1.2/3.4 MB" says what both are at its end.
        total = _value(total_text, total_factor)
        done = _value(done_text, done_factor or ("" if done_unit else total_factor))
        leads = not text[: match.start()].strip()
        if not total or done > total:
            continue
        if bar or leads or _SAID.search(text[: match.start()]):
            return Found(done=done, total=total, unit="byte" if total_unit in _BYTES else None)
    return None


def _value(text: str, factor: str) -> float:
    return round(float(text.replace(",", "")) * _FACTOR[factor], 3)
