"""JSON Schema of params, as people read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_BOUNDS: Final = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", "{} characters or more"),
    ("maxLength", "{} characters at most"),
    ("minItems", "{} or more"),
    ("maxItems", "{} at most"),
)
UPLOAD: Final = "taskpush-upload"
"""The `format` of a text that is the id of a file."""
_SHOWN_CHOICES: Final = 8


@dataclass(frozen=True, slots=True)
class Param:
    """One param of a kind."""

    name: str
    type: str
    required: bool
    # As JSON; empty when there is none.
    default: str
    meaning: str


def params_in(schema: Mapping[str, Any]) -> list[Param]:
    """The params that a schema of an object describes, in its order."""
    required = schema.get("required") or ()
    return [
        Param(
            name=str(name),
            type=type_of(mapping(value), schema),
            required=name in required,
            default=_json(value["default"]) if "default" in mapping(value) else "",
            meaning=str(mapping(value).get("description") or ""),
        )
        for name, value in mapping(schema.get("properties")).items()
    ]


def type_of(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> str:
    """`integer ≥ 1 ≤ 1000`, `array of string`, `"fast" or "slow"`; references are in `root`."""
    schema = _followed(schema, schema if root is None else root)
    if "const" in schema:
        return _json(schema["const"])
    if choices := schema.get("enum"):
        shown = [_json(choice) for choice in choices[:_SHOWN_CHOICES]]
        return " or ".join(shown) + (" …" if len(choices) > _SHOWN_CHOICES else "")
    if parts := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(type_of(mapping(part), root) for part in parts))
    if schema.get("format") == UPLOAD:
        return " ".join(["file (name=@path)", " or ".join(schema.get("accept") or ())]).strip()
    name = schema.get("type", "anything")
    words = [" or ".join(name) if isinstance(name, list) else str(name)]
    if name == "array" and schema.get("items"):
        words.append(f"of {type_of(mapping(schema['items']), root)}")
    if schema.get("format"):
        words.append(f"({schema['format']})")
    words += [text.format(schema[bound]) for bound, text in _BOUNDS if bound in schema]
    return " ".join(words)


def _followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference means; a type that holds itself is named once."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    name = reference.rpartition("/")[2]
    found = mapping(mapping(root.get("$defs")).get(name))
    return {"type": name} if found.get("type") == "object" or not found else found


def is_file(schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether a schema, or what it allows beside others, is a file that was sent."""
    schema = _followed(schema, root)
    parts = (*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ()))
    return schema.get("format") == UPLOAD or any(is_file(mapping(part), root) for part in parts)


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
