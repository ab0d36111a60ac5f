"""The load generator counts what comes, however the bytes are cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from bench.event import MARK, now_us, packet
from bench.frames import client_frame, server_frame
from bench.generator import Generator

CHANNEL = "5f0c9a4e-6d0f-4a53-9d7e-2f3b8f7c1a10"


@contextmanager
def sends(chunks: list[bytes]) -> Iterator[tuple[str, int]]:
    """A server that sends each client the chunks, one by one, as soon as it says something."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.recv(64)
            # The generator closes by reset, and it may have counted all before the last bytes.
            with suppress(ConnectionResetError):
                for chunk in chunks:
                    connection.sendall(chunk)
                connection.recv(64)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()
        thread.join(10)


def opened(address: tuple[str, int], greeting: str = "hello", *, timed: bool = True) -> Generator:
    """A generator with one client that has said its greeting."""
    generator = Generator()
    steps = [("", greeting, "raw"), ("ready", "", "raw")]
    answer = generator.answer(
        "open",
        {
            "address": address,
            "steps": steps,
            "subjects": [["-"]],
            "replies": {},
            "at_once": 1,
            "timeout_s": 10,
            "timed": timed,
        },
    )
    assert answer["errors"] == []
    return generator


@pytest.mark.parametrize("size", [1, 3, 7, 331, 2000])
@pytest.mark.parametrize("timed", [True, False])
def test_events_are_counted_however_their_bytes_are_cut(size: int, timed: bool) -> None:
    frames = server_frame(b"ready and waiting") + b"".join(
        server_frame(packet(CHANNEL, number, bytes_)) + server_frame(b"2")
        for number, bytes_ in enumerate((330, 400, 70_000), start=1)
    )
    # Into small pieces up to the middle of the third event, which is a large one.
    cut = len(frames) - 50_000
    pieces = [frames[i : min(i + size, 2000)] for i in range(0, 2000, size)]
    chunks = [*pieces, frames[2000:cut], frames[cut:]]

    with sends(chunks) as address:
        generator = opened(address, timed=timed)
        report = generator.collect(expected=3, timeout_s=10)
        generator.cut()

    assert (report["delivered"], report["least"], report["most"]) == (3, 3, 3)
    assert (report["latency_ms"] is not None) == timed


@pytest.mark.parametrize("size", [1, 7, 331, 2000])
@pytest.mark.parametrize("timed", [True, False])
def test_events_of_a_stream_are_counted_however_their_bytes_are_cut(size: int, timed: bool) -> None:
    stream = b"HTTP/1.1 200 OK\r\ncontent-type: ready\r\n\r\n" + b"".join(
        b"14c\r\nevent: task_update\ndata: %b\n\n\r\n" % packet(CHANNEL, number)
        for number in (1, 2, 3)
    )

    with sends([stream[i : i + size] for i in range(0, len(stream), size)]) as address:
        generator = opened(address, "GET / HTTP/1.1\r\n\r\n", timed=timed)
        report = generator.collect(expected=3, timeout_s=10)
        generator.cut()

    assert (report["delivered"], report["least"], report["most"]) == (3, 3, 3)
    assert (report["latency_ms"] is not None) == timed


def test_several_events_in_one_frame_all_count() -> None:
    two = packet(CHANNEL, 1) + b"\r\n" + packet(CHANNEL, 2)
    with sends([server_frame(b"ready and waiting"), server_frame(two)]) as address:
        generator = opened(address)
        report = generator.collect(expected=2, timeout_s=10)
        generator.cut()

    assert report["delivered"] == 2


def test_what_does_not_come_is_reported_as_missing() -> None:
    with sends([server_frame(b"ready and waiting"), server_frame(packet(CHANNEL, 1))]) as address:
        generator = opened(address)
        report = generator.collect(expected=2, timeout_s=0.2)
        generator.cut()

    assert report["delivered"] == 1


def test_latency_is_the_time_since_the_event_was_made() -> None:
    event = packet(CHANNEL, 1)
    sent = event[event.index(MARK) + len(MARK) :].partition(b",")[0]
    older = event.replace(sent, str(int(sent) - 2_000_000).encode())
    with sends([server_frame(b"ready and waiting"), server_frame(older)]) as address:
        generator = opened(address)
        report = generator.collect(expected=1, timeout_s=10)
        generator.cut()

    elapsed_ms = (now_us() - int(sent)) / 1000
    assert 2000 <= report["latency_ms"]["p50"] <= 2000 + elapsed_ms


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_frames_have_the_lengths_of_the_standard(length: int) -> None:
    payload = b"x" * length
    head = len(server_frame(payload)) - length

    assert head == 2 if length < 126 else head == (4 if length < 65_536 else 10)
    # The mask's bit, and the mask itself.
    assert client_frame(payload)[1] == server_frame(payload)[1] | 0x80
    assert len(client_frame(payload)) == head + 4 + length
