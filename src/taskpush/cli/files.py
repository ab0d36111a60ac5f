"""Params that are files: `table=@parts.csv` sends the file, and its id is the value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from taskpush.cli.schema import is_file, mapping

if TYPE_CHECKING:
    # It takes a while to load; whoever calls has one.
    from taskpush.client import Client

MARK: Final = "@"


def apart(words: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The words that are values, and the names and texts of those that may be files."""
    values, files = [], []
    for word in words:
        name, equals, text = word.partition("=")
        if equals and name and text.startswith(MARK):
            files.append((name, text))
        else:
            values.append(word)
    return values, files


def with_files(
    client: Client, kind: str, params: Mapping[str, Any], files: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """The params with the ids of the files, which are sent now.

    A text for a param that takes no file is a text, its `@` too. For one that takes several, each
    is added. Raises a usage error for a file that cannot be read.
    """
    given = list(files)
    filled = dict(params)
    schema = _schema_of(client, kind) if given else {}
    properties = mapping(schema.get("properties"))
    for name, text in given:
        field = mapping(properties.get(name))
        if is_file(field, schema):
            filled[name] = _sent(client, text)
        elif is_file(mapping(field.get("items")), schema):
            before = filled.get(name)
            filled[name] = [*(before if isinstance(before, list) else ()), _sent(client, text)]
        else:
            filled[name] = text
    return filled


def _schema_of(client: Client, kind: str) -> Mapping[str, Any]:
    for known in client.kinds():
        if known.get("name") == kind:
            return mapping(known.get("params_schema"))
    # The create says that there is no such kind.
    return {}


def _sent(client: Client, text: str) -> str:
    path = Path(text.removeprefix(MARK)).expanduser()
    try:
        return client.upload(path)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None
