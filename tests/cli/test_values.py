"""Params from the command line."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from taskpush.cli.values import params_of


@pytest.mark.parametrize(
    ("word", "params"),
    [
        ("seed=7", {"seed": 7}),
        ("rate=0.5", {"rate": 0.5}),
        ("deep=true", {"deep": True}),
        ("note=null", {"note": None}),
        ('names=["a","b"]', {"names": ["a", "b"]}),
        ("bom_file=config/bom.json", {"bom_file": "config/bom.json"}),
        ('label="7"', {"label": "7"}),
        ("text=a=b", {"text": "a=b"}),
        ("text=", {"text": ""}),
    ],
)
def test_a_value_is_json_or_else_text(word: str, params: dict[str, Any]) -> None:
    assert params_of([word], None) == params


@pytest.mark.parametrize("word", ["seed", "=7", ""])
def test_a_word_without_name_and_value_is_a_usage_error(word: str) -> None:
    with pytest.raises(typer.BadParameter):
        params_of([word], None)


def test_words_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"seed": 1, "deep": {"er": [1]}}', encoding="utf-8")
    assert params_of(["seed=2"], str(file)) == {"seed": 2, "deep": {"er": [1]}}


def test_a_dash_reads_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"seed": 3}'))
    assert params_of([], "-") == {"seed": 3}


@pytest.mark.parametrize("content", ["[1]", "{", "7"])
def test_a_file_that_holds_no_object_is_a_usage_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(typer.BadParameter):
        params_of([], str(file))
    with pytest.raises(typer.BadParameter):
        params_of([], str(tmp_path / "missing.json"))
