"""A kind: a handler under a name, what it takes and what it gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Any, Final

import orjson
from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError

from taskpush.core.masking import Mask
from taskpush.errors import FieldProblem, TaskPushError
from taskpush.models.problems import field_problem
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import ids_in
from taskpush.models.values import joined, value_problems
from taskpush.runner.context import TaskContext
from taskpush.runner.policy import Policy
from taskpush.runner.sendable import cut, plain, shown, without_surrogates
from taskpush.runner.uploads import FORMAT, NO_UPLOADS, Uploads

Handler = Callable[..., Any]

MAX_PROBLEMS: Final = 20

_NO_PARAMS: Final = {"type": "object", "properties": {}, "additionalProperties": False}
_MAX_PROBLEM_BYTES: Final = 512


class InvalidResult(ValueError):
    """A handler returned what does not fit its annotation, or cannot travel."""


class Style(StrEnum):
    """Where a handler runs, or a producer does."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"
    EXTERNAL = "external"


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
    # None when producers outside the server run the kind's tasks.
    handler: Handler | None
    style: Style
    # How many handlers run at once.
    concurrency: int
    # The first line of the handler's docstring unless given; None without one.
    description: str | None
    # None: the handler takes no params.
    params: TypeAdapter[Any] | None
    result: TypeAdapter[Any]
    # None unless the style is PROCESS.
    importable: Importable | None
    # Whether only the programs that run its tasks create them: nobody takes up one that waits.
    created_by_producer: bool = False

    @property
    def is_external(self) -> bool:
        """Whether producers outside the server run the kind's tasks, and not a handler."""
        return self.style is Style.EXTERNAL

    @cached_property
    def params_schema(self) -> dict[str, Any]:
        """JSON Schema of the params."""
        return dict(_NO_PARAMS) if self.params is None else self.params.json_schema()

    @cached_property
    def result_schema(self) -> dict[str, Any]:
        """JSON Schema of the result."""
        return self.result.json_schema(mode="serialization")

    @cached_property
    def params_mask(self) -> Mask:
        """Hides what is sensitive in the params."""
        return Mask(self.params_schema)

    def redacted(self, text: str, record: TaskRecord) -> str:
        """The text without what is sensitive in the task's params, and what names their files."""
        mask, params = self.params_mask, dict(record.params)
        told = set(ids_in(mask.apply(params)))
        hidden = [ref for ref in record.uploads if ref.upload_id not in told]
        names = chain.from_iterable((ref.name, ref.sha256) for ref in hidden)
        return mask.redact(text, params, also=names)

    @cached_property
    def result_mask(self) -> Mask:
        """Hides what is sensitive in the result."""
        return Mask(self.result_schema)

    @cached_property
    def takes_uploads(self) -> bool:
        """Whether ids of uploads stand in the params."""
        return f'"{FORMAT}"'.encode() in orjson.dumps(self.params_schema, default=str)

    def validate_params(
        self, params: Mapping[str, Any], uploads: Uploads = NO_UPLOADS
    ) -> dict[str, Any]:
        """The params as a JSON object with defaults filled in.

        `uploads` are the files that ids in them may stand for. Raises `invalid_params`, with one
        problem per wrong field, located like `params.seed`.
        """
        parsed = self.parse_params(params, uploads)
        if self.params is None:
            return {}
        normalised: Any = None
        try:
            normalised = self.params.dump_python(parsed, mode="json", by_alias=True)
            # A secret or an excluded field, an alias for one direction only: where the dump does
            # not say what was given, what was given is kept. Its validators may read files, so
            # they are asked again only where it says something else.
            faithful = isinstance(normalised, dict) and (
                _same(normalised, params) or self.parse_params(normalised, uploads) == parsed
            )
        except (TaskPushError, PydanticSerializationError):
            faithful = False
        checked: dict[str, Any] = normalised if faithful else dict(params)
        for problem in value_problems(checked, "params"):
            loc, _, message = problem.partition(": ")
            raise _invalid([FieldProblem(loc, message)])
        return checked

    def parse_params(self, params: Mapping[str, Any], uploads: Uploads = NO_UPLOADS) -> Any:
        """The params as the handler takes them; raises `invalid_params`."""
        if self.params is None:
            if params:
                message = "this kind takes no params"
                raise _invalid(
                    [FieldProblem(f"params.{name}", message, type="no_params") for name in params]
                )
            return None
        try:
            # Read as JSON, which they are: a strict model takes a date from its text.
            return self.params.validate_json(orjson.dumps(dict(params)), context=uploads)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            raise _invalid([_problem(each) for each in found[:MAX_PROBLEMS]]) from None
        except Exception as error:
            # A validator's own mistake; its text may hold what clients must not see.
            message = f"cannot be validated ({type(error).__name__})"
            raise _invalid([FieldProblem("params", message)]) from error

    def invoke(self, context: TaskContext, params: Any) -> Any:
        """Call the handler."""
        assert self.handler is not None
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


def _same(normalised: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether both are the same JSON: for Python 1, 1.0 and True are equal."""
    dumped = (orjson.dumps(dict(each), option=orjson.OPT_SORT_KEYS) for each in (normalised, given))
    return next(dumped) == next(dumped)


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
    return field_problem(error, _dotted(("params", *error["loc"])), _text(error))


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
