"""Who watches what, for the admins of a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskpush.access.admission import Admission
from taskpush.access.policy import demand_admin
from taskpush.access.seal import Seal
from taskpush.errors import FieldProblem, InvalidRequest
from taskpush.models.connections import WatchingConnection
from taskpush.push.roll import Roll


@dataclass(frozen=True, slots=True)
class ConnectionQuery:
    """What a page is asked for; None means any. Whose comes from who asks."""

    limit: int
    # A page's `next`.
    after: str | None = None
    owner: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionPage:
    """Connections, newest first."""

    connections: Sequence[WatchingConnection]
    # Opaque; None at the end. A page may hold few, or none, and not be the last.
    next: str | None


class Connections:
    """Shows the roll to the admins of each tenant, who see what is theirs.

    `seal` closes places in it, which are numbered for all tenants together; without one they end
    with this process.
    """

    def __init__(self, roll: Roll, *, seal: Seal | None = None) -> None:
        self._roll = roll
        self._seal = Seal() if seal is None else seal

    def page(self, admission: Admission, query: ConnectionQuery) -> ConnectionPage:
        """Connections of the reader's tenant.

        Raises `forbidden` for who is no admin, unless no access is configured, and
        `invalid_request` for an `after` that no page gave.
        """
        demand_admin(admission)
        page = self._roll.page(
            admission.principal.tenant,
            limit=query.limit,
            before=None if query.after is None else self._place(query.after),
            owner=query.owner,
            task_id=query.task_id,
        )
        following = None if page.before is None else self._seal.close(str(page.before))
        return ConnectionPage(page.connections, following)

    def _place(self, after: str) -> int:
        number = self._seal.open(after)
        if number is None:
            message = "this is not the `next` of a page"
            raise InvalidRequest(message, problems=[FieldProblem("after", message)])
        return int(number)
