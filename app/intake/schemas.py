"""Guides that requests ask their answers to follow: whether they can be used at all."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
from jsonschema import validators

from app.errors import AutoglmError, BadRequest
from app.intake import grammars, references
from app.wire import guides

Fault = tuple[str, str | AutoglmError]
"""A code and the reason, with its remedy where there is one."""

_JUDGED = ("json_schema", "regex")
_UNHELD = "judged"  # a schema that the engine is not held to
_MAX_KNOWN = 10_000
_NO_FORMATS = jsonschema.FormatChecker(formats=())  # llguidance judges patterns, not Python's `re`
_known: OrderedDict[bytes, Fault | None] = OrderedDict()
_lock = threading.Lock()


def check(request: Mapping[str, Any], endpoint: str) -> None:
    """BadRequest for a request (as generation.extract makes it) whose guide cannot be used:
    `schema_invalid` for what is no JSON schema, or none that a grammar can be made of,
    `grammar_failed` for such a pattern, `grammar_timeout` if that takes too long. Of a schema that
    answers are only judged by no grammar is made. A text is judged once: the verdict is remembered."""
    held = request["sampling"].get("guided")
    guide = held or request.get("judged")
    if guide is None or guide["kind"] not in _JUDGED:
        return
    fault = _recall(guide["kind"] if held else _UNHELD, guide["text"])
    if fault is not None:
        code, reason = fault
        raise BadRequest(code, param=guides.name_schema(guide, endpoint), reason=reason)


def _recall(kind: str, text: str) -> Fault | None:
    content = text.encode(errors="surrogatepass")
    key = hashlib.blake2b(content, digest_size=16, person=kind.encode()).digest()
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    try:
        fault = _judge(kind, text)
    except grammars.Unjudged:
        return None
    with _lock:
        _known[key] = fault
        while len(_known) > _MAX_KNOWN:
            _known.popitem(last=False)
    return fault


# Every code that a guide can be refused with; docs/batches.md must have them.
CODES = frozenset({"schema_invalid", "grammar_failed", "grammar_timeout", "json_too_deep"})


def _judge(kind: str, text: str) -> Fault | None:
    code = "grammar_failed" if kind == "regex" else "schema_invalid"
    try:
        if kind == "regex":
            reason: str | AutoglmError = grammars.find_fault({"kind": kind, "text": text})
        else:
            reason = _judge_schema(text, is_held=kind != _UNHELD)
    except RecursionError:
        return "json_too_deep", ""
    except grammars.Overrun:
        return "grammar_timeout", ""
    return (code, reason) if reason else None


def _judge_schema(text: str, *, is_held: bool) -> str | AutoglmError:
    schema = json.loads(text)
    reason = _check_schema(schema)
    if reason:
        return reason
    if not is_held:
        return _find_flaw(schema) or _find_endless(schema)
    endless = _find_endless(schema)
    if endless:
        return endless
    reason = grammars.find_fault({"kind": "json_schema", "text": text})
    if not reason or _find_flaw(schema):
        return reason
    return AutoglmError("schema_ungrammatical", reason=reason)


def _find_flaw(schema: Any) -> str:
    """Why no answer could be judged by a schema either: a reference, or a pattern."""
    dangling = references.find_dangling(schema)
    return dangling or _judge_patterns(list(dict.fromkeys(_list_patterns(schema))))


def _judge_patterns(patterns: list[str]) -> str:
    try:
        text = json.dumps(patterns)
        return grammars.find_fault({"kind": "patterns", "text": text}) if patterns else ""
    except grammars.Overrun:
        return ""  # it counts as not matched, as the documents say


def _list_patterns(schema: Any) -> Iterator[str]:
    for part in references.iterate_used(schema):
        named = part.get("patternProperties")
        yield from named if isinstance(named, dict) else ()
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]


def _find_endless(schema: Any) -> str | AutoglmError:
    try:
        name = references.find_endless(schema)
    except ValueError:  # of a base that is no URL
        return ""
    return AutoglmError("schema_endless", name=name) if name else ""


def _check_schema(schema: Any) -> str:
    """What the metaschema that the schema names (else 2020-12) has against it, "" for nothing."""
    kind: Any = jsonschema.Draft202012Validator
    try:
        if isinstance(schema, dict) and isinstance(schema.get("$schema"), str):
            kind = validators.validator_for(schema, default=kind)
        kind.check_schema(schema, format_checker=_NO_FORMATS)
    except jsonschema.SchemaError as error:
        return f"{error.json_path}: {error.message}"[:300]
    except ValueError as error:  # no URL
        return f"$schema: {error}"[:300]
    return ""
