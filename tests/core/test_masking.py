"""What is marked sensitive is hidden, wherever in a value it is."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter

from taskpush.core.masking import HIDDEN, Mask
from taskpush.models.sensitive import Sensitive


class Login(BaseModel):
    user: str
    password: Annotated[str, Sensitive]


class Node(BaseModel):
    name: str
    token: Annotated[str | None, Sensitive] = None
    inner: list[Node] = []


class Token(BaseModel):
    api_token: SecretStr


class Params(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    city: str = ""
    login: Login | None = None
    logins: list[Login] = []
    by_name: dict[str, Login] = {}
    pair: tuple[str, Login] | None = None
    either: Login | Token | str = ""
    node: Node | None = None
    pin: Annotated[int, Field(alias="thePin", json_schema_extra={"sensitive": True})] = 0
    blob: Annotated[dict[str, Any], Sensitive] = {}


MASK = Mask(TypeAdapter(Params).json_schema())
ANN = {"user": "ann", "password": "canary-1"}
SHOWN = {"user": "ann", "password": HIDDEN}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"city": "Ulm"}, {"city": "Ulm"}),
        ({"login": ANN}, {"login": SHOWN}),
        ({"login": None}, {"login": None}),
        ({"logins": [ANN, ANN]}, {"logins": [SHOWN, SHOWN]}),
        ({"by_name": {"x": ANN}}, {"by_name": {"x": SHOWN}}),
        ({"pair": ["a", ANN]}, {"pair": ["a", SHOWN]}),
        ({"thePin": 12345}, {"thePin": HIDDEN}),
        # By another of its names: what is not known may be what is marked.
        ({"pin": 12345}, {"pin": HIDDEN}),
        ({"blob": {"a": ["canary"]}}, {"blob": HIDDEN}),
        ({"either": {"api_token": "canary-2"}}, {"either": {"api_token": HIDDEN}}),
        (
            {"node": {"name": "a", "inner": [{"name": "b", "token": "canary-3", "inner": []}]}},
            {"node": {"name": "a", "inner": [{"name": "b", "token": HIDDEN, "inner": []}]}},
        ),
    ],
)
def test_what_is_marked_is_hidden_and_the_rest_is_shown(
    given: dict[str, Any], shown: dict[str, Any]
) -> None:
    Params.model_validate(given)
    assert MASK.apply(given) == shown


def test_where_alternatives_differ_what_any_of_them_hides_is_hidden() -> None:
    assert "canary" not in str(MASK.apply({"either": ANN}))


def test_a_schema_without_marks_hides_nothing() -> None:
    mask = Mask(TypeAdapter(dict[str, int]).json_schema())
    assert not mask.hides
    value = {"a": 1}
    assert mask.apply(value) is value
    assert mask.redact("a 1", value) == "a 1"


def test_marked_texts_are_taken_out_of_a_text() -> None:
    value = {"city": "Ulm", "login": ANN, "thePin": 98765, "blob": {"k": ["long canary", "ab"]}}
    text = "ann of Ulm with canary-1 and 98765: long canary, ab"
    assert MASK.redact(text, value) == "ann of Ulm with *** and ***: ***, ab"
