"""Guides that requests ask their answers to follow: whether they can be used at all."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jsonschema
from jsonschema import validators

from app.errors import BadRequest
from app.intake import grammars
from app.wire import responses

Fault = tuple[str, str]
"""A code and the reason."""

_JUDGED = ("json_schema", "regex")
_MAX_KNOWN = 10_000
_NO_FORMATS = jsonschema.FormatChecker(formats=())  # llguidance judges patterns, not Python's `re`
_known: OrderedDict[bytes, Fault | None] = OrderedDict()
_lock = threading.Lock()


def check(request: Mapping[str, Any], endpoint: str, body: Mapping[str, Any]) -> None:
    """BadRequest for a request (as generation.extract makes it) whose guide cannot be used:
    `schema_invalid` for what is no JSON schema, or none that a grammar can be made of,
    `grammar_failed` for such a pattern, `grammar_timeout` if that takes too long. `body` is the
    client's, for the name of the parameter. A text is judged once: the verdict is remembered."""
    guide = request["sampling"].get("guided")
    if guide is None or guide["kind"] not in _JUDGED:
        return
    fault = _recall(guide)
    if fault is not None:
        code, reason = fault
        raise BadRequest(code, param=_name(guide, endpoint, body), reason=reason)


def _name(guide: Mapping[str, str], endpoint: str, body: Mapping[str, Any]) -> str:
    if guide["kind"] == "regex":
        return "guided_regex"
    if endpoint == responses.ENDPOINT:
        return "text.format.schema"
    named = body.get("guided_json") is not None
    return "guided_json" if named else "response_format.json_schema.schema"


def _recall(guide: Mapping[str, str]) -> Fault | None:
    text = guide["text"].encode(errors="surrogatepass")
    key = hashlib.blake2b(text, digest_size=16, person=guide["kind"].encode()).digest()
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    try:
        fault = _judge(guide)
    except grammars.Unjudged:
        return None
    with _lock:
        _known[key] = fault
        while len(_known) > _MAX_KNOWN:
            _known.popitem(last=False)
    return fault


# Every code that a guide can be refused with; docs/batches.md must have them.
CODES = frozenset({"schema_invalid", "grammar_failed", "grammar_timeout", "json_too_deep"})


def _judge(guide: Mapping[str, str]) -> Fault | None:
    code = "grammar_failed" if guide["kind"] == "regex" else "schema_invalid"
    try:
        reason = _check_schema(guide["text"]) if code == "schema_invalid" else ""
        reason = reason or grammars.find_fault(guide)
    except RecursionError:
        return "json_too_deep", ""
    except grammars.Overrun:
        return "grammar_timeout", ""
    return (code, reason) if reason else None


def _check_schema(text: str) -> str:
    """What the metaschema that the schema names (else 2020-12) has against it, "" for nothing."""
    schema = json.loads(text)
    kind: Any = jsonschema.Draft202012Validator
    if isinstance(schema, dict) and isinstance(schema.get("$schema"), str):
        kind = validators.validator_for(schema, default=kind)
    try:
        kind.check_schema(schema, format_checker=_NO_FORMATS)
    except jsonschema.SchemaError as error:
        return f"{error.json_path}: {error.message}"[:300]
    return ""
