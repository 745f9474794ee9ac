"""Which guide a body asks for: one of response_format and vLLM's guided_*, under one name."""

import json
from collections.abc import Mapping
from typing import Any

from app.errors import BadRequest
from app.wire import bodies, dials, responses

_MAX_SCHEMA = 100_000  # characters of JSON
_JSON = ("json_schema", "json_object")
_NAMES = {"regex": "guided_regex", "choice": "guided_choice"}
_SCHEMAS = {
    "response_format": "response_format.json_schema.schema",
    "text.format": "text.format.schema",
}

Guide = dict[str, str]
"""`kind` and `text` as in inference.engine.Guide, and `named` where a schema came as guided_json."""


def split(body: bodies.Sampling) -> tuple[Guide | None, Guide | None]:
    """The guide that the engine is held to, and the one that the whole answer is only judged by
    (`guided_decoding` false). BadRequest as `read` raises it, and `unguided_unjudged` for a guide
    of the second kind that nothing judges."""
    guide = read(body)
    if guide is None or body.guided_decoding is not False:
        return guide, None
    if guide["kind"] not in _JSON:
        raise BadRequest("unguided_unjudged", param="guided_decoding")
    return None, guide


def name(guide: Mapping[str, str], endpoint: str) -> str:
    """What the client called this guide."""
    plain = "text.format" if endpoint == responses.ENDPOINT else "response_format"
    return guide.get("named") or _NAMES.get(guide["kind"], plain)


def name_schema(guide: Mapping[str, str], endpoint: str) -> str:
    """The same of the schema or pattern itself."""
    found = name(guide, endpoint)
    return _SCHEMAS.get(found, found)


def read(body: bodies.Sampling) -> Guide | None:
    """The guide, None for free text. BadRequest: `guides_conflict` for several, `too_long`,
    `missing_required_parameter`."""
    found = {name: guide for name, guide in _list_guides(body).items() if guide}
    if len(found) > 1:
        raise BadRequest("guides_conflict", param=sorted(found)[-1], names=", ".join(sorted(found)))
    for name, guide in found.items():
        if len(guide["text"]) > _MAX_SCHEMA:
            raise BadRequest("too_long", param=name, limit=_MAX_SCHEMA)
    return next(iter(found.values()), None)


def _list_guides(body: bodies.Sampling) -> dict[str, Guide | None]:
    return {
        "response_format": _read_format(body.response_format),
        "guided_json": _make("json_schema", body.guided_json, named="guided_json"),
        "guided_regex": _make("regex", body.guided_regex),
        "guided_choice": _make("choice", body.guided_choice),
    }


def _read_format(wanted: dials.ResponseFormat | None) -> Guide | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"kind": "json_object", "text": ""}
    if wanted.json_schema is None:
        raise BadRequest("missing_required_parameter", param="response_format.json_schema")
    return _make("json_schema", wanted.json_schema.content)


def _make(kind: str, value: Any, **named: str) -> Guide | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"kind": kind, "text": text, **named}
