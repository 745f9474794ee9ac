"""Guides that requests ask their answers to follow: whether they can be used at all."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import referencing
from jsonschema import validators
from referencing.jsonschema import DRAFT202012

from app.errors import AutoglmError, BadRequest
from app.intake import grammars
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
        return _find_dangling(schema)
    reason = grammars.find_fault({"kind": "json_schema", "text": text})
    if not reason or _find_dangling(schema):
        return reason
    return AutoglmError("schema_ungrammatical", reason=reason)


def _check_schema(schema: Any) -> str:
    """What the metaschema that the schema names (else 2020-12) has against it, "" for nothing."""
    kind: Any = jsonschema.Draft202012Validator
    if isinstance(schema, dict) and isinstance(schema.get("$schema"), str):
        kind = validators.validator_for(schema, default=kind)
    try:
        kind.check_schema(schema, format_checker=_NO_FORMATS)
    except jsonschema.SchemaError as error:
        return f"{error.json_path}: {error.message}"[:300]
    return ""


def _find_dangling(schema: Any) -> str:
    """A reference that leads out of the schema, to nothing or to what is no schema, or a base that
    is no URL; "" for none. No answer could be judged by it."""
    root = referencing.Resource.from_contents(schema, default_specification=DRAFT202012)
    uri = root.id() or ""
    whole: Any = referencing.Registry().with_resource(uri, root)
    try:
        resolver = whole.crawl().resolver(uri)  # once: each look at an anchor would crawl it all
        found = _iterate_references(resolver, root)
        return next((f"$ref: {name}"[:300] for name in found), "")
    except ValueError as error:
        return f"$id: {error}"[:300]


def _iterate_references(resolver: Any, resource: Any) -> Iterator[str]:
    """The references that cannot be followed."""
    contents = resource.contents if isinstance(resource.contents, dict) else {}
    named = (contents.get("$ref"), contents.get("$dynamicRef"))
    for name in (each for each in named if isinstance(each, str)):
        if not _leads_somewhere(resolver, name):
            yield name
    for inner in resource.subresources():
        yield from _iterate_references(resolver.in_subresource(inner), inner)


def _leads_somewhere(resolver: Any, name: str) -> bool:
    """Whether a reference can be followed to what may be a schema."""
    try:
        return isinstance(resolver.lookup(name).contents, dict | bool)
    except (referencing.exceptions.Unresolvable, ValueError, TypeError):
        return False  # of the latter two: no URL, a name inside a list, a step into a number
