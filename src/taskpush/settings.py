"""What can be configured: one frozen, validated object. Only `app` and `cli` read it.

Each field can be set by an environment variable named `TASKPUSH_` and the field, for instance
`TASKPUSH_DATA`.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from taskpush.access import keys, webhook_secrets
from taskpush.access.algorithms import PUBLIC, SHARED
from taskpush.access.destinations import destination
from taskpush.access.hosts import host_pattern
from taskpush.access.principal import Role
from taskpush.core.limits import (
    CONNECTIONS_PER_ADDRESS,
    CONNECTIONS_PER_PRINCIPAL,
    CREATES_PER_MIN,
    DEFAULT_LIMITS,
    Allowance,
    Limits,
)
from taskpush.core.quantities import parse_duration, parse_size
from taskpush.core.retention import Keep, Retention
from taskpush.core.webhooks import DEFAULT_WAITS
from taskpush.models.events import MAX_LOG_LINE_BYTES
from taskpush.push.dispatch import OUTBOXES_BYTES
from taskpush.push.outbox import OUTBOX_BYTES
from taskpush.telemetry.refusals import EACH


def _origin(text: str) -> str:
    """An origin as browsers send it: `https://example.org:8443`, or `*`."""
    parts = urlsplit(text)
    plain = f"{parts.scheme}://{parts.netloc}"
    if text != "*" and (parts.scheme not in {"http", "https"} or plain != text or not parts.netloc):
        raise ValueError(f"{text!r} is not an origin such as https://example.org")
    return text


def _network(text: str) -> str:
    """An address or a network, as people write them."""
    return str(ipaddress.ip_network(text)) if "/" in text else str(ipaddress.ip_address(text))


Origin = Annotated[str, AfterValidator(_origin)]
Host = Annotated[str, AfterValidator(host_pattern)]
Network = Annotated[str, AfterValidator(_network)]
Destination = Annotated[str, AfterValidator(destination)]


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


Age = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]


Words = Annotated[tuple[str, ...], NoDecode]
"""Several, comma-separated."""
MIB: Final = 1024 * 1024
MIN_SUBSCRIPTIONS: Final = 100
"""The Python client watches so many tasks over one connection."""
MIN_SECRET_BYTES: Final = 32
"""As long as the hash that it is used with. Source: RFC 7518, section 3.2."""


class Settings(BaseSettings):
    """Settings of one taskpush server."""

    model_config = SettingsConfigDict(
        env_prefix="TASKPUSH_",
        frozen=True,
        extra="ignore",
        # An error is printed, and what was given may be a secret.
        hide_input_in_errors=True,
    )

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
    allow_hosts: Annotated[tuple[Host, ...], NoDecode] = Field(
        default=(),
        description="Names that this server answers to besides those of loopback, comma-separated.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks of proxies whose X-Forwarded-… headers are heeded.",
    )
    insecure_public: bool = Field(
        default=False,
        description="Let in who comes from other machines although everybody may do everything.",
    )
    jwt_algorithms: Words = Field(
        default=(),
        description="Algorithms that tokens of the issuer are signed by: RS256, ES256 or HS256.",
    )
    jwt_secret: SecretStr | None = Field(
        default=None, description="The secret shared with the issuer, for HS256."
    )
    jwt_secret_file: Path | None = Field(
        default=None, description="A file with that secret, in the place of JWT_SECRET."
    )
    jwt_public_key: Path | None = Field(
        default=None, description="A file with the issuer's public key as PEM."
    )
    jwt_jwks: str | None = Field(
        default=None, description="Address or file of the issuer's keys, as a JWKS document."
    )
    jwt_audience: str | None = Field(
        default=None, min_length=1, description="What tokens for this server have as aud."
    )
    jwt_issuer: str | None = Field(
        default=None, min_length=1, description="What tokens have as iss."
    )
    jwt_leeway_s: float = Field(
        default=30.0, ge=0, le=300, description="By how much the issuer's clock may be off."
    )
    jwt_owner_claim: str = Field(default="sub", description="The claim that names the owner.")
    jwt_tenant_claim: str | None = Field(
        default=None, description="The claim that names the tenant; without it all are of one."
    )
    jwt_roles_claim: str | None = Field(
        default=None,
        description="The claim that lists roles; without it all have TASKPUSH_JWT_ROLES.",
    )
    jwt_roles: Annotated[tuple[Role, ...], NoDecode] = Field(
        default=keys.DEFAULT_ROLES,
        description="Roles of who shows a token, unless a claim lists them.",
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
    producer_lease_s: float = Field(
        default=15.0,
        ge=1,
        le=3600,
        description="Seconds after which a producer outside is lost that was not heard of.",
    )
    command_kind: bool = Field(
        default=True,
        description="Whether `taskpush serve` has the kind command, for `taskpush run` elsewhere.",
    )

    compress_above: Size | None = Field(
        default=None,
        description="Compress events of more bytes, for clients that take it; none by default.",
    )
    outbox_bytes: Annotated[Size, Field(ge=4096)] = Field(
        default=OUTBOX_BYTES, description="What may wait for one watcher that does not keep up."
    )
    outboxes_bytes: Annotated[Size, Field(ge=4096)] = Field(
        default=OUTBOXES_BYTES,
        description="What may wait for all watchers together; above it the slowest are cut off.",
    )

    max_connections: Annotated[int, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.connections,
        description="Sockets, streams and polls that wait, all together.",
    )
    max_connections_per_address: Count | None = Field(
        default=None,
        description="Of them from one address (IPv6: network of /64); 0 is no limit. By default"
        f" {CONNECTIONS_PER_ADDRESS}, but for this machine.",
    )
    max_connections_per_principal: Count | None = Field(
        default=None,
        description="Of them of one owner, or by one scoped token; 0 is no limit. By default"
        f" {CONNECTIONS_PER_PRINCIPAL}, where access is configured.",
    )
    max_subscriptions: Annotated[int, Field(ge=MIN_SUBSCRIPTIONS, le=10_000)] = Field(
        default=DEFAULT_LIMITS.subscriptions, description="Subscriptions of one connection."
    )
    packets_per_s: Annotated[int, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.packets_per_s,
        description="What a client may send over one connection for long.",
    )
    packets_at_once: Annotated[int, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.packets_at_once,
        description="What it may send at once; twice as much ends the connection.",
    )
    max_creates_per_min: Count | None = Field(
        default=None,
        description="Tasks that one owner may create a minute, and at once; 0 is no limit. By"
        f" default {CREATES_PER_MIN}, where access is configured.",
    )
    max_body_bytes: Annotated[Size, Field(ge=1024, le=64 * MIB)] = Field(
        default=DEFAULT_LIMITS.body_bytes, description="The body of a request."
    )
    max_params_bytes: Annotated[Size, Field(ge=1, le=64 * MIB)] = Field(
        default=DEFAULT_LIMITS.params_bytes, description="The params of a task, as JSON."
    )
    max_metadata_bytes: Annotated[Size, Field(ge=1, le=MIB)] = Field(
        default=DEFAULT_LIMITS.metadata_bytes, description="The metadata of a task, as JSON."
    )
    max_log_line_bytes: Annotated[Size, Field(ge=100, le=MAX_LOG_LINE_BYTES)] = Field(
        default=DEFAULT_LIMITS.log_line_bytes, description="A log message; longer ones are cut."
    )
    max_artifact_bytes: Annotated[Size, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.artifact_bytes, description="A file that a job makes."
    )
    max_upload_bytes: Annotated[Size, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.upload_bytes, description="A file that is sent for a task's params."
    )
    max_unused_uploads: Annotated[int, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.unused_uploads,
        description="Such files of one owner that no task uses, with those on their way.",
    )
    max_unused_upload_bytes: Annotated[Size, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.unused_upload_bytes, description="The same, all together."
    )
    max_owner_upload_bytes: Annotated[Size, Field(ge=1)] = Field(
        default=DEFAULT_LIMITS.owner_upload_bytes,
        description="All such files of one owner together, with those that tasks use.",
    )

    log_refusals_per_min: Count = Field(
        default=EACH,
        description="Refusals of one sort and address that are logged; of the others only how many."
        " 0 logs each.",
    )

    webhook_allow: Annotated[tuple[Destination, ...], NoDecode] = Field(
        default=(),
        description="Hosts, addresses and networks that webhooks may be sent to although they are"
        " private, by http too and to any port; comma-separated.",
    )
    webhook_waits: Annotated[tuple[Age, ...], NoDecode] = Field(
        default=DEFAULT_WAITS,
        max_length=100,
        description="How long to wait before each further try, comma-separated.",
    )
    webhook_timeout_s: float = Field(
        default=15.0, gt=0, le=120, description="Seconds that a receiver has to answer."
    )

    keep_tasks_age: Age | None = Field(
        default=None, description="Finished tasks are deleted when they ended longer ago: 90d."
    )
    keep_tasks_count: Count | None = Field(
        default=None, description="So many finished tasks are kept, the newest."
    )
    keep_tasks_bytes: Size | None = Field(
        default=None, description="So much of finished tasks is kept, with logs and files: 50GiB."
    )
    keep_logs_age: Age | None = Field(
        default=None, description="Logs of finished tasks are trimmed when they ended longer ago."
    )
    keep_logs_count: Count | None = Field(
        default=None, description="So many logs of finished tasks are kept whole."
    )
    keep_logs_bytes: Size | None = Field(
        default=None, description="So much of finished tasks' logs is kept."
    )
    keep_spare: Age = Field(
        default=timedelta(hours=1),
        description="Limits of count and size leave a task alone for so long after its end.",
    )
    keep_audit_age: Annotated[Age, Field(le=timedelta(days=36_500))] | None = Field(
        default=timedelta(days=400),
        description="Entries of the audit trail are removed when they are older.",
    )
    keep_uploads_age: Annotated[Age, Field(gt=timedelta(0), le=timedelta(days=36_500))] = Field(
        default=timedelta(hours=24),
        description="Files sent for params are deleted when they are older and no task uses them.",
    )
    retention_interval_s: float = Field(
        default=600.0, gt=0, description="Seconds between two rounds of retention."
    )

    @property
    def keys_file(self) -> Path:
        """Where API keys are kept."""
        return self.data / keys.FILE

    @property
    def webhook_secrets_file(self) -> Path:
        """Where the secrets are kept that webhooks are signed with."""
        return self.data / webhook_secrets.FILE

    @property
    def jwt_configured(self) -> bool:
        """Whether there is an issuer whose tokens are taken."""
        return bool(self.jwt_algorithms)

    @property
    def shared_secret(self) -> str | None:
        """What is shared with the issuer; raises `OSError` when its file cannot be read."""
        if self.jwt_secret_file is not None:
            return self.jwt_secret_file.read_text(encoding="utf-8").rstrip("\r\n")
        return None if self.jwt_secret is None else self.jwt_secret.get_secret_value()

    @property
    def access_configured(self) -> bool:
        """Whether callers have to show who they are, as far as settings and the data folder say.

        A `TaskPush(authenticate=…)` makes them do so too.
        """
        return self.jwt_configured or self.keys_file.exists()

    @property
    def public(self) -> bool:
        """Whether who comes from other machines may be let in."""
        return self.access_configured or self.insecure_public

    @property
    def limits(self) -> Limits:
        """What holds for clients."""
        return Limits(
            connections=self.max_connections,
            connections_per_address=Allowance.said(
                self.max_connections_per_address, CONNECTIONS_PER_ADDRESS
            ),
            connections_per_principal=Allowance.said(
                self.max_connections_per_principal, CONNECTIONS_PER_PRINCIPAL
            ),
            subscriptions=self.max_subscriptions,
            packets_per_s=self.packets_per_s,
            packets_at_once=self.packets_at_once,
            creates_per_min=Allowance.said(self.max_creates_per_min, CREATES_PER_MIN),
            body_bytes=self.max_body_bytes,
            params_bytes=self.max_params_bytes,
            metadata_bytes=self.max_metadata_bytes,
            log_line_bytes=self.max_log_line_bytes,
            artifact_bytes=self.max_artifact_bytes,
            upload_bytes=self.max_upload_bytes,
            unused_uploads=self.max_unused_uploads,
            unused_upload_bytes=self.max_unused_upload_bytes,
            owner_upload_bytes=self.max_owner_upload_bytes,
        )

    @property
    def retention(self) -> Retention:
        """What is kept of finished tasks whose kind does not say."""
        return Retention(
            tasks=Keep(self.keep_tasks_age, self.keep_tasks_count, self.keep_tasks_bytes),
            logs=Keep(self.keep_logs_age, self.keep_logs_count, self.keep_logs_bytes),
            spare=self.keep_spare,
        )

    @field_validator(
        "allow_origins",
        "allow_hosts",
        "trusted_proxies",
        "jwt_algorithms",
        "jwt_roles",
        "webhook_allow",
        "webhook_waits",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(filter(None, map(str.strip, value.split(","))))
            if isinstance(value, str)
            else value
        )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Tokens are taken by one key or set of keys, for one audience, from one issuer."""
        sources = [self.jwt_secret, self.jwt_secret_file, self.jwt_public_key, self.jwt_jwks]
        given = sum(source is not None for source in sources)
        if not (given or self.jwt_algorithms):
            return self
        if given != 1:
            raise ValueError("set one of jwt_secret, jwt_secret_file, jwt_public_key and jwt_jwks")
        if self.jwt_audience is None or self.jwt_issuer is None:
            raise ValueError("tokens are taken with a jwt_audience and a jwt_issuer")
        shared = self.jwt_public_key is None and self.jwt_jwks is None
        fitting = SHARED if shared else PUBLIC
        if not self.jwt_algorithms or not fitting.issuperset(self.jwt_algorithms):
            raise ValueError(f"jwt_algorithms are among {', '.join(sorted(fitting))}")
        try:
            secret = self.shared_secret
        except (OSError, UnicodeDecodeError):
            raise ValueError("jwt_secret_file cannot be read") from None
        if secret is not None and len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"jwt_secret has at least {MIN_SECRET_BYTES} bytes")
        return self
