"""Whether an answer matches the JSON schema that its job asked for; nothing is fetched for that."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import jsonschema
import referencing
import regex  # type: ignore[import-untyped]  # with time limits, which `re` lacks; transformers brings it
from jsonschema import exceptions, validators

from app.errors import BadRequest
from app.wire import document
from app.wire.rows import Job

Check = Callable[..., Iterator[Any] | None]

_PATTERN_SECONDS = 0.2
_ANSWER_SECONDS = 1.0  # of CPU time
_LONGEST_REASON = 300


def find_guide(job: Job) -> dict[str, str] | None:
    """What a job's answer must look like, whether or not the engine is held to it."""
    found: dict[str, str] | None = job.request.get("sampling", {}).get("guided")
    return found or job.request.get("judged")


def find_schema(job: Job) -> Any:
    """The schema of a job's answer, None for free text. A streamed answer is out before it could
    be judged."""
    guide = find_guide(job)
    if not guide or job.request.get("stream"):
        return None
    if guide["kind"] == "json_object":
        return {"type": "object"}
    return json.loads(guide["text"]) if guide["kind"] == "json_schema" else None


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
    """References stay inside the schema, and an answer or pattern that takes too long is a
    TimeoutError: a few references can mean billions of checks."""
    kind = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    until = time.thread_time() + _ANSWER_SECONDS
    patient = {"pattern": _check_pattern, "patternProperties": _check_properties}
    bounded = {name: _bound(check, until) for name, check in {**kind.VALIDATORS, **patient}.items()}
    made: Any = validators.extend(kind, bounded)  # type: ignore[no-untyped-call]
    made.evolve = _evolve
    return made(schema, registry=referencing.Registry())


def _evolve(validator: Any, **changes: Any) -> Any:
    """The validator of a part of the schema. Also where that part names a metaschema of its own,
    which would have a validator without our bounds."""
    fields = (field for field in attrs.fields(type(validator)) if field.init)
    kept = {field.alias: getattr(validator, field.name) for field in fields}
    return type(validator)(**(kept | changes))


def _bound(check: Check, until: float) -> Check:
    """The check of a keyword, as long as there is time."""

    def run(*given: Any) -> Iterator[Any] | None:
        if time.thread_time() > until:
            raise TimeoutError
        return check(*given)

    return run


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
