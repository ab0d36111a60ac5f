"""Strict JSON: every reader of the wire understands the same, or it is refused at the edge."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.errors import InvalidJson
from taskpush.models.values import MAX_SAFE_INTEGER, encoded, parse_json, value_problems

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(json_values)
def test_what_json_can_say_is_read_as_it_was(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        '{"a": Infinity}',
        "-Infinity",
        "9007199254740992",
        "9223372036854775808",
        "1" * 5000,
        '"\\ud800"',
        '{"\\udfff": 1}',
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        "[" * 101 + "]" * 101,
        '{"a":' * 50_000,
        "",
        "{",
        "1 2",
        b"\xff\xfe",
        b'"\x80"',
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_cannot_travel_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidJson):
        parse_json(text)


def test_a_problem_says_where_it_is() -> None:
    value = {"metrics": {"max_temp": float("nan")}, "tags": ["ok", object(), 2**60]}
    assert list(value_problems(value)) == [
        "$.metrics.max_temp: nan cannot travel as a JSON number",
        "$.tags[1]: a object is not a JSON value",
        "$.tags[2]: 1152921504606846976 cannot travel as a JSON number",
    ]


@given(json_values)
def test_what_is_encoded_is_read_as_it_was(value: object) -> None:
    assert parse_json(encoded(value)) == value


@pytest.mark.parametrize("length", [0, 300, 1500, 30_000])
def test_what_is_encoded_takes_no_more_memory_than_it_is_long(length: int) -> None:
    value = {"text": "x" * length}
    tracemalloc.start()
    try:
        kept = [encoded(value) for _ in range(100)]
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken < sum(len(body) + 64 for body in kept) + 2000


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_it_is_said_where_a_number_stands_that_json_does_not_have(constant: str) -> None:
    with pytest.raises(InvalidJson, match=r"\$\.events\[1\]\.max_temp: -?(nan|inf) cannot travel"):
        parse_json(f'{{"events": [{{}}, {{"max_temp": {constant}}}]}}')
