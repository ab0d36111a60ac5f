"""`TaskPush`: what an application's module holds.

It stays light, because worker processes import the module that their handler is in: the server
behind it is loaded when it starts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from taskpush.core.retention import Retention
from taskpush.errors import TaskPushError
from taskpush.models.webhooks import Webhook
from taskpush.runner.policy import Backoff, ConcurrencyKey, QueueVisibility, Resume, Size
from taskpush.runner.registry import Registry
from taskpush.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

    from taskpush.composition.wiring import Started
    from taskpush.serving.running import Running

Handler = TypeVar("Handler", bound=Callable[..., Any])


class TaskPush:
    """An ASGI application that runs registered handlers and shows every step of them live.

    Serve it with `taskpush serve module:push` or any ASGI server, or put it into an application of
    your own with `mount_into`.

    `default_kind` names the kind that a create without `kind` and `params` means. `settings` are
    read from the environment (`TASKPUSH_…`) when they are not given. `authenticate` tells who asks:
    a FastAPI dependency, or a function of the connection, that gives a `Principal`, or None for
    somebody who is not known.
    """

    def __init__(
        self,
        *,
        default_kind: str | None = None,
        settings: Settings | None = None,
        strict_reporting: bool | None = None,
        authenticate: Callable[..., Any] | None = None,
    ) -> None:
        chosen = settings or Settings()
        if strict_reporting is not None:
            chosen = chosen.model_copy(update={"strict_reporting": strict_reporting})
        self.settings = chosen
        self._default_kind = default_kind
        # None: who asks is told by what the settings configure.
        self._authenticate = authenticate
        self._registry = Registry()
        # None while it is not started: requests are answered 503 then.
        self._started: Started | None = None

    def task(
        self,
        name: str,
        *,
        process: bool = False,
        concurrency: int | None = None,
        description: str | None = None,
        concurrency_key: ConcurrencyKey | None = None,
        timeout_s: float | None = None,
        max_attempts: int = 1,
        backoff: Backoff | None = None,
        resume: Resume = "manual",
        queue_limit: int | None = None,
        queue_visibility: QueueVisibility = "anonymous",
        retention: Retention | None = None,
        size: Size | None = None,
        capture_print: bool = False,
        webhooks: Sequence[Webhook | str] = (),
    ) -> Callable[[Handler], Handler]:
        """Register the decorated function as the handler of a kind, and return it unchanged.

        An `async def` handler runs on the event loop, a plain one in a thread, and with `process`
        in a worker process of its own. It takes a `TaskContext` and, if it has params, a second
        argument whose annotation they are validated against; its return annotation validates the
        result. `concurrency` is how many tasks of the kind run at once (by default 100 on the
        loop, 8 in threads, one per core in processes); with `concurrency_key`, besides, only one
        of those that have it in common: `"owner"`, or a function that makes a text of the params
        (a dict).

        An attempt that takes longer than `timeout_s` is stopped like a cancelled one, and has
        failed. A task is tried `max_attempts` times (timeouts and exceptions count, invalid
        params and results are not tried again), with pauses by `backoff`; `Backoff()` unless
        given: up to 1 s, doubling to at most 300 s. A create may ask for other numbers.

        With `resume="auto"`, a task whose server or worker process went away goes on by itself,
        from its newest checkpoint; after three times without a new checkpoint it is failed.
        Otherwise it stays `interrupted` until somebody retries it.

        While `queue_limit` tasks of the kind are pending (waiting, delayed, or between two
        attempts) a create is refused with `queue_full`. Of others' tasks in the queue a reader
        sees `anonymous` entries, their `titles`, or `none`.

        `retention` says what is kept of the kind's finished tasks, in place of the settings:
        `Retention(tasks=Keep(max_age=timedelta(days=30)), logs=Keep(max_count=1000))`.
        `size`, a function that makes a number above zero of the params (pages of a document, say),
        makes estimates better where run times are about in proportion to it.

        With `capture_print` each line that the handler prints becomes a `log` event of its task.

        The events of each task are sent to the `webhooks`: addresses, which get the changes of its
        status, or `Webhook(url, events=("status_change", "artifact"))`; see
        `docs/how-to/webhooks.md`.

        Raises `ValueError` or `TypeError` for a name or a function that cannot be a handler.
        """

        def register(handler: Handler) -> Handler:
            self._registry.register(
                name,
                handler,
                process=process,
                concurrency=concurrency,
                description=description,
                concurrency_key=concurrency_key,
                timeout_s=timeout_s,
                max_attempts=max_attempts,
                backoff=backoff,
                resume=resume,
                queue_limit=queue_limit,
                queue_visibility=queue_visibility,
                retention=retention,
                size=size,
                capture_print=capture_print,
                webhooks=tuple(map(_webhook, webhooks)),
            )
            return handler

        return register

    def kind(
        self,
        name: str,
        *,
        params: Any = None,
        result: Any = Any,
        external: Literal[True],
        created_by_producer: bool = False,
        description: str | None = None,
        timeout_s: float | None = None,
        max_attempts: int = 1,
        backoff: Backoff | None = None,
        queue_limit: int | None = None,
        queue_visibility: QueueVisibility = "anonymous",
        retention: Retention | None = None,
        size: Size | None = None,
        webhooks: Sequence[Webhook | str] = (),
    ) -> None:
        """Declare a kind whose tasks programs outside this server run, and report over HTTP.

        Such a task waits until a producer starts it; see `docs/how-to/producers.md`. `params` and
        `result` are types that they are validated against, Pydantic models or others; without
        `params` the kind takes none. With `created_by_producer` nobody waits for work of this
        kind: its tasks are created by the programs that run them, as `Reporter.start` does, and a
        create by anybody else is refused. The rest is as for `task`; a task that takes longer than
        `timeout_s` has failed, whatever its producer still says.

        Raises `ValueError` or `TypeError` for what cannot be a kind.
        """
        if external is not True:
            raise ValueError(f"kind {name!r}: what a handler runs is registered by `task`")
        self._registry.declare(
            name,
            params=params,
            result=result,
            description=description,
            created_by_producer=created_by_producer,
            timeout_s=timeout_s,
            max_attempts=max_attempts,
            backoff=backoff,
            queue_limit=queue_limit,
            queue_visibility=queue_visibility,
            retention=retention,
            size=size,
            webhooks=tuple(map(_webhook, webhooks)),
        )

    def take_commands(self) -> None:
        """Have the kind `command`, unless there is one: what `taskpush run` reports.

        `taskpush serve` does so by itself, unless `TASKPUSH_COMMAND_KIND` is false. The server
        never executes a command: whoever runs one reports it.
        """
        from taskpush.models.program import COMMAND, CommandParams, CommandResult

        if self._registry.get(COMMAND) is None:
            self.kind(
                COMMAND,
                params=CommandParams,
                result=CommandResult,
                external=True,
                created_by_producer=True,
                description="A program that taskpush run has started somewhere.",
            )

    @property
    def kinds(self) -> list[str]:
        """The names of the registered kinds, in the order of their registration."""
        return [spec.name for spec in self._registry.kinds()]

    @property
    def access_configured(self) -> bool:
        """Whether callers have to show who they are."""
        return self._authenticate is not None or self.settings.access_configured

    @property
    def access_words(self) -> str:
        """By what callers show who they are, for people."""
        ways = {
            "API keys": self.settings.keys_file.exists(),
            "JWT": self.settings.jwt_configured,
            "the application's own": self._authenticate is not None,
        }
        return ", ".join(way for way, used in ways.items() if used)

    def configure(self, **changes: Any) -> None:
        """Replace some settings, validated; only before the start."""
        merged = self.settings.model_dump() | changes
        self.settings = Settings.model_validate(merged)

    def mount_into(self, app: FastAPI, path: str = "") -> None:
        """Serve this application below `path` of an existing one, and start and stop with it.

        Mounted at the root it answers whatever `app` has no route for, so call this after the
        routes were added.
        """
        app.mount(path, self)
        outer = app.router.lifespan_context

        @asynccontextmanager
        async def both(host: FastAPI) -> AsyncIterator[Any]:
            async with outer(host) as state, self.lifespan(host):
                yield state

        app.router.lifespan_context = both

    def running(self, *, host: str = "127.0.0.1", port: int = 0) -> Running:
        """Serve from a thread of this program: a script, a notebook, an application without ASGI.

        A context manager, with `url`; in a notebook rather `server = push.running().start()` and
        `server.stop()`. Port 0 takes a free one. What keeps it from starting is raised there:
        `OSError` when the port is taken, `ValueError` for an address beyond this machine while
        everybody may do everything.
        """
        from taskpush.access.hosts import is_loopback
        from taskpush.serving.running import Running

        if not (self.access_configured or self.settings.public or is_loopback(host)):
            raise ValueError(
                f"{host} is reachable from other machines, and no access is configured: make an"
                " API key, or set insecure_public"
            )
        deflate = self.settings.compress_above is not None
        return Running(self, host, port, deflate=deflate)

    @asynccontextmanager
    async def lifespan(self, _host: Any = None) -> AsyncIterator[None]:
        """Start, and stop when the context ends: `FastAPI(lifespan=push.lifespan)`."""
        if self._default_kind is not None and self._registry.get(self._default_kind) is None:
            raise ValueError(f"default_kind {self._default_kind!r} is not registered")
        from taskpush.composition.wiring import start

        async with AsyncExitStack() as stack:
            self._started = await start(
                self.settings, self._registry, self._default_kind, self._authenticate, stack
            )
            try:
                yield
            finally:
                self._started = None

    async def drain(self, within_s: float | None = None) -> None:
        """Stop taking work and end what runs, while watchers are still served.

        Handlers have `within_s` seconds to stop (None: as the settings say); their tasks become
        `interrupted`. The end of the lifespan does the same, but by then most servers have cut the
        connections. Called again, it may hurry what is under way.
        """
        if self._started is not None:
            await self._started.drain(within_s)

    def hang_up(self) -> None:
        """Answer every long poll and close every stream and socket, so that clients come back.

        For whoever is about to stop the server: none of these ends by itself. The end of the
        lifespan does the same, but before that most servers wait for the answers under way.
        """
        if self._started is not None:
            self._started.hang_up()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._started is not None and scope["type"] != "lifespan":
            await self._started.application(scope, receive, send)
        elif scope["type"] == "lifespan":
            from taskpush.serving.lifespan import live

            await live(self.lifespan(), receive, send)
        elif scope["type"] == "http":
            from taskpush.api.problems import problem_response

            await problem_response(_not_started())(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1013})


def _not_started() -> TaskPushError:
    return TaskPushError(
        "taskpush has not been started: mount it with push.mount_into(app), or run push.lifespan",
        code="not_started",
    )


def _webhook(given: Webhook | str) -> Webhook:
    return Webhook(given) if isinstance(given, str) else given
