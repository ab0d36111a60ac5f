"""Requests that come to nothing, over real sockets: what people are told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskpush.client import AsyncClient, Client, ServerUnreachable
from taskpush.client.doors import Door
from tests.support.server import free_port


@contextmanager
def answering(said: bytes) -> Iterator[str]:
    """A server that says this to whoever comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.settimeout(30)
                    peer.recv(65536)
                    peer.sendall(said)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    serving.join()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "the connection was closed before the answer"),
        (b"SSH-2.0-x\r\n\r\n", "what answers does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "the answer broke off"),
    ],
)
def test_what_went_wrong_is_told_in_plain_words(said: bytes, told: str) -> None:
    with answering(said) as url, Client(url) as client, pytest.raises(ServerUnreachable) as caught:
        client.kinds()
    assert str(caught.value) == f"no answer from {url}: {told}"


@pytest.mark.parametrize("door", ["sse", "long_poll", "poll"])
async def test_every_door_of_http_says_by_whom_it_was_refused_and_nothing_of_the_library(
    door: Door,
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with AsyncClient(url, doors=[door]) as client:
        with pytest.raises(ServerUnreachable) as caught:
            await client.connect()
    where = url.removeprefix("http://")
    refused = f"Cannot connect to {where} (Connection refused)"
    assert str(caught.value) == f"no connection to {url}: {door}: {refused}"


async def test_a_name_that_nobody_knows_is_told() -> None:
    async with AsyncClient("http://nobody.invalid:8000") as client:
        with pytest.raises(ServerUnreachable, match=r"Cannot connect to nobody\.invalid:8000 \("):
            await client.kinds()
