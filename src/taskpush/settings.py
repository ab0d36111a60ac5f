"""What can be configured: one frozen, validated object. Only `app` and `cli` read it.

Each field can be set by an environment variable named `TASKPUSH_` and the field, for instance
`TASKPUSH_DATA`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _origin(text: str) -> str:
    """An origin as browsers send it: `https://example.org:8443`, or `*`."""
    parts = urlsplit(text)
    plain = f"{parts.scheme}://{parts.netloc}"
    if text != "*" and (parts.scheme not in {"http", "https"} or plain != text or not parts.netloc):
        raise ValueError(f"{text!r} is not an origin such as https://example.org")
    return text


Origin = Annotated[str, AfterValidator(_origin)]


class Settings(BaseSettings):
    """Settings of one taskpush server."""

    model_config = SettingsConfigDict(env_prefix="TASKPUSH_", frozen=True, extra="ignore")

    store: Literal["sqlite", "memory"] = Field(
        default="sqlite", description="Where tasks are kept; memory forgets them at the end."
    )
    data: Path = Field(
        default=Path(".taskpush"), description="Folder for the database and the artifacts."
    )
    allow_origins: Annotated[tuple[Origin, ...], NoDecode] = Field(
        default=(),
        description="Origins of pages on other hosts that may use this server, comma-separated.",
    )
    strict_reporting: bool = Field(
        default=False,
        description="Raise in the handler what is otherwise left out and logged; for tests.",
    )
    process_grace_s: float = Field(
        default=5.0, ge=0, description="Seconds a worker process has to stop after a cancel."
    )
    shutdown_grace_s: float = Field(
        default=5.0, ge=0, description="Seconds running handlers have when the server stops."
    )

    @field_validator("allow_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value
