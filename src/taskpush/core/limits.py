"""How much clients may have, do and send: one frozen value, which the settings make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from taskpush.models.commands import MAX_METADATA_BYTES
from taskpush.models.events import MAX_EVENT_BYTES, MAX_LOG_LINE_BYTES


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much each may have of something, but for those who are local unless `local_too`.

    Local is who comes from this machine, and everybody while no access is configured.
    """

    # None is as much as they like.
    each: int | None
    local_too: bool = False

    def of(self, *, local: bool) -> int | None:
        """What one may have; None is as much as it likes."""
        return self.each if self.local_too or not local else None

    @classmethod
    def said(cls, setting: int | None, default: int) -> Allowance:
        """What a setting means: a number holds for everybody, 0 is no limit at all.

        Left alone (None) it is the default, which is for strangers: whoever measures, tests or
        tries something on one machine has thousands of connections from one address.
        """
        if setting is None:
            return cls(default)
        return cls(setting or None, local_too=True)


CONNECTIONS_PER_ADDRESS: Final = 500
CONNECTIONS_PER_PRINCIPAL: Final = 500
CREATES_PER_MIN: Final = 1_000

PACKET_BYTES: Final = 4096
"""A packet counts once for each that it begins: what clients have to say is far shorter."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for clients of one server. Connections are sockets, streams and polls that wait.

    The longest event is no setting: it is the protocol's. Nor is by how much a packet counts.
    """

    # All together: an idle one takes some 14 KiB.
    connections: int = 20_000
    connections_per_address: Allowance = Allowance(CONNECTIONS_PER_ADDRESS)
    connections_per_principal: Allowance = Allowance(CONNECTIONS_PER_PRINCIPAL)
    # Of one connection.
    subscriptions: int = 128
    # From one connection, for long; and at once: twice as much ends it.
    packets_per_s: int = 100
    packets_at_once: int = 512
    # Of one principal; as many at once. A task of a batch counts as one.
    creates_per_min: Allowance = Allowance(CREATES_PER_MIN)
    body_bytes: int = 1024 * 1024
    params_bytes: int = 256 * 1024
    metadata_bytes: int = MAX_METADATA_BYTES
    log_line_bytes: int = MAX_LOG_LINE_BYTES
    artifact_bytes: int = 1024**3
    # A file that is sent for params; and of one owner's what no task uses, together.
    upload_bytes: int = 1024**3
    unused_uploads: int = 100
    unused_upload_bytes: int = 4 * 1024**3
    # Of one owner's, with what tasks use.
    owner_upload_bytes: int = 32 * 1024**3

    def told(self, *, local_address: bool, local_principal: bool) -> dict[str, int | None]:
        """The limits as one client has them, by their names on the wire; None is no limit."""
        return {
            "connections": self.connections,
            "connections_per_address": self.connections_per_address.of(local=local_address),
            "connections_per_principal": self.connections_per_principal.of(local=local_principal),
            "subscriptions": self.subscriptions,
            "packets_per_s": self.packets_per_s,
            "packets_at_once": self.packets_at_once,
            "packet_bytes": PACKET_BYTES,
            "creates_per_min": self.creates_per_min.of(local=local_principal),
            "body_bytes": self.body_bytes,
            "params_bytes": self.params_bytes,
            "metadata_bytes": self.metadata_bytes,
            "event_bytes": MAX_EVENT_BYTES,
            "log_line_bytes": self.log_line_bytes,
            "artifact_bytes": self.artifact_bytes,
            "upload_bytes": self.upload_bytes,
            "unused_uploads": self.unused_uploads,
            "unused_upload_bytes": self.unused_upload_bytes,
            "owner_upload_bytes": self.owner_upload_bytes,
        }


DEFAULT_LIMITS: Final = Limits()
