"""Whether an answer matches the JSON schema that its job asked for; nothing is fetched for that."""

import json
import logging
from typing import Any

import referencing
from jsonschema import exceptions

from app.errors import BadRequest
from app.wire import document
from app.wire.rows import Job
from app.workers import validation

_LONGEST_REASON = 300
_logger = logging.getLogger(__name__)


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
        fault = exceptions.best_match(validation.make(schema).iter_errors(value))
    except (referencing.exceptions.Unresolvable, RecursionError, TimeoutError) as error:
        return _refuse(error)
    except Exception as error:  # a reference can lead to what is no schema, and means anything
        _logger.warning("schema not applied", exc_info=True, extra={"action": "judge"})
        return _refuse(error)
    return None if fault is None else f"{fault.json_path}: {fault.message}"[:_LONGEST_REASON]


def _refuse(error: Exception) -> str:
    return f"the schema cannot be applied ({type(error).__name__})"
