"""Finds and reads a BOM inside the example's own folder, and says what is wrong with it."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from examples.satellite.bom import Bom
from examples.satellite.impossible import reasons_against

EXAMPLE_DIR = Path(__file__).resolve().parent

_MAX_NAME_LENGTH = 200
MAX_FILE_BYTES = 1024 * 1024
_MAX_REPORTED = 5
_MAX_QUOTED = 40


class BomError(ValueError):
    """The BOM cannot be used. The message says why, for people, and names no folder outside."""


def load_bom(bom_file: str, folder: Path = EXAMPLE_DIR) -> Bom:
    """The BOM in `folder`/`bom_file`, valid and not obviously impossible; else BomError."""
    path = locate(bom_file, folder)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BomError(f"bom_file {bom_file!r} cannot be read") from error
    return parse_bom(raw)


def locate(bom_file: str, folder: Path = EXAMPLE_DIR) -> Path:
    """The regular file that `bom_file` names, relative to `folder` and truly inside it.

    The name is data from outside: absolute names, `..`, anything but plain printable segments,
    and links that lead out of the folder are refused with BomError.
    """
    shown = repr(bom_file[:_MAX_NAME_LENGTH])
    if not _is_plain_relative(bom_file):
        raise BomError(f"bom_file {shown} must be a plain path inside the example's folder")
    if not bom_file.endswith(".json"):
        raise BomError(f"bom_file {shown} must end in .json")
    root = folder.resolve()
    try:
        path = (root / bom_file).resolve(strict=True)
        details = path.stat()
    except FileNotFoundError as error:
        raise BomError(f"bom_file {shown} does not exist") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before 3.13
        raise BomError(f"bom_file {shown} cannot be read") from error
    if not path.is_relative_to(root):
        raise BomError(f"bom_file {shown} leads out of the example's folder")
    if not stat.S_ISREG(details.st_mode):
        raise BomError(f"bom_file {shown} is not a file")
    if details.st_size > MAX_FILE_BYTES:
        raise BomError(f"bom_file {shown} is larger than {MAX_FILE_BYTES} bytes")
    return path


def _is_plain_relative(name: str) -> bool:
    segments = name.split("/")
    return (
        0 < len(name) <= _MAX_NAME_LENGTH
        and name.isprintable()
        and not set(name) & set("\\:~")
        and not PurePosixPath(name).is_absolute()
        and not any(segment in ("", ".", "..") for segment in segments)
    )


def parse_bom(raw: bytes) -> Bom:
    """The BOM in this JSON text (UTF-8), valid and not obviously impossible; else BomError."""
    try:
        document = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    except UnicodeDecodeError as error:
        raise BomError("the BOM is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BomError(f"the BOM is not JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise BomError("the BOM is nested too deeply") from error
    except BomError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise BomError("the BOM holds a number that is too long") from error
    try:
        bom = Bom.model_validate(document)
    except ValidationError as error:
        raise BomError(_explain(error, document)) from error
    reasons = reasons_against(bom)
    if reasons:
        raise BomError(_join(reasons))
    return bom


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    repeated = next(key for key in keys if keys.count(key) > 1)
    owner = (
        f"component {_quoted(found['name'])}: " if "size_mm" in found and "name" in found else ""
    )
    raise BomError(f"{owner}{_quoted(repeated)} is given twice")


def _explain(error: ValidationError, document: object) -> str:
    """One sentence per problem, naming the component or panel rather than its index."""
    problems = error.errors(include_url=False, include_context=False)
    sentences = []
    for problem in problems:
        # A list whose entries are bad is also said to be too short: that misleads.
        if any(_lies_within(other["loc"], problem["loc"]) for other in problems):
            continue
        owner, field = _owner_and_field(problem["loc"], document)
        message = problem["msg"].removeprefix("Value error, ")
        given = problem["input"]
        got = f" (got {given!r})" if isinstance(given, (int, float)) else ""
        parts = [part for part in (owner, field) if part]
        sentences.append(": ".join([*parts, message[:1].lower() + message[1:]]) + got)
    return _join(sentences)


def _lies_within(loc: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(loc) > len(outer) and loc[: len(outer)] == outer


def _owner_and_field(loc: tuple[int | str, ...], document: object) -> tuple[str, str]:
    """("component 'battery'", "size_mm[2]") for ("components", 0, "size_mm", 2)."""
    owner, rest = "", loc
    if len(loc) >= 2 and loc[0] in ("components", "panels") and isinstance(loc[1], int):
        kind, key = ("component", "name") if loc[0] == "components" else ("panel", "face")
        entry = document[loc[0]][loc[1]] if isinstance(document, dict) else None
        name = entry.get(key) if isinstance(entry, Mapping) else None
        owner = f"{kind} {_quoted(name)}" if isinstance(name, str) else f"{kind} {loc[1] + 1}"
        rest = loc[2:]
    field = ""
    for part in rest:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
    return owner, field[: 2 * _MAX_QUOTED]


def _quoted(name: object) -> str:
    return f"'{str(name)[:_MAX_QUOTED]}'"


def _join(sentences: list[str]) -> str:
    more = len(sentences) - _MAX_REPORTED
    return "; ".join(sentences[:_MAX_REPORTED]) + (f"; and {more} more" if more > 0 else "")
