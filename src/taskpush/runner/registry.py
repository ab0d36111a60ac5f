"""The kinds of an application."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from typing_extensions import Unpack

from taskpush.errors import TaskPushError
from taskpush.runner.handlers import external_kind, inspect_handler
from taskpush.runner.kind import Handler, KindSpec
from taskpush.runner.policy import PolicyOptions

# As models.commands.Name.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


class Registry:
    """The kinds of one application, by name, in the order of their registration."""

    def __init__(self) -> None:
        self._kinds: dict[str, KindSpec] = {}

    def register(
        self,
        name: str,
        handler: Handler,
        *,
        process: bool = False,
        concurrency: int | None = None,
        description: str | None = None,
        localns: Mapping[str, Any] | None = None,
        **policy: Unpack[PolicyOptions],
    ) -> KindSpec:
        """Make `handler` run tasks of kind `name`.

        `async def` runs on the event loop, plain `def` in a thread, `process=True` in a process of
        its own, which imports the handler by module and name. `concurrency` is how many tasks of
        the kind run at once (100, 8, and the number of CPUs). `localns` resolves annotations that
        name what the handler's module does not hold. `policy` is as `Policy` says.

        Raises `ValueError` for a name that is taken or malformed and for an option out of range,
        and `TypeError` for a handler that cannot be called as one.
        """
        self._check_name(name)
        spec = inspect_handler(
            name,
            handler,
            process=process,
            concurrency=concurrency,
            description=description,
            localns=localns,
            **policy,
        )
        return self._add(spec)

    def declare(
        self,
        name: str,
        *,
        params: Any = None,
        result: Any = Any,
        description: str | None = None,
        created_by_producer: bool = False,
        **policy: Unpack[PolicyOptions],
    ) -> KindSpec:
        """Have producers outside the server run tasks of kind `name`.

        `params` and `result` are types that Pydantic validates; None: the kind takes no params.
        With `created_by_producer` only the programs that run its tasks create them. Raises as
        `register`.
        """
        self._check_name(name)
        return self._add(
            external_kind(
                name,
                params=params,
                result=result,
                description=description,
                created_by_producer=created_by_producer,
                **policy,
            )
        )

    def _check_name(self, name: str) -> None:
        if type(name) is not str or not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no kind name: letters, digits, `_`, `.` and `-`, at most 64"
            )
        if name in self._kinds:
            raise ValueError(f"a kind named {name!r} is registered already")

    def _add(self, spec: KindSpec) -> KindSpec:
        _check_schemas(spec)
        self._kinds[spec.name] = spec
        return spec

    def get(self, name: str) -> KindSpec | None:
        """The kind, or None when it is not registered."""
        return self._kinds.get(name)

    def require(self, name: str) -> KindSpec:
        """The kind; raises `unknown_kind`."""
        spec = self._kinds.get(name)
        if spec is None:
            raise TaskPushError(code="unknown_kind")
        return spec

    def kinds(self) -> Sequence[KindSpec]:
        """All kinds."""
        return tuple(self._kinds.values())


def _check_schemas(spec: KindSpec) -> None:
    """Make both schemas, so that what has none is refused at registration."""
    try:
        params_type = spec.params_schema.get("type", "object")
        _ = spec.result_schema
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise TypeError(f"kind {spec.name!r}: no JSON Schema can be made: {error}") from error
    if params_type != "object":
        raise TypeError(f"kind {spec.name!r}: params are a JSON object, not {params_type!r}")
