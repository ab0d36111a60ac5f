"""Files in params: what a handler declares, and what it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from taskpush.models.uploads import UploadRef
from taskpush.runner.media_types import type_of

FORMAT: Final = "taskpush-upload"
"""The `format` of a text that is the id of an upload, in JSON Schema."""
NO_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client has sent for this param; in JSON it is the id of the upload.

    The file is the task's for as long as there is a task: it is to be read, not written.
    """

    # Ends as the name does, `.csv`; the rest of it means nothing.
    path: Path
    ref: UploadRef

    @classmethod
    def of(cls, path: str | Path, media_type: str | None = None) -> Upload:
        """A file of your own in the place of one that was sent, to try a handler with."""
        path = Path(path).absolute()
        content = path.read_bytes()
        guessed = media_type or type_of(path.name) or NO_TYPE
        sha256 = hashlib.sha256(content).hexdigest()
        return cls(path, UploadRef("", path.name, guessed, len(content), sha256))

    @property
    def upload_id(self) -> str:
        """What clients call it."""
        return self.ref.upload_id

    @property
    def name(self) -> str:
        """What it is called by whoever sent it: one part of a path at most, and any text."""
        return self.ref.name

    @property
    def media_type(self) -> str:
        """What it is said to be; nobody has looked."""
        return self.ref.media_type

    @property
    def size_bytes(self) -> int:
        return self.ref.size_bytes

    @property
    def sha256(self) -> str:
        """Of its content, in hexadecimal digits."""
        return self.ref.sha256

    def open(self) -> BufferedReader:
        """The content, to be read."""
        return self.path.open("rb")

    def read_bytes(self) -> bytes:
        """The whole content."""
        return self.path.read_bytes()

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content as a text."""
        return self.path.read_text(encoding)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _looked_up,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda upload: upload.upload_id, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": FORMAT}


Uploads = Mapping[str, Upload]
"""The files that ids in params stand for."""
NO_UPLOADS: Final[Uploads] = MappingProxyType({})


class Accepts:
    """Which files a param takes: `Annotated[Upload, Accepts(".csv", "image/*", max_bytes=…)]`.

    A file needs one of the endings or media types, or any where none are given; `max_bytes` None
    means as large as the server takes it. Raises `ValueError` for what is neither.
    """

    def __init__(self, *types: str, max_bytes: int | None = None) -> None:
        for each in types:
            if not (each.startswith(".") or "/" in each):
                raise ValueError(f"{each!r} is no ending such as .csv, and no media type")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        self.types = types
        self.max_bytes = max_bytes

    def check(self, upload: Upload) -> Upload:
        """The upload; raises an error of Pydantic's when it is not taken."""
        if self.types and not any(_fits(upload, each) for each in self.types):
            raise PydanticCustomError(
                "upload_type",
                "{name} is {media_type}; expected is {expected}",
                {
                    "name": upload.name,
                    "media_type": upload.media_type,
                    "expected": " or ".join(self.types),
                },
            )
        if self.max_bytes is not None and upload.size_bytes > self.max_bytes:
            raise PydanticCustomError(
                "upload_size",
                "{name} has {size_bytes} bytes; at most {max_bytes} are taken",
                {
                    "name": upload.name,
                    "size_bytes": upload.size_bytes,
                    "max_bytes": self.max_bytes,
                },
            )
        return upload

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        if source is not Upload:
            raise TypeError("Accepts is said of an Upload: Annotated[Upload, Accepts(…)]")
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        said = dict(handler(schema))
        if self.types:
            said["accept"] = list(self.types)
        if self.max_bytes is not None:
            said["max_bytes"] = self.max_bytes
        return said


def handed_over(refs: Iterable[UploadRef], path_of: Callable[[UploadRef], Path]) -> Uploads:
    """The files, as a handler is given them."""
    return {ref.upload_id: Upload(path_of(ref), ref) for ref in refs}


def to_message(uploads: Uploads) -> list[dict[str, Any]]:
    """What a worker process is told of them."""
    return [
        {
            "path": str(upload.path),
            "upload_id": upload.upload_id,
            "name": upload.name,
            "media_type": upload.media_type,
            "size_bytes": upload.size_bytes,
            "sha256": upload.sha256,
        }
        for upload in uploads.values()
    ]


def from_message(message: Iterable[Mapping[str, Any]]) -> Uploads:
    """The inverse."""
    told = [dict(each) for each in message]
    found = [(Path(each.pop("path")), UploadRef(**each)) for each in told]
    return {ref.upload_id: Upload(path, ref) for path, ref in found}


def _looked_up(value: Any, info: ValidationInfo) -> Upload:
    if isinstance(value, Upload):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("upload_id", "an upload is named by its id, a text")
    known: Uploads = info.context if isinstance(info.context, Mapping) else NO_UPLOADS
    upload = known.get(value)
    if upload is None:
        raise PydanticCustomError(
            "upload_unknown",
            "there is no upload of yours with this id (any more): send the file again",
        )
    return upload


def _fits(upload: Upload, expected: str) -> bool:
    """Whether it is what one word of an `accept` names, as HTML has it."""
    expected = expected.lower()
    if expected.startswith("."):
        return upload.name.lower().endswith(expected)
    media_type = upload.media_type.partition(";")[0].strip().lower()
    family, _, sort = expected.partition("/")
    return media_type.startswith(f"{family}/") if sort == "*" else media_type == expected
