"""Kinds: what is registered under a name, and what it takes and gives."""

from __future__ import annotations

import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import chain
from types import SimpleNamespace
from typing import Any, Final, get_type_hints

import orjson
from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic_core import ErrorDetails, PydanticSerializationError
from typing_extensions import Unpack

from taskpush.errors import FieldProblem, TaskPushError
from taskpush.models.values import joined, value_problems
from taskpush.runner.context import TaskContext
from taskpush.runner.policy import Policy, PolicyOptions
from taskpush.runner.reports import cut, plain, shown, without_surrogates

Handler = Callable[..., Any]

ASYNC_CONCURRENCY: Final = 100
THREAD_CONCURRENCY: Final = 8
MAX_PROBLEMS: Final = 20

# As models.commands.Name.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_NO_PARAMS: Final = {"type": "object", "properties": {}, "additionalProperties": False}
_MAX_PROBLEM_BYTES: Final = 512


class InvalidResult(ValueError):
    """A handler returned what does not fit its annotation, or cannot travel."""


class Style(StrEnum):
    """Where a handler runs."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Importable:
    """Where a worker process finds a handler."""

    # None when the handler stands in a script that was run by its path.
    module: str | None
    qualname: str
    # The script; None when `module` is given.
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class KindSpec(Policy):
    """A registered kind."""

    name: str
    handler: Handler
    style: Style
    concurrency: int
    # The first line of the handler's docstring unless given; None without one.
    description: str | None
    # None: the handler takes no params.
    params: TypeAdapter[Any] | None
    result: TypeAdapter[Any]
    # None unless the style is PROCESS.
    importable: Importable | None

    @cached_property
    def params_schema(self) -> dict[str, Any]:
        """JSON Schema of the params."""
        return dict(_NO_PARAMS) if self.params is None else self.params.json_schema()

    @cached_property
    def result_schema(self) -> dict[str, Any]:
        """JSON Schema of the result."""
        return self.result.json_schema(mode="serialization")

    def validate_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The params as a JSON object with defaults filled in.

        Raises `invalid_params`, with one problem per wrong field, located like `params.seed`.
        """
        parsed = self.parse_params(params)
        if self.params is None:
            return {}
        normalised: Any = None
        try:
            normalised = self.params.dump_python(parsed, mode="json", by_alias=True)
            # A secret or an excluded field, an alias for one direction only: where the dump does
            # not say what was given, what was given is kept.
            faithful = isinstance(normalised, dict) and self.parse_params(normalised) == parsed
        except (TaskPushError, PydanticSerializationError):
            faithful = False
        checked: dict[str, Any] = normalised if faithful else dict(params)
        for problem in value_problems(checked, "params"):
            loc, _, message = problem.partition(": ")
            raise _invalid([FieldProblem(loc, message)])
        return checked

    def parse_params(self, params: Mapping[str, Any]) -> Any:
        """The params as the handler takes them; raises `invalid_params`."""
        if self.params is None:
            if params:
                raise _invalid(
                    [FieldProblem(f"params.{name}", "this kind takes no params") for name in params]
                )
            return None
        try:
            # Read as JSON, which they are: a strict model takes a date from its text.
            return self.params.validate_json(orjson.dumps(dict(params)))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            raise _invalid([_problem(each) for each in found[:MAX_PROBLEMS]]) from None
        except Exception as error:
            # A validator's own mistake; its text may hold what clients must not see.
            message = f"cannot be validated ({type(error).__name__})"
            raise _invalid([FieldProblem("params", message)]) from error

    def invoke(self, context: TaskContext, params: Any) -> Any:
        """Call the handler."""
        return self.handler(context) if self.params is None else self.handler(context, params)

    def dump_result(self, value: Any) -> JsonValue:
        """What the handler returned, as JSON; raises `InvalidResult`."""
        try:
            checked = self.result.validate_python(value)
            result: JsonValue = self.result.dump_python(
                checked, mode="json", by_alias=True, warnings=False, fallback=_unknown
            )
            # In JSON mode pydantic silently makes null of a NaN whose type it has to guess.
            lost = _not_finite(self.result.dump_python(checked, warnings=False), "result")
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            problems = [f"{_dotted(('result', *each['loc']))}: {_text(each)}" for each in found]
            raise InvalidResult(joined(problems)) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise InvalidResult(f"result: {shown(error)}") from None
        problem = next(chain(value_problems(result, "result"), lost), None)
        if problem is not None:
            raise InvalidResult(problem)
        return result


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
        if type(name) is not str or not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no kind name: letters, digits, `_`, `.` and `-`, at most 64"
            )
        if name in self._kinds:
            raise ValueError(f"a kind named {name!r} is registered already")
        spec = inspect_handler(
            name,
            handler,
            process=process,
            concurrency=concurrency,
            description=description,
            localns=localns,
            **policy,
        )
        _check_schemas(spec)
        self._kinds[name] = spec
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


def _check_schemas(spec: KindSpec) -> None:
    """Make both schemas, so that what has none is refused at registration."""
    try:
        params_type = spec.params_schema.get("type", "object")
        _ = spec.result_schema
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise TypeError(f"kind {spec.name!r}: no JSON Schema can be made: {error}") from error
    if params_type != "object":
        raise TypeError(f"kind {spec.name!r}: params are a JSON object, not {params_type!r}")


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


def _unknown(value: Any) -> Any:
    """What pydantic cannot serialise: numpy scalars are taken as their numbers."""
    inner = plain(value)
    if inner is value:
        raise ValueError(f"a {type(value).__name__} is not a JSON value")
    return inner


def _not_finite(value: Any, where: str) -> Iterator[str]:
    """Where in a dump there are NaNs and infinities."""
    match plain(value) if type(value) not in {dict, list, tuple} else value:
        case float() as number if not math.isfinite(number):
            yield f"{where}: {number} cannot travel as a JSON number"
        case dict() as entries:
            for key, inner in entries.items():
                yield from _not_finite(inner, f"{where}.{key}")
        case list() | tuple() | set() | frozenset() as items:
            for index, inner in enumerate(items):
                yield from _not_finite(inner, f"{where}[{index}]")


def _problem(error: ErrorDetails) -> FieldProblem:
    return FieldProblem(_dotted(("params", *error["loc"])), _text(error))


def _dotted(loc: tuple[int | str, ...]) -> str:
    return _tidy(".".join(str(part) for part in loc))


def _text(error: ErrorDetails) -> str:
    """A validator's ValueError speaks for itself; the rest has pydantic's sentence."""
    raised = error.get("ctx", {}).get("error")
    return _tidy(shown(raised) if isinstance(raised, Exception) else error["msg"])


def _tidy(text: str) -> str:
    return cut(without_surrogates(text), _MAX_PROBLEM_BYTES)


def _invalid(problems: Sequence[FieldProblem]) -> TaskPushError:
    return TaskPushError(code="invalid_params", problems=problems)
