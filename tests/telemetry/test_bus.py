"""The log's lines: one for each event, whatever its fields hold."""

from __future__ import annotations

import logging

import pytest

from taskpush.telemetry.bus import LineFormatter, Telemetry, log_to
from taskpush.telemetry.events import AccessRefused, HandlerRaised

LOGGER = "taskpush.test_bus"


@pytest.fixture
def telemetry(caplog: pytest.LogCaptureFixture) -> Telemetry:
    caplog.set_level(logging.INFO, LOGGER)
    return Telemetry(log_to(logging.getLogger(LOGGER)))


def test_what_somebody_sent_is_quoted_and_neither_ends_a_line_nor_a_field(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.emit(AccessRefused('::1" code=ok', "forbidden", "a\r\nb \x1b[31m\u2028\x9b"))
    [record] = caplog.records
    assert record.getMessage() == (
        r'access.refused peer="::1\" code=ok" code=forbidden'
        r' why="a\r\nb \x1b[31m\u2028\x9b"'
    )


def test_no_line_of_a_traceback_looks_like_one_of_the_log(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    forged = "2026-11-22 14:00:00 INFO taskpush: server.stopped"
    trace = f"Traceback:\n  File x\nValueError: a\n{forged}\r\x1b[2J\u2028{forged}\n"
    telemetry.emit(HandlerRaised("t1", "layout", 1, "ValueError", trace))
    first, *lines = caplog.records[0].getMessage().split("\n")
    assert first == "handler.raised task_id=t1 kind=layout attempt=1 error=ValueError"
    assert lines == [
        "  Traceback:",
        "    File x",
        "  ValueError: a",
        f"  {forged}\\r\\x1b[2J\\u2028{forged}",
    ]


def test_nor_does_one_of_an_exception_that_nobody_expected() -> None:
    try:
        raise ValueError("a\n2026-11-22 14:00:00 INFO taskpush: server.stopped\x1b[2J")
    except ValueError as error:
        found = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "it failed", None, found)
    first, *lines = LineFormatter("%(message)s").format(record).split("\n")
    assert first == "it failed"
    assert all(line.startswith("  ") for line in lines)
    assert lines[-1] == r"  2026-11-22 14:00:00 INFO taskpush: server.stopped\x1b[2J"
