"""What is published: an sdist, a wheel made from it, and that they work where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.docs.page import Page, Shell
from tests.support.server import ROOT

WITHIN_S = 300


def _run(*words: str | Path, cwd: Path) -> str:
    ran = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, unpacked: without git, Node and network."""
    folder = tmp_path_factory.mktemp("wheel")
    _run("tar", "--extract", "--file", sdist, cwd=folder)
    (unpacked,) = folder.iterdir()
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=unpacked)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_what_the_source_tree_does_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    assert packed == {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert {"taskpush/py.typed", "taskpush/store/sqlite/sql/0001_initial.sql"} <= packed
    assert any(name.endswith("vendor/socket.io.min.js") for name in packed)


@pytest.mark.full
@pytest.mark.parametrize("published", ["sdist", "wheel"])
def test_it_runs_where_nothing_else_is_installed(
    published: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made: Path = request.getfixturevalue(published)
    venv.create(tmp_path / "venv", with_pip=True)
    there = tmp_path / "venv" / "bin"
    _run(there / "python", "-m", "pip", "install", "-q", made, cwd=tmp_path)
    readme = Page("README.md")
    (tmp_path / "jobs.py").write_text(readme.block("python", "# jobs.py").text)
    serve, submit = readme.block("", "taskpush serve").commands
    shell = Shell(tmp_path, there)
    with shell.serving(serve):
        assert "completed" in shell.type(submit).splitlines()[-1]
        assert shell.python(readme.block("python", "taskpush.client").text).endswith("100\n")
