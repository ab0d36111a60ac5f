"""How a field of params or a result is marked as sensitive."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

Sensitive: Final[Any] = Field(json_schema_extra={"sensitive": True})
"""For an annotation: `password: Annotated[str, Sensitive]`.

Shown only to those who may create or control tasks, as `***` to others who may read them, and left
out of what the server logs when the handler fails. Pydantic's `SecretStr` is marked by itself.
"""
