"""The `/tasks` namespace: what clients' events do. Protocol section 2."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from taskpush.access.admission import Admission
from taskpush.access.doorkeeper import OpenDoor
from taskpush.access.policy import covers
from taskpush.access.principal import Principal
from taskpush.access.turnstile import is_local
from taskpush.access.visitor import Visitor
from taskpush.core.limits import DEFAULT_LIMITS, Limits
from taskpush.core.views import snapshot_body
from taskpush.errors import Forbidden, InvalidRequest, TaskPushError
from taskpush.models.access import Authenticate
from taskpush.models.audit import Door, Via
from taskpush.models.commands import CancelTask, SocketCancel, Subscribe, Unsubscribe
from taskpush.models.connections import Transport
from taskpush.models.feed import SubscribeFeed, UnsubscribeFeed
from taskpush.push.channel import Channel
from taskpush.sockets.engine import EngineSocket
from taskpush.sockets.guard import Event
from taskpush.tasks.feeds import Feeds
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.service import TaskService, problems_of
from taskpush.tasks.watching import Watching, refuse

NAMESPACE: Final = "/tasks"
PROTOCOL: Final = 1

Admit = Callable[[Visitor], Awaitable[Admission]]
"""Tells who it is; raises `TaskPushError`."""
Payload = TypeVar("Payload", bound=BaseModel)


@dataclass(eq=False, slots=True)
class Connection:
    """One client in the namespace."""

    connection_id: str
    # Of the request that opened it.
    scope: Mapping[str, Any]
    door: OpenDoor
    channel: Channel
    socket: EngineSocket

    @property
    def admission(self) -> Admission:
        return self.door.admission

    @property
    def transport(self) -> Transport:
        return "polling" if self.socket.polling else "websocket"

    @property
    def watching(self) -> Channel:
        return self.channel

    @property
    def address(self) -> str | None:
        """Where it came from; None when it came over no network."""
        return Visitor(self.scope).address

    @property
    def principal(self) -> Principal:
        return self.door.admission.principal

    @property
    def via(self) -> Via:
        """How its client came, for the audit trail."""
        return Via(self.door.admission.credential, Door.SOCKET, self.address)


class TasksNamespace:
    """Answers the events of connected clients."""

    def __init__(
        self,
        service: TaskService,
        queries: TaskQueries,
        watching: Watching,
        feeds: Feeds,
        *,
        admit: Admit,
        server_version: str,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._limits = limits
        self._service = service
        self._queries = queries
        self._watching = watching
        self._feeds = feeds
        self._admit = admit
        self._server_version = server_version
        self._handlers: Mapping[str, Callable[[Connection, Event], Awaitable[None]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "cancel": self._cancel,
            "authenticate": self._authenticate,
        }

    def welcome(self, connection: Connection) -> None:
        """Greet a client that has just connected."""
        connection.channel.say(
            "connected",
            {
                "message": "Connected to task updates",
                "protocol": PROTOCOL,
                "server_version": self._server_version,
                "connection_id": connection.connection_id,
                "limits": {
                    **self._limits.told(
                        local_address=connection.socket.place.is_local,
                        local_principal=is_local(connection.door.admission),
                    ),
                    **connection.channel.limits,
                },
            },
        )

    async def handle(self, connection: Connection, event: Event) -> None:
        """Do what the event asks; whatever is wrong is answered with its code."""
        await connection.channel.room()
        try:
            handler = self._handlers.get(event.name)
            if handler is None:
                raise TaskPushError(f"no event named {event.name[:64]}", code="unknown_event")
            await handler(connection, event)
        except TaskPushError as error:
            refuse(connection.channel, error, event.ack, task_id=_task_id(event))

    async def _subscribe(self, connection: Connection, event: Event) -> None:
        if _names_feed(event):
            wanted = _payload(SubscribeFeed, event)
            self._feeds.subscribe(connection.channel, connection.principal, wanted, event.ack)
            return
        command = _payload(Subscribe, event)
        try:
            await self._watching.subscribe(
                connection.channel, connection.principal, command, event.ack
            )
        except TaskPushError:
            connection.channel.drop(command.task_id)
            raise

    async def _unsubscribe(self, connection: Connection, event: Event) -> None:
        if _names_feed(event):
            unwanted = _payload(UnsubscribeFeed, event)
            self._feeds.unsubscribe(connection.channel, unwanted.feed, event.ack)
            return
        command = _payload(Unsubscribe, event)
        self._watching.unsubscribe(connection.channel, command.task_id, event.ack)

    async def _cancel(self, connection: Connection, event: Event) -> None:
        command = _payload(SocketCancel, event)
        record = await self._service.cancel(
            connection.principal,
            command.task_id,
            CancelTask(attempt=command.attempt, keep=command.keep),
            connection.via,
        )
        shown = self._queries.shown(connection.principal, record)
        answer: dict[str, Any] = {"ok": True, "task_id": record.task_id}
        connection.channel.reply(event.ack, answer | {"snapshot": snapshot_body(shown)})

    async def _authenticate(self, connection: Connection, event: Event) -> None:
        """Go on by another credential of the same somebody, that may at least as much.

        So nothing that was subscribed has to be looked at again.
        """
        shown = _payload(Authenticate, event)
        admission = await self._admit(Visitor(connection.scope, {"token": shown.token}))
        if not covers(admission.principal, connection.principal):
            raise Forbidden("the credential is somebody else's, or may less: connect anew with it")
        connection.door.admission = admission
        expires = admission.expires
        connection.channel.reply(
            event.ack, {"ok": True, "expires_at": expires and expires.isoformat()}
        )


def _payload(model: type[Payload], event: Event) -> Payload:
    """The event's one argument as `model`; raises `InvalidRequest` or `invalid_position`."""
    argument: JsonValue = event.args[0] if event.args else None
    try:
        return model.model_validate(argument)
    except ValidationError as error:
        problems = problems_of(error)
        about_task = model is Subscribe and problems
        if about_task and all(problem.loc.startswith("after") for problem in problems):
            raise TaskPushError(
                'after takes {"epoch": text, "seq": integer of at least 0} or "now"',
                code="invalid_position",
            ) from None
        first = f"{problems[0].loc}: {problems[0].message}"
        raise InvalidRequest(first, problems=problems) from None


def _names_feed(event: Event) -> bool:
    argument = event.args[0] if event.args else None
    return isinstance(argument, dict) and "feed" in argument and "task_id" not in argument


def _task_id(event: Event) -> str | None:
    """The task the event names, for the answer; None when it names none."""
    argument = event.args[0] if event.args else None
    named = argument.get("task_id") if isinstance(argument, dict) else None
    return named[:64] if isinstance(named, str) else None
