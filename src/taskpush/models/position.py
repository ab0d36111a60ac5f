"""Positions in a task's log, and their text form."""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

from taskpush.errors import TaskPushError
from taskpush.models.values import MAX_SAFE_INTEGER

_TEXT: Final = re.compile(r"(?:([0-9a-z]{1,32}):)?(0|[1-9][0-9]{0,15})")


class Position(NamedTuple):
    """The last logged event seen: protocol section 1.

    `epoch` is None for a bare seq, which people use to explore: it is taken as it is. With an
    epoch the position is valid if, and only if, the stored event at `seq` has that epoch.
    """

    seq: int
    epoch: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `epoch:seq` or a bare `seq`; raises `invalid_position` for anything else."""
        match = _TEXT.fullmatch(text)
        if match is None or int(match[2]) > MAX_SAFE_INTEGER:
            raise TaskPushError(
                "a position is written epoch:seq, or seq alone", code="invalid_position"
            )
        return cls(seq=int(match[2]), epoch=match[1])

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}" if self.epoch else str(self.seq)


START: Final = Position(seq=0)
"""Before the first event; always valid, and means the retained log from its start."""


class WirePosition(BaseModel):
    """A position inside JSON: `{"epoch": "k3v9", "seq": 17}`; the epoch of seq 0 is empty."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: Annotated[str, Field(pattern=r"^[0-9a-z]{0,32}$")]
    seq: Annotated[int, Field(strict=True, ge=0, le=MAX_SAFE_INTEGER)]

    @classmethod
    def of(cls, position: Position) -> Self:
        return cls(epoch=position.epoch or "", seq=position.seq)

    def to_position(self) -> Position:
        return Position(seq=self.seq, epoch=self.epoch)
