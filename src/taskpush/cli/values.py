"""Values from the command line: params, lengths of time, sizes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import typer

from taskpush.core.quantities import parse_duration, parse_size


def params_of(words: Iterable[str], json_file: str | None) -> dict[str, Any]:
    """The params of a task; words win over the file.

    A value that is JSON is taken as such (`seed=7`, `names=["a","b"]`, `note=null`), any other
    as text (`bom_file=config/bom.json`); text that looks like JSON goes in quotes
    (`label='"7"'`). Raises a usage error for what cannot be read.
    """
    params = {} if json_file is None else _from_file(json_file)
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{word!r} is not name=value")
        params[name] = _value(text)
    return params


def duration_of(text: str) -> timedelta:
    """`30d` and the like; raises a usage error for anything else."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def size_of(text: str) -> int:
    """`50GiB` and the like; raises a usage error for anything else."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _from_file(name: str) -> dict[str, Any]:
    try:
        if name == "-":
            value = json.load(sys.stdin)
        else:
            with open(name, encoding="utf-8") as file:
                value = json.load(file)
    except OSError as error:
        raise typer.BadParameter(f"{name}: {error.strerror or error}") from None
    except ValueError as error:
        raise typer.BadParameter(f"{name} cannot be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{name} holds no JSON object")
    return value
