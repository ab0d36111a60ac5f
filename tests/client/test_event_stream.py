"""Server-Sent Events as bytes: however they are cut, they say the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.client.errors import BadAnswer
from taskpush.client.event_stream import LONGEST_BLOCK_BYTES, Block, BlockReader

STREAM = (
    "retry: 870\nid: k3:4\n\n"
    ":\n\n"
    'event: task_update\nid: k3:5\ndata: {"seq": 5, "text": "grüß"}\n\n'
    'event: task_update\r\ndata: {"seq":\r\ndata:  null}\r\n\r\n'
    "event:resync\ndata:[]\n\n"
).encode()
BLOCKS = [
    Block(None, "k3:4", None),
    Block("task_update", "k3:5", {"seq": 5, "text": "grüß"}),
    Block("task_update", None, {"seq": None}),
    Block("resync", None, []),
]


@given(st.sets(st.integers(0, len(STREAM))))
def test_it_does_not_matter_how_the_bytes_come(cuts: set[int]) -> None:
    reader = BlockReader()
    blocks: list[Block] = []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        blocks += reader.feed(STREAM[start:end])
    assert blocks == BLOCKS


def test_what_is_not_ended_is_not_told() -> None:
    assert list(BlockReader().feed(b"event: task_update\ndata: {}\n")) == []


def test_data_that_is_no_json_is_refused() -> None:
    with pytest.raises(BadAnswer, match="no JSON"):
        list(BlockReader().feed(b"event: task_update\ndata: <html>\n\n"))


def test_an_event_without_an_end_is_refused() -> None:
    with pytest.raises(BadAnswer, match="without an end"):
        list(BlockReader().feed(b"data: " + b"x" * LONGEST_BLOCK_BYTES))
