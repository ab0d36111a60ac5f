"""The secrets that webhooks are signed with."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskpush.access.webhook_secrets import (
    FILE,
    SecretProblem,
    WebhookSecrets,
    ensure_secret,
    read_secrets,
    retire,
    rotate,
)
from taskpush.core.webhooks import secret_bytes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / FILE


def test_the_first_secret_is_made_when_it_is_needed_and_stays(path: Path) -> None:
    assert read_secrets(path) == []
    (secret,) = ensure_secret(path)
    assert secret.startswith("whsec_")
    assert ensure_secret(path) == read_secrets(path) == [secret]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_new_secret_signs_beside_the_one_before_until_that_is_retired(path: Path) -> None:
    (first,) = ensure_secret(path)
    second, before = rotate(path)
    assert before == first
    third, before = rotate(path)
    assert (before, len({first, second, third})) == (second, 3)
    assert retire(path) == read_secrets(path) == [third]


def test_a_running_server_heeds_a_change_at_once(path: Path) -> None:
    secrets = WebhookSecrets(path)
    assert secrets.keys() == tuple(map(secret_bytes, read_secrets(path)))
    rotate(path)
    assert len(secrets.keys()) == 2
    retire(path)
    assert len(secrets.keys()) == 1


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"secrets": "x"}', '{"secrets": [1]}', '{"secrets": ["whsec_"]}']
)
def test_a_file_that_is_none_is_said_without_what_is_in_it(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(SecretProblem, match="no file of webhook secrets"):
        WebhookSecrets(path).keys()
    assert path.read_text() == content
