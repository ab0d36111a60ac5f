"""JSON Schema of everything that travels, by name, from the models.

The dialect is draft 7 as AsyncAPI 3 extends it: a discriminator is the name of a property.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from typing_extensions import override

from taskpush.models import messages
from taskpush.models.access import Authenticate
from taskpush.models.commands import SocketCancel, Subscribe, Unsubscribe
from taskpush.models.events import EnvelopeBase, Progress
from taskpush.models.feed import SubscribeFeed, UnsubscribeFeed

Schema = dict[str, Any]

REF: Final = "#/components/schemas/"
_NULL: Final = {"type": "null"}

ASKED: Final[tuple[type[BaseModel], ...]] = (
    Subscribe,
    SubscribeFeed,
    Unsubscribe,
    UnsubscribeFeed,
    SocketCancel,
    Authenticate,
)
"""What clients say."""
SAID: Final[tuple[type[BaseModel], ...]] = (
    messages.TaskUpdate,
    messages.Connected,
    messages.ConnectRefused,
    messages.TaskNamed,
    messages.FeedNamed,
    messages.Resync,
    messages.ActiveTasks,
    messages.FeedUpdate,
    messages.QueueUpdate,
    messages.ErrorMessage,
    messages.Refusal,
    messages.TaskSubscribed,
    messages.FeedAcknowledged,
    messages.TaskUnsubscribed,
    messages.CancelAccepted,
    messages.Authenticated,
)
"""What the server says."""
_SPARSE: Final = ("ConnectRefusedData", "ErrorMessage", "Refusal")
"""Those of them that leave out what has no value, as the payloads of events do."""


def schemas() -> dict[str, Schema]:
    """Every schema by its name, sorted; they refer to one another below `REF`.

    Of an event type `log` the envelope is `LogEvent`, what stands in its `data` `LogPayload`.
    """
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in ASKED),
        *((model, "serialization") for model in SAID),
    ]
    _, document = models_json_schema(
        wanted, ref_template=REF + "{model}", schema_generator=_Generator
    )
    payloads = _payload_names()
    renamed = {payload.__name__: name for payload, name in payloads.items()}
    found: dict[str, Schema] = {
        renamed.get(name, name): _plain(schema, renamed)
        for name, schema in document["$defs"].items()
    }
    for payload, name in payloads.items():
        said_as_null = {"progress_percent"} if payload is Progress else set()
        found[name] = _as_sent(found[name], said_as_null)
    for name in _SPARSE:
        found[name] = _as_sent(found[name])
    _type_latest(found["Latest"])
    return {name: found[name] for name in sorted(found)}


class _Generator(GenerateJsonSchema):
    """Without a title for each field: generators of types would name a type after every one."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _payload_names() -> Mapping[Any, str]:
    """Names that say what they belong to, and that are none of a REST model."""
    envelopes: tuple[type[EnvelopeBase], ...] = get_args(
        messages.TaskUpdate.model_fields["root"].annotation
    )
    return {
        it.model_fields["data"].annotation: it.__name__.removesuffix("Event") + "Payload"
        for it in envelopes
    }


def _plain(value: Any, renamed: Mapping[str, str]) -> Any:
    """The schema with its references renamed, in AsyncAPI's dialect, without titles."""
    if isinstance(value, list):
        return [_plain(item, renamed) for item in value]
    if not isinstance(value, dict):
        return value
    plain: Schema = {}
    for key, inner in value.items():
        if key == "$ref":
            name = inner.removeprefix(REF)
            plain[key] = REF + renamed.get(name, name)
        elif key == "discriminator":
            plain[key] = inner["propertyName"]
        elif not (key == "title" and isinstance(inner, str)):
            plain[key] = _plain(inner, renamed)
    return plain


def _as_sent(schema: Schema, said_as_null: Collection[str] = ()) -> Schema:
    """With what has no value left out, instead of null; and everything else there."""
    properties: Schema = {}
    required: list[str] = []
    for name, inner in schema["properties"].items():
        said = {key: value for key, value in inner.items() if key != "default"}
        is_optional = "default" in inner and inner["default"] is None
        if is_optional and name not in said_as_null:
            choices = [choice for choice in said.pop("anyOf", []) if choice != _NULL]
            said |= choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}
        else:
            required.append(name)
        properties[name] = said
    return schema | {"properties": properties, "required": required}


def _type_latest(latest: Schema) -> None:
    """Snapshots carry the data of events as they came, which its model takes for any object."""
    for name in latest["properties"]:
        payload = {"$ref": f"{REF}{name.capitalize()}Payload"}
        latest["properties"][name] = {"anyOf": [payload, _NULL]}
