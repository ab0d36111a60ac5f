"""What nobody else on the machine may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskpush.access.private_file import exposed_mode, private_folder


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    private_folder(tmp_path / "a" / "data")
    assert exposed_mode(tmp_path / "a" / "data") is None


@pytest.mark.parametrize(("mode", "said"), [(0o755, "0755"), (0o750, "0750"), (0o701, "0701")])
def test_one_that_lets_others_in_stays_as_it_is_and_is_told(
    tmp_path: Path, mode: int, said: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    private_folder(folder)
    assert exposed_mode(folder) == said
    assert folder.stat().st_mode & 0o777 == mode


def test_one_that_even_its_owner_only_reads_exposes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o500)
    assert exposed_mode(folder) is None
