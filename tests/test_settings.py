"""Settings are read from the environment, as people write them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from taskpush.core.limits import Allowance, Limits
from taskpush.core.retention import Keep, Retention
from taskpush.runner.process import OURS
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
        ("MAX_CONNECTIONS", "0", "greater than or equal to 1"),
        ("MAX_CREATES_PER_MIN", "-1", "greater than or equal to 0"),
        ("MAX_SUBSCRIPTIONS", "99", "greater than or equal to 100"),
        ("MAX_BODY_BYTES", "65MiB", "less than or equal to 67108864"),
        ("MAX_METADATA_BYTES", "2MiB", "less than or equal to 1048576"),
        ("MAX_LOG_LINE_BYTES", "17KiB", "less than or equal to 16384"),
    ],
)
def test_what_is_no_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TASKPUSH_{name}", value)
    with pytest.raises(ValueError, match=said):
        Settings()


def test_who_may_come_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKPUSH_ALLOW_HOSTS", "Jobs.Example, *.apps.example,[::1]")
    monkeypatch.setenv("TASKPUSH_ALLOW_ORIGINS", "https://jobs.example,https://b.example:8443")
    monkeypatch.setenv("TASKPUSH_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,::1")
    settings = Settings()
    assert settings.allow_hosts == ("jobs.example", "*.apps.example", "::1")
    assert settings.allow_origins == ("https://jobs.example", "https://b.example:8443")
    assert settings.trusted_proxies == ("10.0.0.0/8", "192.0.2.1", "::1")


def test_only_who_says_so_lets_other_machines_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Settings().public
    monkeypatch.setenv("TASKPUSH_INSECURE_PUBLIC", "true")
    assert Settings().public


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALLOW_HOSTS", "jobs.example:8000", "without a port"),
        ("ALLOW_ORIGINS", "jobs.example", "is not an origin"),
        ("TRUSTED_PROXIES", "nginx", "does not appear to be"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("TRUSTED_PROXIES", "*", "does not appear to be"),
    ],
)
def test_who_may_come_has_to_be_said_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TASKPUSH_{name}", value)
    with pytest.raises(ValueError, match=said):
        Settings()


@pytest.mark.parametrize("secret", ["correct-horse", "correct-horse-battery-staple-and-more"])
def test_a_mistake_is_told_without_the_secret(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("TASKPUSH_JWT_SECRET", secret)
    with pytest.raises(ValueError, match="jwt_audience") as told:
        Settings()
    assert "correct" not in str(told.value)


def _jwt(monkeypatch: pytest.MonkeyPatch, **more: object) -> None:
    said = {"ALGORITHMS": "HS256", "AUDIENCE": "us", "ISSUER": "them", **more}
    for name, value in said.items():
        monkeypatch.setenv(f"TASKPUSH_JWT_{name}", str(value))


def test_the_secret_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("correct-horse-battery-staple-and-more\n")
    _jwt(monkeypatch, SECRET_FILE=file)
    assert Settings().shared_secret == "correct-horse-battery-staple-and-more"
    monkeypatch.setenv("TASKPUSH_JWT_SECRET", "correct-horse-battery-staple-and-more")
    with pytest.raises(ValueError, match="set one of"):
        Settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"correct\xff" * 9, "cannot be read"), (b"correct", "at least 32")],
)
def test_a_secret_that_a_file_does_not_have_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    _jwt(monkeypatch, SECRET_FILE=file)
    with pytest.raises(ValueError, match=said) as told:
        Settings()
    assert "correct" not in str(told.value)


def test_no_secret_is_inherited_by_worker_processes() -> None:
    secrets = [name for name, field in Settings.model_fields.items() if "Secret" in str(field)]
    assert "jwt_secret" in secrets
    assert all(f"TASKPUSH_{name.upper()}".startswith(OURS) for name in secrets)


def test_limits_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().limits == Limits()
    for name, value in {
        "MAX_CONNECTIONS": "50",
        "MAX_CONNECTIONS_PER_ADDRESS": "0",
        "MAX_CONNECTIONS_PER_PRINCIPAL": "7",
        "MAX_SUBSCRIPTIONS": "1000",
        "PACKETS_PER_S": "5",
        "PACKETS_AT_ONCE": "6",
        "MAX_BODY_BYTES": "2MiB",
        "MAX_PARAMS_BYTES": "1MiB",
        "MAX_METADATA_BYTES": "1kB",
        "MAX_LOG_LINE_BYTES": "2KiB",
        "MAX_ARTIFACT_BYTES": "5GB",
    }.items():
        monkeypatch.setenv(f"TASKPUSH_{name}", value)
    assert Settings().limits == Limits(
        connections=50,
        connections_per_address=Allowance(None, local_too=True),
        connections_per_principal=Allowance(7, local_too=True),
        subscriptions=1000,
        packets_per_s=5,
        packets_at_once=6,
        body_bytes=2 * 1024**2,
        params_bytes=1024**2,
        metadata_bytes=1000,
        log_line_bytes=2048,
        artifact_bytes=5_000_000_000,
    )
