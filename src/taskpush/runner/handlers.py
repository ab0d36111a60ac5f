"""Handlers, inspected: from a function and its annotations to a kind."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from typing_extensions import Unpack

from taskpush.runner.kind import Handler, Importable, KindSpec, Style
from taskpush.runner.policy import Policy, PolicyOptions
from taskpush.runner.sendable import shown

ASYNC_CONCURRENCY: Final = 100
THREAD_CONCURRENCY: Final = 8


def external_kind(
    name: str,
    *,
    params: Any,
    result: Any,
    description: str | None,
    created_by_producer: bool = False,
    **policy: Unpack[PolicyOptions],
) -> KindSpec:
    """A kind that producers outside the server run; raises as `Registry.declare` does."""
    _check_policy(name, policy)
    return KindSpec(
        name=name,
        handler=None,
        style=Style.EXTERNAL,
        concurrency=0,
        description=description,
        params=None if params is None else _declared(name, "params", params),
        result=_declared(name, "result", result),
        importable=None,
        created_by_producer=created_by_producer,
        **policy,
    )


def _declared(name: str, where: str, declared: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(declared)
    except (PydanticUserError, TypeError) as error:
        reason = shown(error).partition("\n")[0]
        raise TypeError(
            f"kind {name!r}: {declared!r} for {where} is nothing that can be validated: {reason}"
        ) from error


def inspect_handler(
    name: str,
    handler: Handler,
    *,
    process: bool = False,
    concurrency: int | None = None,
    description: str | None = None,
    localns: Mapping[str, Any] | None = None,
    **policy: Unpack[PolicyOptions],
) -> KindSpec:
    """What `handler` takes and gives; raises as `Registry.register` does."""
    style = _style(name, handler, process=process)
    if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise ValueError(f"kind {name!r}: concurrency must be an integer of at least 1")
    _check_policy(name, policy)
    signature = _signature(name, handler)
    hints = dict(localns or {})
    params = _second_parameter(name, signature)
    return KindSpec(
        name=name,
        handler=handler,
        style=style,
        concurrency=concurrency or _default_concurrency(style),
        description=description or _first_line(handler),
        params=None if params is None else _params_adapter(name, handler, params, hints),
        result=_adapter(name, handler, "return", signature.return_annotation, hints),
        importable=_importable(name, handler) if process else None,
        **policy,
    )


def _check_policy(name: str, policy: PolicyOptions) -> None:
    try:
        Policy(**policy)
    except (ValueError, TypeError) as error:
        raise type(error)(f"kind {name!r}: {error}") from None


def _style(name: str, handler: Any, *, process: bool) -> Style:
    if not callable(handler) or inspect.isclass(handler):
        raise TypeError(f"kind {name!r}: the handler must be a function")
    called = handler if inspect.isroutine(handler) else handler.__call__
    if any(
        check(each)
        for check in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        for each in (handler, called)
    ):
        raise TypeError(f"kind {name!r}: a handler returns its result, it cannot yield")
    is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)
    if process and is_async:
        raise TypeError(f"kind {name!r}: a process=True handler is a plain def, not async def")
    if process:
        return Style.PROCESS
    return Style.ASYNC if is_async else Style.THREAD


def _default_concurrency(style: Style) -> int:
    if style is Style.ASYNC:
        return ASYNC_CONCURRENCY
    return THREAD_CONCURRENCY if style is Style.THREAD else max(1, os.cpu_count() or 1)


def _signature(name: str, handler: Handler) -> inspect.Signature:
    try:
        return inspect.signature(handler)
    except ValueError as error:
        raise TypeError(f"kind {name!r}: the handler has no readable signature") from error


def _second_parameter(name: str, signature: inspect.Signature) -> inspect.Parameter | None:
    """The parameter for the params, or None; checks that the handler can be called."""
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    given = list(signature.parameters.values())
    if not given or given[0].kind not in positional:
        raise TypeError(f"kind {name!r}: a handler takes the context first, as in `def job(ctx)`")
    second = given[1] if len(given) > 1 and given[1].kind in positional else None
    for other in given[1 if second is None else 2 :]:
        if other.default is other.empty and other.kind not in {
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        }:
            raise TypeError(
                f"kind {name!r}: a handler takes the context and the params;"
                f" nothing would be passed as {other.name!r}"
            )
    return second


def _params_adapter(
    name: str, handler: Handler, parameter: inspect.Parameter, localns: Mapping[str, Any]
) -> TypeAdapter[Any]:
    if parameter.annotation is parameter.empty:
        return TypeAdapter(dict[str, Any])
    return _adapter(name, handler, parameter.name, parameter.annotation, localns)


def _adapter(
    name: str, handler: Handler, where: str, annotation: Any, localns: Mapping[str, Any]
) -> TypeAdapter[Any]:
    """A validator for one annotation; a missing one takes any JSON."""
    if annotation is inspect.Signature.empty:
        return TypeAdapter(Any)
    try:
        return TypeAdapter(_resolved(handler, where, annotation, localns))
    except NameError as error:
        raise TypeError(
            f"kind {name!r}: the annotation of {where!r} cannot be resolved ({error});"
            " what it names must stand in the handler's module"
        ) from error
    except (PydanticUserError, TypeError, SyntaxError, AttributeError) as error:
        reason = shown(error).partition("\n")[0]
        raise TypeError(
            f"kind {name!r}: {annotation!r} of {where!r} is nothing that can be validated: {reason}"
        ) from error


def _resolved(handler: Handler, where: str, annotation: Any, localns: Mapping[str, Any]) -> Any:
    """The annotation as an object; only this one, since the context's may be for checkers only."""
    inner = inspect.unwrap(getattr(handler, "func", handler))
    module = sys.modules.get(getattr(inner, "__module__", ""), None)
    globalns = getattr(inner, "__globals__", getattr(module, "__dict__", {}))
    holder = SimpleNamespace(__annotations__={where: annotation})
    return get_type_hints(holder, globalns, dict(localns), include_extras=True)[where]


def _importable(name: str, handler: Handler) -> Importable:
    """Where a child process finds the handler; raises `ValueError` when it could not."""
    module = getattr(handler, "__module__", None)
    qualname = getattr(handler, "__qualname__", "<")
    if module is None or "<" in qualname:
        raise ValueError(
            f"kind {name!r}: a process=True handler is a function at the top of a module,"
            " since a worker process imports it by name"
        )
    if module != "__main__":
        return Importable(module, qualname)
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return Importable(main.__spec__.name, qualname)
    path = getattr(main, "__file__", None)
    if path is None:
        raise ValueError(f"kind {name!r}: a process=True handler stands in a file, not in a prompt")
    return Importable(None, qualname, os.path.abspath(path))


def _first_line(handler: Handler) -> str | None:
    documentation = inspect.getdoc(handler) if inspect.isroutine(handler) else None
    return documentation.strip().partition("\n")[0] if documentation else None
