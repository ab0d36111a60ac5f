"""Server-Sent Events, read: bytes go in, blocks come out. No I/O.

Source of the format: the HTML standard, "Server-sent events".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from taskpush.client.errors import BadAnswer

LONGEST_BLOCK_BYTES: Final = 16 * 1024 * 1024
"""Far more than an event has; a snapshot may hold large params."""


@dataclass(frozen=True, slots=True)
class Block:
    """What was said between two empty lines."""

    # None when it only says where the stream is.
    name: str | None
    # None when it does not move the position.
    id: str | None
    # None when there is none.
    data: Any


class BlockReader:
    """Takes a stream's bytes as they come."""

    def __init__(self) -> None:
        self._text = b""

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """The blocks that these bytes complete, without those that say nothing.

        Raises `BadAnswer` for what is no event of taskpush.
        """
        self._text = (self._text + chunk).replace(b"\r\n", b"\n")
        while (end := self._text.find(b"\n\n")) >= 0:
            raw, self._text = self._text[:end], self._text[end + 2 :]
            block = _block(raw)
            if block.name is not None or block.id is not None:
                yield block
        if len(self._text) > LONGEST_BLOCK_BYTES:
            raise BadAnswer("the server sent an event without an end")


def _block(raw: bytes) -> Block:
    fields: dict[str, list[str]] = {}
    for line in raw.decode("utf-8", "replace").split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    return Block(_last(fields, "event"), _last(fields, "id"), _data(fields.get("data")))


def _last(fields: dict[str, list[str]], name: str) -> str | None:
    return fields[name][-1] if name in fields else None


def _data(lines: list[str] | None) -> Any:
    if lines is None:
        return None
    try:
        return json.loads("\n".join(lines))
    except ValueError:
        raise BadAnswer(f"the server sent an event that is no JSON: {lines[0]:.80}") from None
