"""Whether an answer matches the JSON schema that its job asked for; nothing is fetched for that."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import referencing
import regex  # type: ignore[import-untyped]  # with time limits, which `re` lacks; transformers brings it
from jsonschema import exceptions, validators

from app.errors import BadRequest
from app.wire import document
from app.wire.rows import Job

_PATTERN_SECONDS = 0.2
_LONGEST_REASON = 300


def find_schema(job: Job) -> Any:
    """The schema of a job's answer, None for free text. A streamed answer is out before it could
    be judged."""
    guided = job.request.get("sampling", {}).get("guided")
    if not guided or job.request.get("stream"):
        return None
    if guided["kind"] == "json_object":
        return {"type": "object"}
    return json.loads(guided["text"]) if guided["kind"] == "json_schema" else None


def find_fault(schema: Any, text: str) -> str | None:
    """What is wrong with this answer, None if nothing is."""
    try:
        value = document.loads(text.encode())
    except (BadRequest, UnicodeEncodeError):
        return "not valid JSON"
    try:
        fault = exceptions.best_match(_make_validator(schema).iter_errors(value))
    except (referencing.exceptions.Unresolvable, RecursionError, TimeoutError) as error:
        return f"the schema cannot be applied ({type(error).__name__})"
    return None if fault is None else f"{fault.json_path}: {fault.message}"[:_LONGEST_REASON]


def _make_validator(schema: Any) -> Any:
    """References stay inside the schema, and a pattern that takes too long is a TimeoutError."""
    kind = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    bounded = validators.extend(  # type: ignore[no-untyped-call]
        kind, {"pattern": _check_pattern, "patternProperties": _check_properties}
    )
    return bounded(schema, registry=referencing.Registry())


def _search(pattern: str, text: str) -> bool:
    try:
        return regex.search(pattern, text, timeout=_PATTERN_SECONDS) is not None
    except regex.error as error:
        raise TimeoutError from error  # a pattern nobody can apply


def _check_pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _search(pattern, instance):
        yield exceptions.ValidationError(f"{instance[:60]!r} does not match {pattern[:60]!r}")


def _check_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for name, value in instance.items():
            if _search(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)
