"""What is sent to webhooks, and when again."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from taskpush.core.webhooks import (
    JITTER,
    LONGEST_WAIT,
    Answer,
    after_answer,
    retry_after_of,
    secret_bytes,
    sent_again,
    signed_headers,
    webhook_id,
)
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent
from taskpush.models.webhooks import MAX_DELIVERIES, DeliveryState

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
SCHEDULE = (timedelta(seconds=10), timedelta(minutes=1))
TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"


def event(seq: int = 1, body: bytes = b'{"task_id": "\xc3\xa9"}') -> LoggedEvent:
    return LoggedEvent(TASK, 1, seq, "k3v9", EventType.STATUS_CHANGE, body, final=False)


def after(
    answer: Answer, state: DeliveryState | None = None, *, seq: int = 1, chance: float = 0.5
) -> DeliveryState:
    return after_answer(
        state or DeliveryState(),
        event(seq),
        answer,
        NOW,
        schedule=SCHEDULE,
        random=lambda: chance,
    )


def test_the_standards_own_library_verifies_what_is_signed() -> None:
    now = datetime.now(UTC)
    headers = signed_headers([secret_bytes(SECRET)], event(), now)
    assert Webhook(SECRET).verify(event().body, headers) == {"task_id": "é"}
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(event().body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(event().body + b" ", headers)


def test_two_secrets_sign_so_that_receivers_can_change_over() -> None:
    now = datetime.now(UTC)
    headers = signed_headers([secret_bytes(OTHER), secret_bytes(SECRET)], event(), now)
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(event().body, headers)


def test_the_id_is_the_same_at_every_try_and_holds_no_separator() -> None:
    first = signed_headers([b"k"], event(), NOW)
    later = signed_headers([b"k"], event(), NOW + timedelta(hours=1))
    assert first["webhook-id"] == later["webhook-id"] == webhook_id(event())
    assert "." not in first["webhook-id"]
    assert first["webhook-signature"] != later["webhook-signature"]


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_AAAA", "whsec_!!!", base64.b64encode(bytes(32)).decode()]
)
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        secret_bytes(text)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_only_2xx_means_that_it_was_taken(status: int) -> None:
    state = after(Answer(status))
    assert (state.seq, state.tries, state.next_try_at) == (1, 0, None)
    assert state.deliveries[0].outcome == "taken"
    assert state.deliveries[0].error is None


@pytest.mark.parametrize("status", [100, 301, 302, 304, 400, 401, 404, 422, 429, 500, 503])
def test_any_other_answer_is_tried_again(status: int) -> None:
    state = after(Answer(status))
    assert (state.seq, state.tries) == (0, 1)
    assert state.next_try_at == NOW + SCHEDULE[0]
    assert state.deliveries[0].outcome == "failed"
    assert state.deliveries[0].error == f"answered {status}"


def test_after_the_last_wait_the_event_is_given_up_and_the_next_ones_turn_comes() -> None:
    state = DeliveryState()
    for tries in (1, 2):
        state = after(Answer(None, "no connection"), state)
        assert state.deliveries[0].tries == tries
        assert state.deliveries[0].next_try_at == NOW + SCHEDULE[tries - 1]
    state = after(Answer(None, "no connection"), state)
    assert (state.seq, state.tries, state.next_try_at) == (1, 0, None)
    (delivery,) = state.deliveries
    assert (delivery.outcome, delivery.tries, delivery.next_try_at) == ("given_up", 3, None)
    assert after(Answer(200), state, seq=2).seq == 2


@given(st.floats(0, 1))
def test_waits_are_spread_around_the_schedule(chance: float) -> None:
    state = after(Answer(500), chance=chance)
    assert state.next_try_at is not None
    share = (state.next_try_at - NOW) / SCHEDULE[0]
    assert 1 - JITTER - 1e-6 <= share <= 1 + JITTER + 1e-6


def test_a_receiver_that_asks_for_more_time_gets_it_and_for_less_does_not() -> None:
    later = after(Answer(503, retry_after=timedelta(hours=1)))
    assert later.next_try_at == NOW + timedelta(hours=1)
    sooner = after(Answer(503, retry_after=timedelta(seconds=1)))
    assert sooner.next_try_at == NOW + SCHEDULE[0]


def test_410_ends_the_webhook_until_somebody_sends_again() -> None:
    state = after(Answer(410))
    assert (state.gone, state.deliveries[0].outcome) == (True, "given_up")
    again = sent_again(state, 0)
    assert (again.gone, again.seq, again.tries) == (False, 0, 0)
    assert again.deliveries == state.deliveries
    assert sent_again(state, 99).seq == state.seq


def test_the_newest_deliveries_are_remembered_one_entry_each() -> None:
    state = DeliveryState()
    for seq in range(1, MAX_DELIVERIES + 5):
        state = after(Answer(500), state, seq=seq)
        state = after(Answer(200), state, seq=seq)
    seqs = [delivery.seq for delivery in state.deliveries]
    assert seqs == list(range(5, MAX_DELIVERIES + 5))
    assert {(it.outcome, it.tries) for it in state.deliveries} == {("taken", 2)}


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        (None, None),
        ("120", timedelta(seconds=120)),
        ("0", timedelta(0)),
        ("9" * 50, LONGEST_WAIT),
        ("Sun, 22 Nov 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Sun, 22 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("Sun, 22 Nov 2036 12:00:00 GMT", LONGEST_WAIT),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Sun, 99 Nov 2026 12:01:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, wait: timedelta | None) -> None:
    assert retry_after_of(text, NOW) == wait
