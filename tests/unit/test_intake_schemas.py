"""Schemas that lines name: usable or not, without loading a model."""

import subprocess
import sys
from typing import Any

import pytest

from app.errors import BadRequest
from app.intake import schemas


def body(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "array", "items": {"type": "integer", "minimum": 3}},
        {"enum": ["a", 1, None]},
        {},
        True,
    ],
)
def test_a_usable_schema_passes(schema: Any) -> None:
    schemas.check(body(schema))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strin"}, "strin"),
        ({"type": "object", "properties": []}, "properties"),
        ({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}, "not"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ("text", "text"),
        (7, "7"),
    ],
)
def test_an_unusable_schema_is_refused_with_its_reason(schema: Any, reason: str) -> None:
    with pytest.raises(BadRequest, match="schema_invalid") as refused:
        schemas.check(body(schema))

    assert reason in refused.value.values["reason"]
    assert refused.value.param == "response_format.json_schema.schema"


@pytest.mark.parametrize(
    "wanted",
    [None, {"type": "text"}, {"type": "json_object"}, {"type": "json_schema"}, 7, "json_schema"],
)
def test_a_line_that_names_no_schema_is_not_its_business(wanted: Any) -> None:
    schemas.check({"response_format": wanted})


def test_a_schema_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"not": schema}

    with pytest.raises(BadRequest):
        schemas.check(body(schema))


def test_checking_schemas_loads_no_model_library() -> None:
    """The API process imports this."""
    script = "import sys, app.intake.schemas; print('torch' in sys.modules, 'transformers' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert shown.stdout.split() == ["False", "False"]
