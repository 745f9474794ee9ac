"""Schemas that lines name: usable or not, without loading a model."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import referencing

from app import locales
from app.errors import BadRequest
from app.intake import grammars, references, schemas

CHAT = "/v1/chat/completions"
ENDLESS = {"allOf": [{"type": "string", "pattern": f"^.*a.{{{n}}}b.*$"} for n in range(40)]}


@pytest.fixture(autouse=True)
def _nothing_is_known() -> None:
    schemas._known.clear()


def guide(schema: Any, kind: str = "json_schema") -> dict[str, Any]:
    text = schema if kind == "regex" else json.dumps(schema)
    return {"sampling": {"guided": {"kind": kind, "text": text}}}


def judged(schema: Any) -> dict[str, Any]:
    """The same of a request whose answer is only checked."""
    return {"sampling": {}, "judged": {"kind": "json_schema", "text": json.dumps(schema)}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "array", "items": {"type": "integer", "minimum": 3}},
        {"enum": ["a", 1, None]},
        {},
        True,
        {"type": "string", "pattern": "^\\p{L}+$"},  # the pattern is no Python's
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "type": "number",
            "minimum": 1,
            "exclusiveMinimum": True,
        },
    ],
)
def test_a_usable_schema_passes(schema: Any) -> None:
    schemas.check(guide(schema), CHAT)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strin"}, "strin"),
        ({"type": "object", "properties": []}, "properties"),
        ({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}, "not"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$schema": "http://["}, "URL"),
        ("text", "text"),
        (7, "7"),
    ],
)
def test_an_unusable_schema_is_refused_with_its_reason(schema: Any, reason: str) -> None:
    with pytest.raises(BadRequest, match="schema_invalid") as refused:
        schemas.check(guide(schema), CHAT)

    assert reason in locales.explain(refused.value)
    assert refused.value.param == "response_format.json_schema.schema"


@pytest.mark.parametrize("sampling", [{}, {"guided": {"kind": "json_object", "text": ""}}])
def test_a_request_that_names_no_schema_is_not_its_business(sampling: dict[str, Any]) -> None:
    schemas.check({"sampling": sampling}, CHAT)


@pytest.mark.parametrize(
    ("endpoint", "named", "kind", "param"),
    [
        (CHAT, {}, "json_schema", "response_format.json_schema.schema"),
        ("/v1/responses", {}, "json_schema", "text.format.schema"),
        (CHAT, {"named": "guided_json"}, "json_schema", "guided_json"),
        (CHAT, {}, "regex", "guided_regex"),
    ],
)
def test_the_parameter_is_named_as_the_client_named_it(
    endpoint: str, named: dict[str, str], kind: str, param: str
) -> None:
    request = guide("(", kind)
    request["sampling"]["guided"] |= named

    with pytest.raises(BadRequest) as refused:
        schemas.check(request, endpoint)

    assert refused.value.param == param
    assert refused.value.code == ("grammar_failed" if kind == "regex" else "schema_invalid")


NOT = {"not": {"type": "string"}}  # llguidance knows no `not`


@pytest.mark.parametrize("locale", ["en-US", "zh-CN", "ja-JP"])
def test_a_schema_without_a_grammar_is_refused_with_what_helps(locale: str) -> None:
    with pytest.raises(BadRequest, match="schema_invalid") as refused:
        schemas.check(guide(NOT), CHAT)
    assert '"guided_decoding": false' in locales.explain(refused.value, locale)
    for hopeless in ({"type": "strin"}, {"$ref": "#/nowhere"}):
        with pytest.raises(BadRequest, match="schema_invalid") as refused:
            schemas.check(guide(hopeless), CHAT)
        assert "guided_decoding" not in locales.explain(refused.value, locale)


TREE = {
    "$defs": {"leaf": {"not": {"type": "object"}}},
    "anyOf": [{"$ref": "#/$defs/leaf"}, {"type": "object", "additionalProperties": {"$ref": "#"}}],
}


@pytest.mark.parametrize("schema", [NOT, TREE, {"dependentSchemas": {"a": {"required": ["b"]}}}])
def test_a_schema_that_is_only_judged_needs_no_grammar(schema: Any) -> None:
    with pytest.raises(BadRequest, match="schema_invalid"):
        schemas.check(guide(schema), CHAT)
    schemas.check(judged(schema), CHAT)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"$ref": "#/nowhere"},
        {"items": {"not": {"$ref": "http://127.0.0.1:1/schema.json"}}},
        {"$ref": "#/required/name", "required": ["name"]},
        {"$ref": "#/required/0", "required": ["name"]},
        {"$ref": "#/minimum/x", "minimum": 3},
        {"$ref": "#/title/x", "title": "x"},
        {"$ref": "http://[#a"},
        {"$id": "http://["},
        {"$schema": "http://["},
        {"$id": "http://x/y", "properties": {"a": {"$id": "http://["}}},
    ],
)
def test_a_schema_that_is_only_judged_must_be_one_and_whole(schema: Any) -> None:
    with pytest.raises(BadRequest, match="schema_invalid") as refused:
        schemas.check(judged(schema), "/v1/responses")

    assert refused.value.param == "text.format.schema"


@pytest.mark.parametrize("base", ["", "http://x/y", "a.json"])
@pytest.mark.parametrize("name", ["#a", "b.json", "#/$defs/a", "#"])
def test_a_schema_may_refer_to_itself(base: str, name: str) -> None:
    defined = {"a": {"$anchor": "a", "not": {"type": "array"}}, "b": {"$id": "b.json"}}
    schema = {"$defs": defined, "items": {"$ref": name}} | ({"$id": base} if base else {})

    schemas.check(judged(schema), CHAT)


ENDLESS_REFERENCES = [
    {"$ref": "#"},
    {"allOf": [{"$ref": "#"}]},
    {"oneOf": [{"type": "string"}, {"$ref": "#"}]},
    {"anyOf": [{"$ref": "#"}]},
    {"not": {"$ref": "#"}},
    {"$dynamicAnchor": "a", "$dynamicRef": "#a"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    {"$ref": "#a", "$defs": {"a": {"$anchor": "a", "$ref": "#a"}}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#"}}},
    {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
    {"$ref": "#/x", "x": {"$ref": "#/x"}},
    {"$id": "http://x/y", "properties": {"a": {"$id": "b", "$ref": "b"}}},
]


@pytest.mark.parametrize("schema", ENDLESS_REFERENCES)
@pytest.mark.parametrize("is_held", [True, False])
def test_references_that_lead_back_to_themselves_are_refused(schema: Any, is_held: bool) -> None:
    """The engine takes their grammar, and stumbles over it at a token."""
    with pytest.raises(BadRequest, match="schema_invalid") as refused:
        schemas.check(guide(schema) if is_held else judged(schema), CHAT)

    for locale in ("en-US", "zh-CN", "ja-JP"):
        assert "$ref" in locales.explain(refused.value, locale)
        assert "guided_decoding" not in locales.explain(refused.value, locale)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        {"type": "array", "items": {"$ref": "#"}},
        {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"items": {"$ref": "#"}}}},
        {"type": "null", "$defs": {"unused": {"$ref": "#/$defs/unused"}}},
        {
            "$ref": "#/$defs/a",
            "$defs": {
                "a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}}},
                "b": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}},
            },
        },
        {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"minimum": 1}}},
    ],
)
@pytest.mark.parametrize("is_held", [True, False])
def test_schemas_that_refer_to_themselves_for_parts_of_an_answer_are_fine(
    schema: Any, is_held: bool
) -> None:
    schemas.check(guide(schema) if is_held else judged(schema), CHAT)


@pytest.mark.parametrize("is_held", [True, False])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "("},
        {"type": "object", "patternProperties": {"[z-a]": {"type": "string"}}},
        {"properties": {"pattern": {"pattern": "^a$"}, "b": {"items": {"pattern": "x{2,1}"}}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"pattern": "*a"}}},
    ],
)
def test_a_pattern_that_nobody_understands_is_refused(schema: Any, is_held: bool) -> None:
    """It would never be applied, and no answer could fit."""
    with pytest.raises(BadRequest, match="schema_invalid") as refused:
        schemas.check(guide(schema) if is_held else judged(schema), CHAT)

    assert "guided_decoding" not in locales.explain(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "(?<=a)b(?!c)"},  # no grammar knows it
        {"type": "string", "pattern": "\\u{1F600}"},  # only a grammar knows it
        {"type": "string", "pattern": "^\\p{L}+$"},
        {"type": "string", "pattern": "((((a?){99}){99}){99}){99}"},  # too large to be applied
        {"properties": {"pattern": {"type": "string"}}},
        {"enum": [{"pattern": "("}]},
        {"$ref": "#/x", "x": {"pattern": 7, "patternProperties": 7, "allOf": 7, "properties": 7}},
        {"type": "string", "$defs": {"unused": {"pattern": "("}}},
    ],
)
def test_a_pattern_that_somebody_understands_is_fine(schema: Any) -> None:
    schemas.check(judged(schema), CHAT)


def test_a_schema_is_read_once_however_many_references_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else 100 kB of them would take minutes, in the process that answers everybody."""
    read: list[Any] = []
    crawl = referencing.Registry.crawl

    def crawl_counted(whole: Any) -> Any:
        read.append(whole)
        return crawl(whole)

    monkeypatch.setattr(referencing.Registry, "crawl", crawl_counted)
    defined = {"a": {"$anchor": "a"}, "b": {"$id": "http://x/b"}}

    found = references.find_dangling(
        {"$defs": defined, "allOf": [{"$ref": "#a"}, {"$ref": "http://x/b"}] * 100}
    )

    assert (found, len(read)) == ("", 1)


def test_a_schema_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(400):
        schema = {"not": schema}

    with pytest.raises(BadRequest):
        schemas.check(guide(schema), CHAT)


def test_a_schema_is_judged_once_however_many_lines_name_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def find_fault(each: Any) -> str:
        asked.append(each)
        return "no"

    monkeypatch.setattr(grammars, "find_fault", find_fault)

    for _ in range(1000):
        with pytest.raises(BadRequest, match="schema_invalid"):
            schemas.check(guide({}), CHAT)

    assert len(asked) == 1


def test_a_schema_that_takes_too_long_is_refused_and_holds_nobody_up() -> None:
    started = time.monotonic()
    with pytest.raises(BadRequest, match="grammar_timeout"):
        schemas.check(guide(ENDLESS), CHAT)
    took = time.monotonic() - started

    schemas.check(guide({"type": "array"}), CHAT)

    assert took >= grammars.LIMIT_SECONDS


TERM, KILL = signal.SIGTERM, signal.SIGKILL


@pytest.mark.parametrize("signals", [[TERM, TERM], [TERM, KILL], [KILL, TERM]])
def test_children_that_somebody_ends_are_no_verdict(
    signals: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `kill` and a container that stops do."""
    with children_that_end(monkeypatch, signals):
        schemas.check(guide({"$ref": "#/nowhere"}), CHAT)

    with pytest.raises(BadRequest, match="schema_invalid"):
        schemas.check(guide({"$ref": "#/nowhere"}), CHAT)


def test_a_guide_whose_children_are_killed_twice_takes_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the system does where there is less memory than a child may have."""
    with children_that_end(monkeypatch, [KILL, KILL]), pytest.raises(BadRequest):
        schemas.check(guide({"type": "array"}), CHAT)

    with pytest.raises(BadRequest, match="grammar_timeout"):
        schemas.check(guide({"type": "array"}), CHAT)


@contextlib.contextmanager
def children_that_end(
    monkeypatch: pytest.MonkeyPatch, signals: list[signal.Signals]
) -> Iterator[None]:
    """Each child ends by its signal before it can answer; none is left, nor started in vain."""
    grammars._judge.stop()
    start, left = grammars._Judge._start, iter(signals)

    def start_ending(judge: Any) -> Any:
        child = start(judge)
        child.send_signal(next(left))
        return child

    with monkeypatch.context() as patch:
        patch.setattr(grammars._Judge, "_start", start_ending)
        yield
    assert next(left, None) is None


def test_a_guide_that_never_had_its_turn_is_left_to_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grammars, "_WAIT_SECONDS", 0.01)
    with grammars._judge._lock:
        schemas.check(guide({"$ref": "#/nowhere"}), CHAT)

    with pytest.raises(BadRequest, match="schema_invalid"):
        schemas.check(guide({"$ref": "#/nowhere"}), CHAT)


def test_a_guide_that_nobody_can_send_leaves_the_turn_to_others() -> None:
    with pytest.raises(TypeError):
        schemas.check(guide("\ud800", "regex"), CHAT)

    assert not grammars._judge._lock.locked()


def test_checking_schemas_loads_no_model_library() -> None:
    """The API process imports this."""
    script = "import sys, app.intake.schemas; print('torch' in sys.modules, 'transformers' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert shown.stdout.split() == ["False", "False"]
