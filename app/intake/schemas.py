"""JSON schemas that lines ask their answers to follow: whether they can be used at all."""

from collections.abc import Mapping
from typing import Any

import jsonschema
import orjson
from llguidance import LLMatcher

from app.errors import BadRequest

_PARAM = "response_format.json_schema.schema"


def check(body: Mapping[str, Any]) -> None:
    """BadRequest("schema_invalid") for a `response_format` whose schema is no JSON schema, or none
    that a grammar can be made of (llguidance, https://github.com/guidance-ai/llguidance)."""
    schema = _find(body)
    if schema is None:
        return
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        reason = f"{error.json_path}: {error.message}"[:300]
        raise BadRequest("schema_invalid", param=_PARAM, reason=reason) from error
    except RecursionError as error:
        raise BadRequest("json_too_deep", param=_PARAM) from error
    fault = LLMatcher.validate_grammar(
        LLMatcher.grammar_from_json_schema(orjson.dumps(schema).decode())
    )
    if fault:
        raise BadRequest("schema_invalid", param=_PARAM, reason=fault.strip()[:300])


def _find(body: Mapping[str, Any]) -> Any:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    named = wanted.get("json_schema")
    return named.get("schema") if isinstance(named, dict) else None
