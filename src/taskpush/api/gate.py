"""What stands before every door: who may knock, by which name, and from which page.

It decides before anything is routed, for requests and WebSockets alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from taskpush.access.hosts import HostPolicy, address_of
from taskpush.access.origins import OriginPolicy
from taskpush.api.headers import SafeHeaders
from taskpush.api.problems import problem_response
from taskpush.api.proxies import TrustedProxies
from taskpush.errors import TaskPushError
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import RequestRefused


def gated(
    app: ASGIApp,
    telemetry: Telemetry,
    *,
    allow_hosts: Sequence[str],
    allow_origins: Sequence[str],
    trusted_proxies: Sequence[str],
    public: bool,
) -> ASGIApp:
    """Everything that comes before `app`, from the outside inwards."""
    hosts, origins = HostPolicy(allow_hosts), OriginPolicy(allow_origins)
    inner = _with_cors(app, allow_origins) if allow_origins else app
    gate = SafeHeaders(Gate(inner, telemetry, hosts=hosts, origins=origins, public=public))
    return TrustedProxies(gate, trusted_proxies) if trusted_proxies else gate


def _with_cors(app: ASGIApp, allow_origins: Sequence[str]) -> ASGIApp:
    """Let pages of listed origins read answers, and send cookies unless everybody is listed."""
    listed = "*" not in allow_origins
    return CORSMiddleware(
        app,
        allow_origins=list(allow_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Content-Type", "Authorization", "Idempotency-Key", "Last-Event-ID"],
        allow_credentials=listed,
        # A page of a public host may use a server in a private network (browsers ask).
        allow_private_network=listed,
        expose_headers=["Location", "Retry-After", "X-Taskpush-Attempt", "X-Taskpush-Partial"],
    )


class Gate:
    """Lets in what is meant for this server, and answers the rest with a problem document."""

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        *,
        hosts: HostPolicy,
        origins: OriginPolicy,
        public: bool,
    ) -> None:
        """Unless `public`, only what came in at a loopback address is let in."""
        self._app = app
        self._telemetry = telemetry
        self._hosts = hosts
        self._origins = origins
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            try:
                self._check(scope)
            except TaskPushError as refusal:
                self._telemetry.emit(RequestRefused(_peer(scope), refusal.code, refusal.detail))
                await refuse(refusal, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raises what is to be answered instead of letting the request in."""
        arrived_at = (scope.get("server") or (None,))[0]
        if not (self._public or _is_local(arrived_at)):
            raise TaskPushError(
                "no access is configured, so only this machine may come in; whoever runs the server"
                " can say otherwise with --insecure-public or TASKPUSH_INSECURE_PUBLIC=true",
                code="local_only",
            )
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self._hosts(hosts[0], arrived_at):
            named = " and ".join(map(repr, hosts))[:200] or "no host"
            raise TaskPushError(
                f"the request is for {named}, which is not a name of this server; whoever runs it"
                " can add names with --allow-host or TASKPUSH_ALLOW_HOSTS",
                code="host_refused",
            )
        secure = scope.get("scheme") in {"https", "wss"}
        if len(origins) > 1 or not all(
            self._origins(origin, hosts[0], secure=secure) for origin in origins
        ):
            named = " and ".join(map(repr, origins))[:200]
            raise TaskPushError(
                f"pages of {named} may not use this server; whoever runs it can add origins with"
                " --allow-origin or TASKPUSH_ALLOW_ORIGINS",
                code="origin_refused",
            )


async def refuse(refusal: TaskPushError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a WebSocket's handshake, with a problem document."""
    response: Response = problem_response(refusal)
    if scope["type"] == "http":
        await response(scope, receive, send)
        return
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await response(scope, receive, send)
    else:
        # The server answers 403, without a body.
        await send({"type": "websocket.close"})


def _is_local(arrived_at: str | None) -> bool:
    """Whether nobody but this machine reaches that address, or it is none (a Unix socket)."""
    address = address_of(arrived_at)
    return address is None or address.is_loopback


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "unknown"
