"""Values become plain JSON and texts tell what they can, whatever a handler gives."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import orjson
import pytest
from typing_extensions import override

from taskpush.runner.sendable import plain, reason, travelling


class Level(IntEnum):
    HIGH = 3


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (np.str_("text"), "text"),
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        ({"a": (np.int8(1), [np.float64(2)])}, {"a": [1, [2.0]]}),
    ],
)
def test_scalars_are_taken_as_the_plain_values_they_stand_for(value: Any, expected: Any) -> None:
    taken = plain(value)
    assert taken == expected
    assert orjson.dumps(taken) == orjson.dumps(expected)


@pytest.mark.parametrize("value", [np.array([1, 2]), np.longdouble(1), object(), {1, 2}])
def test_what_stands_for_no_plain_value_is_given_back(value: Any) -> None:
    assert plain(value) is value


def test_a_structure_that_holds_itself_is_left_out() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    kept, problems = travelling({"endless": endless, "fine": 1}, "fields")
    assert kept == {"fine": 1}
    assert "nested more than" in problems[0]


class _Explained(KeyError):
    """Says more than its key."""

    @override
    def __str__(self) -> str:
        return "no such oven"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("to"), "KeyError: 'to'"),
        (_Explained("to"), "no such oven"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError(), "ValueError"),
        (ValueError(" "), "ValueError"),
        (ValueError("boom"), "boom"),
        (IndexError("list index out of range"), "list index out of range"),
    ],
)
def test_an_exception_is_named_where_its_text_says_nothing(error: BaseException, said: str) -> None:
    assert reason(error) == said
