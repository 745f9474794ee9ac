"""Which guide a body asks for: one of response_format and vLLM's guided_*, under one name."""

import json
from typing import Any

from app.errors import BadRequest
from app.wire import bodies, dials

_MAX_SCHEMA = 100_000  # characters of JSON

Guide = dict[str, str]
"""`kind` and `text` as in inference.engine.Guide."""


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
        "guided_json": _make("json_schema", body.guided_json),
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


def _make(kind: str, value: Any) -> Guide | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"kind": kind, "text": text}
