"""Frames that break RFC 6455, and those that keep it and mean harm."""

from __future__ import annotations

import pytest

from tests.attacks import raw
from tests.attacks.raw import CUT, frame
from tests.support.server import ServerProcess

FLOOD = 1000
ROUNDS = 400


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(b"", final=False)] + [frame(b"", opcode=0, final=False)] * 5000, 1009),
        ([frame(b"4" * 60_000, final=False), frame(b"4" * 60_000, opcode=0)], 1009),
        ([frame(b"4" * 15_000_000)], 1009),
        ([frame(b"4" * 65_537)], 1009),
        ([frame(b"4\xff\xfe")], 1007),
        ([frame(b"4\xff\xfe")] * 20, 1007),
        ([frame(b"4\xc3", final=False), frame(b"\x28", opcode=0)], 1007),
        ([frame(b"40/tasks,", masked=False)], 1002),
        ([frame(b"40/tasks,", reserved=4)], 1002),
        ([frame(b"40/tasks,", reserved=1)], 1002),
        ([frame(b"", opcode=3)], 1002),
        ([frame(b"", opcode=15)], 1002),
        ([frame(b"x" * 126, opcode=9)], 1002),
        ([frame(b"", opcode=9, final=False)], 1002),
        ([frame(b"x", opcode=0)], 1002),
        ([frame(b"x", final=False), frame(b"y")], 1002),
        ([frame(b"\x00", opcode=8)], 1002),
        ([frame(b"\x00\x01", opcode=8)], 1002),
        ([frame(b"\x03\xe8\xff", opcode=8)], 1007),
    ],
    ids=[
        "endless empty fragments",
        "large in parts",
        "15 MB",
        "one byte too many",
        "bad UTF-8",
        "bad UTF-8 again and again",
        "bad UTF-8 over fragments",
        "unmasked",
        "reserved bit 1",
        "reserved bit 3",
        "reserved opcode",
        "reserved control opcode",
        "large ping",
        "ping in parts",
        "continues nothing",
        "message in a message",
        "half a close code",
        "reserved close code",
        "bad UTF-8 in a close",
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_frame_that_no_client_sends_ends_the_connection_with_its_code(
    server: ServerProcess, frames: list[bytes], code: int, joined: bool
) -> None:
    with raw.peer(server.port) as bad:
        if joined:
            bad.join()
        bad.send(*frames)
        # Of a sender that does not stop, the server's last words may be lost.
        lost = {CUT} if sum(map(len, frames)) > 200_000 else set()
        assert bad.close_code() in {code} | lost


@pytest.mark.parametrize(
    "last", ["1", "9", "40/tasks,{"], ids=["engine.io close", "no packet", "no JSON"]
)
def test_who_is_sent_away_while_saying_goodbye_is_answered_with_its_own(
    server: ServerProcess, last: str
) -> None:
    """Clients of Engine.IO say "1" and close at once: both are read together."""
    with raw.peer(server.port) as leaving:
        leaving.send(frame(last.encode()), frame((3001).to_bytes(2, "big"), opcode=8))
        assert leaving.close_code() == 3001


@pytest.mark.parametrize("opcode", [9, 10], ids=["pings", "pongs"])
def test_a_flood_of_control_frames_is_cut_off(server: ServerProcess, opcode: int) -> None:
    """Answers are not read: they must not pile up either."""
    with raw.peer(server.port, receive_buffer=4096) as flooding:
        flooding.join()
        for _ in range(ROUNDS):
            flooding.send(frame(b"x" * 125, opcode=opcode) * FLOOD)
        assert flooding.close_code() == CUT


def test_a_flood_of_words_without_a_namespace_is_cut_off(server: ServerProcess) -> None:
    """Each is answered, with more than it has itself."""
    with raw.peer(server.port, receive_buffer=4096) as flooding:
        for _ in range(ROUNDS):
            flooding.say(*["40/other,"] * FLOOD)
        assert flooding.close_code() == CUT
