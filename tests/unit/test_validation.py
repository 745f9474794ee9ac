"""Validation in bounded time says what jsonschema says."""

import random
from typing import Any

import jsonschema
import pytest

from app.workers import validation

NAMES = ("a", "b", "ab")
PATTERNS = ("^a", "b$", "^ab$")
VALUES = (0, 1, True, "a", [1], {"a": 1})


def make_schema(dice: random.Random, depth: int = 3) -> Any:
    """Some keywords of those that decide what was evaluated, and a few that fail."""
    if depth == 0 or dice.random() < 0.1:
        return dice.choice([True, False, {}, {"type": "integer"}, {"const": 1}, {"minItems": 1}])

    def inner() -> Any:
        return make_schema(dice, depth - 1)

    makers = {
        "properties": lambda: {name: inner() for name in dice.sample(NAMES, 2)},
        "patternProperties": lambda: {dice.choice(PATTERNS): inner()},
        "additionalProperties": inner,
        "unevaluatedProperties": inner,
        "prefixItems": lambda: [inner()],
        "items": inner,
        "contains": inner,
        "unevaluatedItems": inner,
        "uniqueItems": lambda: True,
        "dependentSchemas": lambda: {dice.choice(NAMES): inner()},
        "allOf": lambda: [inner(), inner()],
        "anyOf": lambda: [inner(), inner()],
        "oneOf": lambda: [inner(), inner()],
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "$ref": lambda: dice.choice(["#/$defs/x", "#y"]),
    }
    return {name: makers[name]() for name in dice.sample(sorted(makers), dice.randint(1, 4))}


def make_whole(dice: random.Random) -> dict[str, Any]:
    shared = {"x": make_plain(dice), "y": {"$anchor": "y", **make_plain(dice)}}
    return {**make_plain(dice), "allOf": [make_schema(dice)], "$defs": shared}


def make_plain(dice: random.Random) -> dict[str, Any]:
    """No reference, so that none leads in a circle."""
    name = dice.choice(NAMES)
    plain: dict[str, Any] = {"properties": {name: True}, "patternProperties": {"b$": True}}
    plain |= {"prefixItems": [True], "if": {"required": ["a"]}, "then": {"properties": {"b": True}}}
    plain |= {"unevaluatedProperties": False, "unevaluatedItems": False}
    return {key: plain[key] for key in dice.sample(sorted(plain), 3)}


def make_value(dice: random.Random) -> Any:
    if dice.random() < 0.6:
        return {name: dice.choice(VALUES) for name in dice.sample(NAMES, dice.randint(0, 3))}
    return [dice.choice(VALUES) for _ in range(dice.randint(0, 3))]


@pytest.mark.parametrize("seed", range(200))
def test_it_agrees_with_jsonschema(seed: int) -> None:
    dice = random.Random(seed)
    schema = make_whole(dice)
    plain = jsonschema.Draft202012Validator(schema)

    for value in (make_value(dice) for _ in range(10)):
        assert validation.make(schema).is_valid(value) == plain.is_valid(value), (schema, value)


CHOICE = {
    "if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
    "then": {"properties": {"b": True}},
    "else": {"properties": {"a": True, "c": True}},
    "unevaluatedProperties": False,
}
NEEDING = {
    "dependentSchemas": {"a": {"properties": {"a": True, "b": True}}},
    "unevaluatedProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "value", "is_right"),
    [
        (CHOICE, {"a": 1, "b": 2}, True),
        (CHOICE, {"a": 1, "c": 2}, False),
        (CHOICE, {"a": 2, "c": 2}, True),
        (CHOICE, {"a": 2, "b": 2}, False),
        (NEEDING, {"a": 1, "b": 2}, True),
        (NEEDING, {"b": 2}, False),
        ({"patternProperties": {"^a": True}, "additionalProperties": False}, {"ab": 1}, True),
        ({"patternProperties": {"^a": True}, "additionalProperties": False}, {"b": 1}, False),
    ],
)
def test_what_was_evaluated_depends_on_the_answer(schema: Any, value: Any, is_right: bool) -> None:
    assert validation.make(schema).is_valid(value) == is_right


DRAFT = "https://json-schema.org/draft/2019-09/schema"
TREE = {
    "$recursiveAnchor": True,
    "properties": {"a": True, "b": {"$recursiveRef": "#"}},
    "unevaluatedProperties": False,
}
BRANCH = {"properties": {"a": True, "b": {"$recursiveRef": "#", "unevaluatedProperties": False}}}


@pytest.mark.parametrize(
    ("schema", "value", "is_right"),
    [
        ({"items": [True], "unevaluatedItems": False}, [1], True),
        ({"items": [True], "unevaluatedItems": False}, [1, 2], False),
        ({"items": [True], "additionalItems": True, "unevaluatedItems": False}, [1, 2], True),
        ({"items": True, "unevaluatedItems": False}, [1, 2], True),
        (TREE, {"a": 1, "b": {"b": {"a": 2}}}, True),
        (TREE, {"a": 1, "b": {"b": {"c": 2}}}, False),
        (BRANCH, {"b": {"a": 1}}, True),
        (BRANCH, {"b": {"c": 1}}, False),
        (
            {"allOf": [{"additionalProperties": True}], "unevaluatedProperties": False},
            {"a": 1},
            True,
        ),
    ],
)
def test_the_draft_before_has_its_own_keywords(schema: Any, value: Any, is_right: bool) -> None:
    assert validation.make({"$schema": DRAFT, **schema}).is_valid(value) == is_right
