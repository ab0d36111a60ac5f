"""The kind `command`: any program that `taskpush run` has started somewhere."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from taskpush.models.sensitive import Sensitive

COMMAND: Final = "command"
"""The kind's name."""


class CommandParams(BaseModel):
    """What was started, and where. The server never executes it."""

    # Words of command lines may be secrets.
    command: Annotated[list[str], Sensitive] = Field(min_length=1)
    host: str = ""
    directory: Annotated[str, Sensitive] = ""


class CommandResult(BaseModel):
    """How it ended."""

    exit_code: int
