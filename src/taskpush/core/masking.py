"""What is marked sensitive in a JSON Schema, hidden in a value that fits it.

A field is marked by `"sensitive": true` (`json_schema_extra`), or by `"writeOnly": true`, as
pydantic has it for its secret types. Where anything is marked, what the schema does not know is
hidden too: it may be a field by another of its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

HIDDEN: Final = "***"
MIN_SECRET_CHARS: Final = 4
"""Shorter texts are not looked for: they would be found in any other."""

Schema = Mapping[str, Any]


class Mask:
    """Hides what one schema marks."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._definitions: Schema = schema.get("$defs", {})
        self.hides = any(map(_is_marked, _nodes(schema)))

    def apply(self, value: Any) -> Any:
        """The value, with `***` in the place of what is marked."""
        return self._applied(value, self._schema) if self.hides else value

    def redact(self, text: str, value: Any, *, also: Iterable[str] = ()) -> str:
        """The text, without those texts that are marked in the value, and without those of `also`.

        What is longer goes first: it may contain the shorter.
        """
        if not self.hides:
            return text
        marked = {*_hidden_texts(value, self.apply(value)), *also}
        secrets = sorted(marked, key=len, reverse=True)
        for secret in secrets:
            if len(secret) >= MIN_SECRET_CHARS:
                text = text.replace(secret, HIDDEN)
        return text

    def _applied(self, value: Any, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return value
        if _is_marked(schema):
            return None if value is None else HIDDEN
        for inner in self._alternatives(schema):
            value = self._applied(value, inner)
        if isinstance(value, Mapping):
            return {name: self._applied_in(name, each, schema) for name, each in value.items()}
        if isinstance(value, list):
            return [self._applied_at(n, each, schema) for n, each in enumerate(value)]
        return value

    def _alternatives(self, schema: Schema) -> Iterator[Any]:
        """What else says how the same value looks: hidden is what any of it hides."""
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield self._definitions.get(reference.rpartition("/")[2])
        for word in ("allOf", "anyOf", "oneOf"):
            yield from schema.get(word, ())

    def _applied_in(self, name: str, value: Any, schema: Schema) -> Any:
        known = schema.get("properties")
        if known is None:
            return self._applied(value, schema.get("additionalProperties"))
        if name in known:
            return self._applied(value, known[name])
        return HIDDEN

    def _applied_at(self, index: int, value: Any, schema: Schema) -> Any:
        first = schema.get("prefixItems", ())
        return self._applied(value, first[index] if index < len(first) else schema.get("items"))


def _is_marked(schema: Schema) -> bool:
    return schema.get("sensitive") is True or schema.get("writeOnly") is True


def _nodes(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, Mapping):
        yield schema
        for inner in schema.values():
            yield from _nodes(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _nodes(inner)


def _hidden_texts(value: Any, shown: Any) -> Iterator[str]:
    """The texts and numbers in a value of which nothing is shown."""
    if shown == HIDDEN and value != HIDDEN:
        yield from _texts(value)
    elif isinstance(value, Mapping) and isinstance(shown, Mapping):
        for name, each in value.items():
            yield from _hidden_texts(each, shown.get(name))
    elif isinstance(value, list) and isinstance(shown, list):
        for each, seen in zip(value, shown, strict=True):
            yield from _hidden_texts(each, seen)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
