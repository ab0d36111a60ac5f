"""`taskpush webhooks`: the secrets, made and shown where the data is."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run


def test_the_secret_stays_until_it_is_rotated(run: Run, tmp_path: Path) -> None:
    folder = ("--data", str(tmp_path))
    first = run("webhooks", "secret", *folder)
    assert first.out.startswith("whsec_")
    assert run("webhooks", "secret", *folder).out == first.out
    second = run("webhooks", "rotate", *folder)
    assert second.out not in ("", first.out)
    assert "taskpush webhooks retire" in second.err
    assert run("webhooks", "secret", *folder).out == second.out


def test_a_folder_that_no_server_has_used_is_told(run: Run, tmp_path: Path) -> None:
    said = run("webhooks", "secret", "--data", str(tmp_path / "elsewhere")).err
    assert "elsewhere is new; no server has kept its data there" in said
    assert run("webhooks", "secret", "--data", str(tmp_path / "elsewhere")).err == ""
