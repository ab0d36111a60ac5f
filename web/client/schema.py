"""Prints one JSON Schema of every wire shape that the TypeScript client has a type for.

The Pydantic models are the one source; `npm run types` makes src/generated/models.ts of this.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from taskpush.models import commands, events, feed, pages, position, queue, task, uploads

MODELS: tuple[type[BaseModel], ...] = (
    commands.CreateTask,
    feed.DeletedTask,
    feed.FeedPage,
    pages.EventPage,
    pages.Kind,
    pages.Problem,
    pages.Result,
    position.WirePosition,
    queue.KindQueue,
    task.ListedArtifact,
    task.Snapshot,
    task.Summary,
    uploads.Upload,
)


def schema() -> dict[str, Any]:
    """The shapes as they are sent, each under its model's name; `Envelope` is any event."""
    _, models = models_json_schema(
        [(model, "serialization") for model in MODELS], ref_template="#/$defs/{model}"
    )
    envelope = TypeAdapter(events.Envelope).json_schema(mode="serialization")
    shapes = {**models["$defs"], **envelope.pop("$defs"), "Envelope": envelope}
    for shape in shapes.values():
        _simplify(shape)
    _name_what_is_open(shapes)
    return {
        "title": "Wire",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"$ref": f"#/$defs/{name}"} for name in sorted(shapes)},
        "$defs": shapes,
    }


def _simplify(shape: object) -> None:
    """Leave out what would only multiply types, and say that constants are always there."""
    if isinstance(shape, list):
        for part in shape:
            _simplify(part)
    elif isinstance(shape, dict):
        shape.pop("discriminator", None)
        if "$ref" in shape:
            shape.pop("description", None)
        members = shape.get("properties", {})
        for name, member in members.items():
            member.pop("title", None)
            if "const" in member or (name == "seq" and member.get("type") == "null"):
                shape.setdefault("required", []).append(name)
        for part in (
            *members.values(),
            *(part for name, part in shape.items() if name != "properties"),
        ):
            _simplify(part)


def _name_what_is_open(shapes: dict[str, Any]) -> None:
    """Say which payloads and envelopes stand where the server's models have any object."""
    latest = shapes["Latest"]["properties"]
    for name in latest:
        latest[name] = {"anyOf": [{"$ref": f"#/$defs/{name.capitalize()}"}, {"type": "null"}]}
    # In the place of the placeholder stand the bytes, as the platform has them.
    shapes["Preview"]["properties"]["content"] = {"tsType": "string | ArrayBuffer | Uint8Array"}
    page = shapes["EventPage"]["properties"]
    for name in {"items", "volatile"} & set(page):
        page[name]["items"] = {"$ref": "#/$defs/Envelope"}


if __name__ == "__main__":
    json.dump(schema(), sys.stdout)
