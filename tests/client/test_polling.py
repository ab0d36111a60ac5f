"""Long polls cut to what the Engine.IO library reads."""

from __future__ import annotations

import engineio
import pytest

from taskpush.client.polling import PACKETS_READ, SEPARATOR, split


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (16, [16]), (17, [16, 1]), (40, [16, 16, 8])]
)
def test_packets_keep_their_order_in_pieces_that_are_read(count: int, sizes: list[int]) -> None:
    packets = [f"4{number}".encode() for number in range(count)]
    pieces = split(SEPARATOR.join(packets))
    assert [piece.count(SEPARATOR) + 1 for piece in pieces] == sizes
    assert SEPARATOR.join(pieces) == SEPARATOR.join(packets)


def test_an_empty_poll_stays_one() -> None:
    assert split(b"") == [b""]


def test_the_library_still_reads_that_many() -> None:
    assert engineio.payload.Payload.max_decode_packets >= PACKETS_READ
