"""One request to a receiver over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from taskpush.access.destinations import Destinations
from taskpush.access.webhook_secrets import FILE, WebhookSecrets, read_secrets
from taskpush.clock import SystemClock
from taskpush.core.webhooks import Answer, webhook_id
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent
from taskpush.tasks.webhooks.sending import MAX_ANSWER_BYTES, NOT_ALLOWED, Sender
from tests.support.receiver import Received, Receiver, receiver
from tests.support.server import free_port

EVENT = LoggedEvent("a-task", 1, 7, "k3v9", EventType.LOG, b'{"seq": 7}', final=False)


class Sending:
    """A sender, and how it was made."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / FILE
        self._made: list[Sender] = []

    def __call__(self, *allow: str, timeout_s: float = 5) -> Sender:
        sender = Sender(
            Destinations(allow),
            WebhookSecrets(self.secrets),
            SystemClock(),
            user_agent="taskpush/test",
            timeout_s=timeout_s,
        )
        self._made.append(sender)
        return sender

    async def close(self) -> None:
        for sender in self._made:
            await sender.close()


@pytest.fixture
async def sender(tmp_path: Path) -> AsyncIterator[Sending]:
    sending = Sending(tmp_path)
    yield sending
    await sending.close()


@pytest.fixture
async def taking() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


async def test_the_envelope_arrives_signed(sender: Sending, taking: Receiver) -> None:
    assert await sender("127.0.0.1").send(taking.url("/in?token=1"), EVENT) == Answer(204)
    (got,) = taking.received
    assert (got.path, got.body) == ("/in", EVENT.body)
    assert got.id == webhook_id(EVENT)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"] == "taskpush/test"
    (secret,) = read_secrets(sender.secrets)
    assert Webhook(secret).verify(got.body, got.headers) == {"seq": 7}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0.0.0.0"]
)
async def test_this_machine_is_not_reached_by_whatever_name(
    sender: Sending, taking: Receiver, host: str
) -> None:
    answer = await sender().send(taking.url(host=host), EVENT)
    assert answer.status is None
    assert taking.received == []


async def test_what_a_name_resolves_to_is_looked_at_when_it_is_connected_to(
    sender: Sending, taking: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was public when it was checked, and then means this machine."""
    asked: list[Any] = []

    def rebound(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        there = ("127.0.0.1", taking.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", there)]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    guarded = sender("10.0.0.0/8")
    assert await guarded.send("https://hooks.example.org/", EVENT) == Answer(None, NOT_ALLOWED)
    assert await guarded.send("https://hooks.example.org:8443/", EVENT) == Answer(None, NOT_ALLOWED)
    assert asked == ["hooks.example.org"] * 2
    # The same answer of the resolver, where the network is listed.
    url = f"http://hooks.example.org:{taking.port}/"
    assert (await sender("hooks.example.org").send(url, EVENT)).status == 204
    assert len(taking.received) == 1


async def test_redirects_are_not_followed(sender: Sending, taking: Receiver) -> None:
    async def elsewhere(_: Received) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": taking.url("/inside")})

    async with receiver(elsewhere) as misleading:
        answer = await sender("127.0.0.1").send(misleading.url(), EVENT)
    assert (answer.status, answer.is_taken) == (307, False)
    assert taking.received == []


async def test_proxies_of_the_environment_are_not_heeded(
    sender: Sending, taking: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert (await sender("127.0.0.1").send(taking.url(), EVENT)).is_taken


async def test_a_receiver_that_does_not_answer_is_given_some_time(sender: Sending) -> None:
    over = asyncio.Event()

    async def never(_: Received) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async with receiver(never) as silent:
        answer = await sender("127.0.0.1", timeout_s=0.2).send(silent.url(), EVENT)
        over.set()
    assert answer == Answer(None, "no answer within 0.2 s")


async def test_a_receiver_that_answers_drop_by_drop_is_given_no_more(sender: Sending) -> None:
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.02)  # As slow as it likes.
        writer.transport.abort()
        left.set()

    server = await asyncio.start_server(drip, "127.0.0.1", port := free_port())
    async with server:
        sending = sender("127.0.0.1", timeout_s=0.3)
        answer = await sending.send(f"http://127.0.0.1:{port}/", EVENT)
        await asyncio.wait_for(left.wait(), 10)
    assert answer == Answer(None, "no answer within 0.3 s")


async def test_of_an_endless_answer_the_status_counts(sender: Sending) -> None:
    sent = 0
    left = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                sent += 65536
                await writer.drain()
        writer.transport.abort()
        left.set()

    server = await asyncio.start_server(endless, "127.0.0.1", port := free_port())
    async with server:
        answer = await sender("127.0.0.1").send(f"http://127.0.0.1:{port}/", EVENT)
        await asyncio.wait_for(left.wait(), 10)
    assert answer == Answer(200)
    assert sent < 64 * 1024 * 1024
    assert sent > MAX_ANSWER_BYTES


async def test_what_went_wrong_is_said_in_few_words(sender: Sending) -> None:
    port = free_port()
    sending = sender("127.0.0.1", "nowhere.invalid")
    answer = await sending.send(f"http://127.0.0.1:{port}/", EVENT)
    assert answer == Answer(None, "no connection")
    answer = await sending.send("http://nowhere.invalid/", EVENT)
    assert answer == Answer(None, "the name does not resolve")
    async with receiver() as plain:
        answer = await sending.send(f"https://127.0.0.1:{plain.port}/", EVENT)
    assert answer == Answer(None, "no trusted TLS connection")


async def test_what_a_receiver_asks_for_is_heard(sender: Sending) -> None:
    async def later(_: Received) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "90"})

    async with receiver(later) as busy:
        answer = await sender("127.0.0.1").send(busy.url(), EVENT)
    assert answer.retry_after is not None
    assert (answer.status, answer.retry_after.total_seconds()) == (503, 90)


async def test_a_file_of_secrets_that_cannot_be_read_sends_nothing(
    sender: Sending, taking: Receiver
) -> None:
    sender.secrets.write_text("nonsense")
    answer = await sender("127.0.0.1").send(taking.url(), EVENT)
    assert answer == Answer(None, "the server cannot sign")
    assert taking.received == []
