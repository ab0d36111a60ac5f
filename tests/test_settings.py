"""Settings are read from the environment, as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from taskpush.core.retention import Keep, Retention
from taskpush.settings import Settings


def test_everything_is_kept_unless_somebody_says_otherwise() -> None:
    assert Settings().retention == Retention()
    assert Settings().retention.is_unlimited


def test_what_is_kept_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TASKS_AGE": "90d",
        "TASKS_COUNT": "10000",
        "TASKS_BYTES": "50GiB",
        "LOGS_AGE": "12h",
        "LOGS_COUNT": "0",
        "LOGS_BYTES": "500MB",
        "SPARE": "0s",
    }.items():
        monkeypatch.setenv(f"TASKPUSH_KEEP_{name}", value)
    assert Settings().retention == Retention(
        tasks=Keep(timedelta(days=90), 10_000, 50 * 1024**3),
        logs=Keep(timedelta(hours=12), 0, 500_000_000),
        spare=timedelta(0),
    )


def test_nothing_is_compressed_unless_somebody_says_above_which_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().compress_above is None
    monkeypatch.setenv("TASKPUSH_COMPRESS_ABOVE", "4KiB")
    assert Settings().compress_above == 4096


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("COMPRESS_ABOVE", "-1", "no size"),
        ("KEEP_TASKS_AGE", "soon", "no length of time"),
        ("KEEP_TASKS_BYTES", "much", "no size"),
        ("KEEP_LOGS_COUNT", "-1", "greater than or equal to 0"),
        ("RETENTION_INTERVAL_S", "0", "greater than 0"),
        ("OUTBOX_BYTES", "100", "greater than or equal to 4096"),
    ],
)
def test_what_is_no_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TASKPUSH_{name}", value)
    with pytest.raises(ValueError, match=said):
        Settings()
