"""Holds what a server says against the AsyncAPI document."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from taskpush.core.asyncapi import document

DOCUMENT = document("0")


def closed(schema: Any) -> Any:
    """The schema without room for what it does not name: clients ignore that, a test does not."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: closed(value) for key, value in schema.items()}
    names = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    return {"additionalProperties": False, **inside} if names else inside


_COMPONENTS = {"schemas": closed(DOCUMENT["components"]["schemas"])}


class Contract:
    """Checks payloads, and remembers of which messages it has seen one."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.event_types: set[str] = set()
        self._validators = {
            name: jsonschema_rs.Draft7Validator(
                {"components": _COMPONENTS, "allOf": [message["payload"]]}, validate_formats=True
            )
            for name, message in DOCUMENT["components"]["messages"].items()
        }

    def check(self, name: str, payload: Any) -> None:
        """Raise `AssertionError` unless the message may say that."""
        problems = list(self._validators[name].iter_errors(payload))
        assert problems == [], f"{name}: {payload}: {[str(it) for it in problems]}"
        self.seen.add(name)
        if name == "task_update":
            self.event_types.add(payload["event_type"])
