"""Scoped tokens and tickets, as they are asked for and answered."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from taskpush.models.commands import Command, Name, TaskId
from taskpush.models.feed import FeedName
from taskpush.models.values import SafeInt

Right = Literal["read", "control", "report"]


class NewToken(Command):
    """Body of `POST /api/tokens`: for one task, one tag or one feed."""

    task_id: TaskId | None = Field(default=None, description="It need not exist yet.")
    tag: Name | None = None
    feed: FeedName | None = None
    rights: Annotated[tuple[Right, ...], Field(min_length=1, max_length=3)] = ("read",)
    ttl_s: Annotated[SafeInt, Field(ge=1, le=86_400)] = Field(
        default=600, description="For how many seconds it is good."
    )

    @model_validator(mode="after")
    def _for_one(self) -> Self:
        if sum(given is not None for given in (self.task_id, self.tag, self.feed)) != 1:
            raise ValueError("give one of task_id, tag and feed")
        return self


class ScopedToken(BaseModel):
    """A token, shown this once."""

    id: str = Field(description="Revokes it: DELETE /api/tokens/{id}.")
    token: str
    expires_at: AwareDatetime


class Ticket(BaseModel):
    """Stands in the address of one stream, once."""

    ticket: str
    expires_at: AwareDatetime


class Me(BaseModel):
    """Who asks, as the server sees them."""

    tenant: str
    owner: str
    roles: list[str]
    credential: str = Field(
        description="What was shown: `key:ID`, `token:ID`, `jwt`, `hook`, `none` while no access"
        " is configured."
    )
    expires_at: AwareDatetime | None = Field(description="Null when it does not by itself.")
    sees_connections: bool = Field(
        description="Whether `GET /api/connections` and `/api/audit` are for whoever asks."
    )
    sees_server: bool = Field(description="Whether `GET /api/server` and `/metrics` are.")


class Authenticate(BaseModel):
    """Payload of the `authenticate` event: another credential for the connection."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: Annotated[str, Field(min_length=1, max_length=8192)]
