"""What the server's answers mean for a reporter."""

from __future__ import annotations

from typing import Any

import pytest

from taskpush.reporter.answers import Gap, Later, Over, Refused, Taken, TooLarge, Verdict, verdict

CASES: list[tuple[int, dict[str, Any], Verdict]] = [
    (
        200,
        {"next_producer_seq": 4, "cancel_wanted": True, "lease_s": 15.0},
        Taken(4, True, 15.0),
    ),
    (201, {"name": "a.txt", "cancel_wanted": False}, Taken(None, False, None)),
    (409, {"code": "producer_gap", "detail": "d", "expected": 7}, Gap(7)),
    (409, {"code": "stale_attempt", "detail": "old"}, Over("stale_attempt", "old")),
    (
        409,
        {"code": "illegal_transition", "detail": "d", "task_status": "interrupted"},
        Over("illegal_transition", "d", "interrupted"),
    ),
    (404, {"code": "not_found", "title": "No such task"}, Over("not_found", "No such task")),
    (403, {"code": "forbidden", "title": "no"}, Over("forbidden", "no")),
    # From something between here and the server.
    (404, {}, Later("HTTP 404, which is no answer of taskpush", 7.0)),
    (502, {}, Later("HTTP 502, which is no answer of taskpush", 7.0)),
    (503, {"code": "shutting_down", "title": "soon"}, Later("soon", 7.0)),
    (429, {"code": "rate_limited", "title": "slow"}, Later("slow", 7.0)),
    (401, {"code": "access_ended", "title": "expired"}, Later("expired", 7.0, needs_help=True)),
    (400, {"code": "host_refused", "title": "who"}, Later("who", 7.0, needs_help=True)),
    (413, {}, TooLarge()),
    (413, {"code": "payload_too_large", "detail": "large"}, TooLarge()),
    (
        413,
        {"code": "payload_too_large", "errors": [{"loc": "events.3.data", "message": "big"}]},
        Refused(3, "big"),
    ),
    (
        422,
        {"code": "invalid_request", "errors": [{"loc": "body.events.12.data", "message": "no"}]},
        Refused(12, "no"),
    ),
    (422, {"code": "invalid_request", "detail": "what?"}, Refused(None, "what?")),
]


@pytest.mark.parametrize(("status", "body", "meaning"), CASES)
def test_each_answer_has_one_meaning(status: int, body: dict[str, Any], meaning: Verdict) -> None:
    assert verdict(status, body, 7.0) == meaning
