"""Answers against JSON schemas: what fits, what does not, and what must not cost anything."""

import json
import time
from typing import Any

import pytest

from app.workers import schemas
from tests.unit.test_tray import make_job

NAMED = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
DRAFT = "https://json-schema.org/draft/2020-12/schema"
STEPS = [{"$schema": DRAFT, "allOf": [{"$ref": f"#/$defs/{n}"}] * 2} for n in range(1, 40)]
DOUBLING = {
    "$defs": {str(n): each for n, each in enumerate([*STEPS, {"type": "integer"}])},
    "$ref": "#/$defs/0",
}
"""A schema that asks 2 ** 39 times whether the answer is a number."""
FORKS = [
    {"$ref": f"#/$defs/{n}", "if": True, "then": {"$ref": f"#/$defs/{n}"}} for n in range(1, 40)
]
BRANCHING = {"$defs": {str(n): each for n, each in enumerate([*FORKS, {}])}, "$ref": "#/$defs/0"}
"""The same for whoever finds out what was evaluated."""
RUNAWAY = "^(a|a)*$"
NAMELESS = json.dumps({"a" * 200 + "b": 1})
LETTERS = {
    "patternProperties": {"^\\p{L}+$": {}},
    "additionalProperties": False,
}  # no `re` knows it


@pytest.mark.parametrize(
    ("schema", "text", "is_right"),
    [
        (NAMED, '{"name": "Ada"}', True),
        (NAMED, ' {"name": "Ada"}\n', True),
        (NAMED, '{"name": 7}', False),
        (NAMED, "{}", False),
        (NAMED, '{"name": "Ada", "age": 3}', False),
        (NAMED, 'Sure: {"name": "Ada"}', False),
        (NAMED, '{"name": "Ad', False),
        (NAMED, '{"name": NaN}', False),
        ({"pattern": "^a+$"}, '"aaa"', True),
        ({"pattern": "^a+$"}, '"aab"', False),
        ({"patternProperties": {"^n_": {"type": "number"}}}, '{"n_x": 1, "y": "z"}', True),
        ({"patternProperties": {"^n_": {"type": "number"}}}, '{"n_x": "1"}', False),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "3", True),
        ({"type": "object"}, "[]", False),
        (True, "1", True),
        (False, "1", False),
        (LETTERS, '{"é": 1}', True),
        (LETTERS, '{"é1": 1}', False),
        (
            {"unevaluatedProperties": False, "$ref": "#/$defs/l", "$defs": {"l": LETTERS}},
            '{"é": 1}',
            True,
        ),
        ({"uniqueItems": True}, '[1, true, [1], [true], {"a": 1}, {"a": true}]', True),
        ({"uniqueItems": True}, '[{"a": [1]}, 2, {"a": [1.0]}]', False),
    ],
)
def test_an_answer_is_judged_by_its_schema(schema: Any, text: str, is_right: bool):
    assert (schemas.find_fault(schema, text) is None) == is_right


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"pattern": "^(a|a)*$"}, f'"{"a" * 200}b"'),
        ({"pattern": "("}, '"x"'),
        ({"$ref": "http://127.0.0.1:1/schema.json"}, "1"),
        ({"$ref": "#"}, "1"),
        (DOUBLING, "1"),
        ({"additionalProperties": False, "patternProperties": {RUNAWAY: {}}}, NAMELESS),
        ({"unevaluatedProperties": False, "patternProperties": {RUNAWAY: {}}}, NAMELESS),
        (
            {
                "unevaluatedProperties": False,
                "$ref": "#/$defs/n",
                "$defs": {"n": {"patternProperties": {RUNAWAY: {}}}},
            },
            NAMELESS,
        ),
        ({"unevaluatedProperties": False} | BRANCHING, '{"a": 1}'),
        ({"unevaluatedItems": False} | BRANCHING, "[1]"),
        ({"$ref": "#/required/name", "required": ["name"]}, "1"),
        ({"$ref": "#/minimum/x", "minimum": 3}, "1"),
        ({"$ref": "http://[#a"}, "1"),
        ({"$ref": "#/const", "const": {"type": "strin"}}, "1"),
        ({"$ref": "#/const", "const": {"properties": 7}}, "{}"),
        ({"$ref": "#/const", "const": ["a"]}, "1"),
    ],
)
def test_a_schema_that_cannot_be_applied_is_a_fault_and_no_delay(schema: Any, text: str):
    began = time.thread_time()

    assert schemas.find_fault(schema, text)
    assert time.thread_time() - began < 30


@pytest.mark.parametrize(
    ("request_", "schema"),
    [
        ({}, None),
        ({"sampling": {"guided": {"kind": "regex", "text": "a"}}}, None),
        ({"sampling": {"guided": {"kind": "json_schema", "text": '{"a": 1}'}}}, {"a": 1}),
        ({"sampling": {"guided": {"kind": "json_object", "text": ""}}}, {"type": "object"}),
        ({"sampling": {}, "judged": {"kind": "json_schema", "text": '{"a": 1}'}}, {"a": 1}),
        ({"sampling": {}, "judged": {"kind": "json_object", "text": ""}}, {"type": "object"}),
        ({"stream": True, "sampling": {"guided": {"kind": "json_object", "text": ""}}}, None),
    ],
)
def test_only_json_answers_that_are_not_streamed_are_judged(request_: Any, schema: Any):
    assert schemas.find_schema(make_job(1, request=request_)) == schema
