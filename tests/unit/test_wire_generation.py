"""Generation bodies: what becomes a job's request, and what is refused with which code."""

import json
from dataclasses import fields
from typing import Any

import orjson
import pytest
from openai.types import completion_create_params as text_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params as response_params
from pydantic import ValidationError

from app.errors import BadRequest
from app.inference.engine import Sampling
from app.settings import Limits
from app.wire import bodies, flaws, generation

CHAT, TEXT, NATIVE = "/v1/chat/completions", "/v1/completions", "/v1/jobs"
RESPONSES = "/v1/responses"


def parse(body: Any, endpoint: str = NATIVE) -> dict[str, Any]:
    return generation.parse(body, endpoint=endpoint, limits=Limits(max_tokens=100))


def refuse(body: Any, endpoint: str = NATIVE) -> tuple[str, str | None]:
    with pytest.raises(BadRequest) as caught:
        parse(body, endpoint)
    return caught.value.code, caught.value.param


def test_only_what_the_client_set_becomes_sampling() -> None:
    found = parse({"model": "m", "prompt": "hi", "temperature": 0, "stop": "x", "seed": None})

    assert found == {"prompt": "hi", "sampling": {"temperature": 0, "stop": ["x"]}}


def test_every_sampling_name_is_one_that_the_engine_knows() -> None:
    everything = {
        "temperature": 1,
        "top_p": 0.5,
        "top_k": 3,
        "seed": -1,
        "max_completion_tokens": 5,
        "stop": ["a", "b"],
        "ignore_eos": True,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": -2,
        "frequency_penalty": 2,
        "logit_bias": {"50": -100, "7": 1.5},
        "logprobs": True,
        "top_logprobs": 20,
        "n": 128,
        "guided_choice": ["yes", "no"],
    }

    found = parse({"model": "m", "prompt": "hi", **everything})["sampling"]

    assert set(found) == {field.name for field in fields(Sampling)}
    assert found["max_tokens"] == 5
    assert found["logit_bias"] == [[7, 1.5], [50, -100]]
    assert found["logprobs"] == 20
    assert found["guided"] == {"kind": "choice", "text": '["yes", "no"]'}


def nest(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


VAST = {"minimum": -(2**63) - 1}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NAMED = {"name": "n", "schema": SCHEMA, "strict": True}
GIVEN = {"kind": "json_schema", "text": json.dumps(SCHEMA)}


@pytest.mark.parametrize(
    ("changes", "guide"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": None, "guided_json": None}, None),
        ({"response_format": {"type": "json_object"}}, {"kind": "json_object", "text": ""}),
        (
            {"response_format": {"type": "json_schema", "json_schema": NAMED}},
            {"kind": "json_schema", "text": json.dumps(SCHEMA)},
        ),
        ({"guided_json": SCHEMA}, GIVEN | {"named": "guided_json"}),
        ({"guided_json": json.dumps(SCHEMA)}, GIVEN | {"named": "guided_json"}),
        ({"guided_regex": "[0-9]+"}, {"kind": "regex", "text": "[0-9]+"}),
        ({"guided_choice": ["是", "b"]}, {"kind": "choice", "text": '["是", "b"]'}),
    ],
)
@pytest.mark.parametrize("endpoint", [CHAT, TEXT, NATIVE])
def test_every_way_to_ask_for_a_guide_means_one_thing(
    changes: dict[str, Any], guide: dict[str, str] | None, endpoint: str
) -> None:
    body = message() if endpoint == CHAT else prompt()

    found = parse({**body, **changes}, endpoint)["sampling"]

    assert found == ({"guided": guide} if guide else {})


UNGUIDED = [
    ({"guided_json": SCHEMA}, GIVEN | {"named": "guided_json"}),
    ({"response_format": {"type": "json_schema", "json_schema": NAMED}}, GIVEN),
    ({"response_format": {"type": "json_object"}}, {"kind": "json_object", "text": ""}),
]


@pytest.mark.parametrize(("changes", "guide"), UNGUIDED)
@pytest.mark.parametrize("endpoint", [CHAT, TEXT, NATIVE])
def test_a_schema_may_hold_for_the_judge_and_not_for_the_engine(
    changes: dict[str, Any], guide: dict[str, str], endpoint: str
) -> None:
    body = message() if endpoint == CHAT else prompt()

    found = parse({**body, **changes, "guided_decoding": False, "max_reasks": 3}, endpoint)
    held = parse({**body, **changes, "guided_decoding": True}, endpoint)

    assert (found["sampling"], found["judged"], found["max_reasks"]) == ({}, guide, 3)
    assert (held["sampling"], "judged" in held) == ({"guided": guide}, False)


def test_a_response_may_be_unguided_and_asked_for_again_too() -> None:
    wanted = {"type": "json_schema", **NAMED}
    body = {"model": "m", "input": "hi", "text": {"format": wanted}, "max_reasks": 1}

    held, found = (parse(body | {"guided_decoding": on}, RESPONSES) for on in (None, False))

    assert held["sampling"] == {"guided": GIVEN}
    assert (found["sampling"], found["judged"], found["max_reasks"]) == ({}, GIVEN, 1)
    assert set(found["response"]) == {"store", "text"}


STREAMED: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": [{"role": "user", "content": "x"}], "guided_json": {}}),
    (TEXT, {"prompt": "x", "response_format": {"type": "json_object"}}),
    (RESPONSES, {"input": "x", "text": {"format": {"type": "json_object"}}}),
]


@pytest.mark.parametrize(("endpoint", "asked"), STREAMED)
def test_a_streamed_answer_that_nothing_would_hold_to_its_schema_is_refused(
    endpoint: str, asked: dict[str, Any]
) -> None:
    whole = {"model": "m", "stream": True, "guided_decoding": False, **asked}
    body = generation.SCHEMAS[endpoint].model_validate(whole)

    with pytest.raises(BadRequest, match="unguided_unjudged") as caught:
        generation.extract(body, Limits())

    assert caught.value.param == "guided_decoding"


@pytest.mark.parametrize(
    ("endpoint", "changes", "logprobs"),
    [
        (CHAT, {"logprobs": True}, 0),
        (CHAT, {"logprobs": True, "top_logprobs": 3}, 3),
        (CHAT, {"logprobs": False}, None),
        (NATIVE, {"logprobs": True, "top_logprobs": 0}, 0),
        (TEXT, {"logprobs": 0}, 0),
        (TEXT, {"logprobs": 1}, 1),
        (TEXT, {}, None),
    ],
)
def test_each_endpoint_asks_for_log_probabilities_in_its_way(
    endpoint: str, changes: dict[str, Any], logprobs: int | None
) -> None:
    body = message() if endpoint == CHAT else prompt()

    assert parse({**body, **changes}, endpoint)["sampling"].get("logprobs") == logprobs


def test_text_parts_are_joined_and_developer_means_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "s"}, {"role": "user", "content": parts}]

    found = parse({"model": "m", "messages": messages}, CHAT)

    assert found["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "ab"},
    ]


def message(**changes: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "x", **changes}]}


def prompt(**changes: Any) -> dict[str, Any]:
    return {"model": "m", "prompt": "x", **changes}


UNJUDGED = ("unguided_unjudged", "guided_decoding")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ([], "body_not_object", None),
        (None, "body_not_object", None),
        ({"prompt": "x"}, "missing_required_parameter", "model"),
        ({"model": "m"}, "missing_required_parameter", "prompt"),
        (prompt(model=""), "too_short", "model"),
        (prompt(model=5), "invalid_type", "model"),
        (prompt(prompt=""), "empty_prompt", "prompt"),
        (prompt(prompt=" \n"), "empty_prompt", "prompt"),
        (prompt(prompt=["x"]), "invalid_type", "prompt"),
        ({**prompt(), **message()}, "prompt_and_messages", "prompt"),
        (prompt(unknown=1), "unknown_parameter", "unknown"),
        (prompt(tenant_id="x"), "unknown_parameter", "tenant_id"),
        (prompt(temperature="1"), "invalid_type", "temperature"),
        (prompt(temperature=True), "invalid_type", "temperature"),
        (prompt(temperature=2.1), "out_of_range", "temperature"),
        (prompt(temperature=-0.1), "out_of_range", "temperature"),
        (prompt(top_p=0), "out_of_range", "top_p"),
        (prompt(top_p=1.1), "out_of_range", "top_p"),
        (prompt(top_k=-1), "out_of_range", "top_k"),
        (prompt(seed=True), "invalid_type", "seed"),
        (prompt(seed=1.0), "invalid_type", "seed"),
        (prompt(seed=2**63), "out_of_range", "seed"),
        (prompt(max_tokens="5"), "invalid_type", "max_tokens"),
        (prompt(max_tokens=0), "out_of_range", "max_tokens"),
        (prompt(max_tokens=101), "out_of_range", "max_tokens"),
        (prompt(max_completion_tokens=101), "out_of_range", "max_completion_tokens"),
        (prompt(max_tokens=1, max_completion_tokens=2), "max_tokens_twice", "max_tokens"),
        (prompt(stop=[]), "too_short", "stop"),
        (prompt(stop=["a"] * 5), "too_long", "stop"),
        (prompt(stop=[""]), "too_short", "stop.0"),
        (prompt(ignore_eos=1), "invalid_type", "ignore_eos"),
        (prompt(min_p=-0.1), "out_of_range", "min_p"),
        (prompt(min_p=1.1), "out_of_range", "min_p"),
        (prompt(repetition_penalty=0), "out_of_range", "repetition_penalty"),
        (prompt(repetition_penalty=101), "out_of_range", "repetition_penalty"),
        (prompt(presence_penalty=2.1), "out_of_range", "presence_penalty"),
        (prompt(frequency_penalty=-2.1), "out_of_range", "frequency_penalty"),
        (prompt(frequency_penalty="1"), "invalid_type", "frequency_penalty"),
        (prompt(logit_bias=[1]), "invalid_type", "logit_bias"),
        (prompt(logit_bias={"1": 100.5}), "out_of_range", "logit_bias.1"),
        (prompt(logit_bias={"1": "x"}), "invalid_type", "logit_bias.1"),
        (prompt(logit_bias={"the": 1}), "invalid_type", "logit_bias.the"),
        (prompt(logit_bias={"5": 1, "05": 2}), "invalid_type", "logit_bias.05"),
        (prompt(logit_bias={"-1": 1}), "invalid_type", "logit_bias.-1"),
        (prompt(logit_bias={str(n): 1 for n in range(1001)}), "too_long", "logit_bias"),
        (prompt(n=0), "out_of_range", "n"),
        (prompt(n=129), "out_of_range", "n"),
        (prompt(n=True), "invalid_type", "n"),
        (prompt(logprobs=3), "invalid_type", "logprobs"),
        (prompt(top_logprobs=3), "requires_logprobs", "top_logprobs"),
        (prompt(logprobs=False, top_logprobs=0), "requires_logprobs", "top_logprobs"),
        (prompt(logprobs=True, top_logprobs=21), "out_of_range", "top_logprobs"),
        (prompt(response_format="json"), "invalid_type", "response_format"),
        (prompt(response_format={"type": "xml"}), "invalid_value", "response_format.type"),
        (prompt(response_format={}), "missing_required_parameter", "response_format.type"),
        (
            prompt(response_format={"type": "json_schema"}),
            "missing_required_parameter",
            "response_format.json_schema",
        ),
        (
            prompt(response_format={"type": "json_schema", "json_schema": {"name": "n"}}),
            "missing_required_parameter",
            "response_format.json_schema.schema",
        ),
        (prompt(guided_json="{"), "invalid_schema", "guided_json"),
        (prompt(guided_json="[" * 100_000), "invalid_schema", "guided_json"),
        (prompt(guided_json="[]"), "invalid_type", "guided_json"),
        (prompt(guided_json={"maximum": 2**64}), "schema_invalid", "guided_json"),
        (prompt(guided_json=json.dumps({"const": nest(300)})), "schema_invalid", "guided_json"),
        (
            prompt(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": VAST},
                }
            ),
            "schema_invalid",
            "response_format.json_schema.schema",
        ),
        (prompt(guided_json='{"title": "\\ud800"}'), "invalid_schema", "guided_json"),
        (prompt(guided_json='{"title": "\\u0000"}'), "invalid_schema", "guided_json"),
        (prompt(guided_json='{"minimum": NaN}'), "invalid_schema", "guided_json"),
        (
            prompt(guided_json='{"type": "array", "type": "object"}'),
            "invalid_schema",
            "guided_json",
        ),
        (prompt(guided_json={"enum": ["x" * 100_000]}), "too_long", "guided_json"),
        (prompt(guided_regex=""), "too_short", "guided_regex"),
        (prompt(guided_regex="x" * 100_001), "too_long", "guided_regex"),
        (prompt(guided_json="true"), "invalid_type", "guided_json"),
        (prompt(guided_json=False), "invalid_type", "guided_json"),
        (prompt(guided_choice="yes"), "invalid_type", "guided_choice"),
        (prompt(guided_choice=["yes", 7]), "invalid_type", "guided_choice.1"),
        (prompt(guided_choice=[]), "too_short", "guided_choice"),
        (prompt(guided_choice=[""]), "too_short", "guided_choice.0"),
        (prompt(guided_choice=["x"] * 1001), "too_long", "guided_choice"),
        (prompt(guided_choice=["x"], guided_regex="y"), "guides_conflict", "guided_regex"),
        (prompt(guided_choice=["x"], guided_decoding=False), *UNJUDGED),
        (prompt(guided_regex="x", guided_decoding=False), *UNJUDGED),
        (prompt(guided_decoding="no"), "invalid_type", "guided_decoding"),
        ({"model": "m", "messages": []}, "empty_messages", "messages"),
        ({"model": "m", "messages": "x"}, "invalid_type", "messages"),
        ({"model": "m", "messages": ["x"]}, "invalid_type", "messages.0"),
        (message(content=" "), "empty_prompt", "messages"),
        (message(content=None), "invalid_type", "messages.0.content"),
        (message(role="boss"), "invalid_value", "messages.0.role"),
        (message(content=[{"type": "image_url"}]), "unsupported_content", "messages.0.content"),
        (
            message(content=[{"type": "text", "text": "x"}, {"type": "text", "text": None}]),
            "invalid_type",
            "messages.0.content.1.text",
        ),
        (
            message(content=[{"type": "text"}]),
            "missing_required_parameter",
            "messages.0.content.0.text",
        ),
        (message(tool_calls=[{}]), "unsupported_parameter", "messages.0.tool_calls"),
        (message(tool_calls=[{}], content=None), "unsupported_parameter", "messages.0.tool_calls"),
        (message(refusal="no", content=None), "unsupported_parameter", "messages.0.refusal"),
        (message(annotations=[{}]), "unsupported_parameter", "messages.0.annotations"),
        (message(role="tool", tool_call_id="c"), "tool_message", "messages.0.role"),
        (message(role="function"), "tool_message", "messages.0.role"),
        (message(tool_call_id="c"), "unsupported_parameter", "messages.0.tool_call_id"),
        (message(foo=[]), "unknown_parameter", "messages.0.foo"),
        (
            message(content=[{"type": "text", "text": "x"}, {"type": "text", "text": "x", "f": 1}]),
            "unknown_parameter",
            "messages.0.content.1.f",
        ),
    ],
)
def test_each_mistake_has_its_own_code_and_names_its_place(
    body: Any, code: str, param: str | None
) -> None:
    assert refuse(body) == (code, param)


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"stream": True}, "streaming_unsupported", "stream"),
        ({"n": 0}, "out_of_range", "n"),
        ({"presence_penalty": 3}, "out_of_range", "presence_penalty"),
        ({"best_of": 2}, "unsupported_parameter", "best_of"),
        ({"session_id": "s"}, "unknown_parameter", "session_id"),
        ({"stream_options": {"include_usage": True}}, "streaming_unsupported", "stream_options"),
    ],
)
def test_what_openai_clients_may_send_is_refused_unless_it_changes_nothing(
    changes: dict[str, Any], code: str, param: str
) -> None:
    neutral = {"stream": False, "logit_bias": {}, "logprobs": False, "user": "u"}

    assert parse({**message(), **neutral}, CHAT)["sampling"] == {}
    assert refuse({**message(), **changes}, CHAT) == (code, param)


IDLE: dict[str, dict[str, list[Any]]] = {
    CHAT: {
        "tools": [[]],
        "tool_choice": ["none", "auto"],
        "functions": [[]],
        "function_call": ["none", "auto"],
        "store": [False],
        "service_tier": ["auto", "default"],
        "modalities": [["text"]],
        "reasoning_effort": [],
    },
    TEXT: {"store": [False], "service_tier": ["auto", "default"]},
    RESPONSES: {
        "tools": [[]],
        "tool_choice": ["none", "auto"],
        "include": [[]],
        "service_tier": ["auto", "default"],
    },
}
SOME = [0, 0.0, 1, True, False, "", "none", "auto", "default", [], {}, ["text"], [0], ["audio"]]


@pytest.mark.parametrize(
    ("endpoint", "name"), [(endpoint, name) for endpoint in IDLE for name in IDLE[endpoint]]
)
def test_of_what_is_not_served_only_its_own_idle_values_are_taken(endpoint: str, name: str) -> None:
    """Each value that is idle in one place is tried in all, and so is what equals it only in
    Python: 0 is not false."""
    body = {CHAT: message(), TEXT: prompt(), RESPONSES: {"model": "m", "input": "hi"}}[endpoint]
    idle = IDLE[endpoint][name]

    taken = [value for value in SOME if is_taken({**body, name: value}, endpoint, name)]

    assert list(map(repr, taken)) == [
        repr(value) for value in SOME if repr(value) in map(repr, idle)
    ]
    assert is_taken({**body, name: None}, endpoint, name)


def is_taken(body: dict[str, Any], endpoint: str, name: str) -> bool:
    """False if it is refused by this name; any other refusal is an error."""
    try:
        parse(body, endpoint)
    except BadRequest as error:
        if (error.code, error.param) != ("unsupported_parameter", name):
            raise
        return False
    return True


MINIMAL: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    TEXT: {"model": "m", "prompt": "hi"},
    RESPONSES: {"model": "m", "input": "hi"},
}
NAMES: dict[str, set[str]] = {
    CHAT: set(chat_params.CompletionCreateParamsNonStreaming.__annotations__),
    TEXT: set(text_params.CompletionCreateParamsNonStreaming.__annotations__),
    RESPONSES: set(response_params.ResponseCreateParamsNonStreaming.__annotations__),
}


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [(each, name) for each in NAMES for name in sorted(NAMES[each] - MINIMAL[each].keys())],
)
def test_null_means_not_given_for_each_parameter_of_openais(endpoint: str, name: str) -> None:
    body = MINIMAL[endpoint]

    assert parse({**body, name: None}, endpoint) == parse(body, endpoint)


@pytest.mark.parametrize("endpoint", MINIMAL)
def test_what_is_not_served_is_refused_unless_it_is_null(endpoint: str) -> None:
    absent = flaws.UNSERVED - generation.SCHEMAS[endpoint].model_fields.keys()

    assert absent
    for name in absent:
        changed = {**MINIMAL[endpoint], name: {}}
        assert refuse(changed, endpoint) == ("unsupported_parameter", name)


def test_null_does_not_make_a_mistake_a_parameter() -> None:
    assert refuse({**MINIMAL[CHAT], "temprature": None}, CHAT) == (
        "unknown_parameter",
        "temprature",
    )
    assert refuse({"model": "m", "prompt": None}, TEXT) == ("invalid_type", "prompt")


def test_streams_are_not_padded() -> None:
    body = bodies.Chat.model_validate
    options = {"include_usage": True, "include_obfuscation": False}

    assert body({**MINIMAL[CHAT], "stream_options": options}).stream_options is not None
    with pytest.raises(ValidationError, match=r"stream_options\.include_obfuscation"):
        body({**MINIMAL[CHAT], "stream_options": {"include_obfuscation": True}})


def test_the_verbosity_of_a_response_is_the_usual_one() -> None:
    body = {"model": "m", "input": "hi"}

    assert is_taken(body | {"text": {"verbosity": "medium"}}, RESPONSES, "text.verbosity")
    assert not is_taken(body | {"text": {"verbosity": "low"}}, RESPONSES, "text.verbosity")


def test_options_of_a_stream_that_a_response_does_not_have_are_refused_by_name() -> None:
    body = {"model": "m", "input": "hi", "stream_options": {"include_obfuscation": False}}

    assert refuse(body, RESPONSES) == ("unsupported_parameter", "stream_options")


@pytest.mark.parametrize("depth", [10, *range(220, 260)])
def test_what_is_let_in_can_be_stored(depth: int) -> None:
    wanted = {"type": "json_schema", "name": "n", "schema": {"const": nest(depth)}}
    body = {"model": "m", "input": "hi", "text": {"format": wanted}}

    try:
        request = parse(body, RESPONSES)
    except BadRequest as error:
        if (error.code, error.param) != ("schema_invalid", "text.format.schema"):
            raise
    else:
        orjson.dumps([{"row": {"request": request}}])


@pytest.mark.parametrize("name", ["background", "store"])
def test_what_a_line_cannot_do_for_a_response_is_refused_by_name(name: str) -> None:
    body = {"model": "m", "input": "hi"}

    assert parse(body | {name: False}, RESPONSES)["messages"]
    assert refuse(body | {name: True}, RESPONSES) == ("unsupported_parameter", name)


def test_each_endpoint_takes_its_own_input_only() -> None:
    assert refuse(prompt(), CHAT) == ("missing_required_parameter", "messages")
    assert refuse(message(), TEXT) == ("missing_required_parameter", "prompt")
    assert set(generation.SCHEMAS) == {NATIVE, *generation.ENDPOINTS}


def test_no_field_of_a_body_has_two_types_that_blur() -> None:
    assert all(schema.model_config["strict"] for schema in generation.SCHEMAS.values())
    assert bodies.Message.model_config["extra"] == "forbid"


@pytest.mark.parametrize(
    "options",
    [
        {"a b": True},
        {"x": "<|system|>"},
        {"x": {"y": 1}},
        {"x": ["y"]},
        {"x": "y" * 65},
        {"messages": "x"},
        {"add_generation_prompt": False},
    ],
)
def test_options_of_the_template_are_plain_values(options: dict[str, Any]) -> None:
    assert refuse(message() | {"chat_template_kwargs": options}, CHAT)[0] == "template_option"
    plain = {"enable_thinking": False, "budget": 2, "effort": "low", "none": None}
    assert parse(message() | {"chat_template_kwargs": plain}, CHAT)["template"] == plain


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**39])
def test_an_integer_that_cannot_be_written_again_is_refused_by_name(number: int) -> None:
    kwargs = {"chat_template_kwargs": {"a": number}}
    assert refuse(message() | kwargs, CHAT)[0] == "template_option"

    with pytest.raises(BadRequest) as caught:
        parse(message() | {"max_tokens": abs(number)}, CHAT)

    assert caught.value.code == "out_of_range"
    assert orjson.dumps(caught.value.values)
    assert parse(message() | {"chat_template_kwargs": {"a": 2**64 - 1}}, CHAT)["template"]


def test_a_field_is_read_as_set_and_is_none_where_its_kind_of_body_has_none() -> None:
    body = bodies.Completion(model="m", prompt="hi", logprobs=2)

    assert bodies.read(body, "prompt") == "hi"
    assert bodies.read(body, "logprobs") == 2
    assert bodies.read(body, "messages") is None


@pytest.mark.parametrize("given", [{"tool_calls": []}, {"tool_calls": None}, {"annotations": []}])
def test_a_message_may_name_what_it_does_not_have(given: dict[str, Any]) -> None:
    assert parse(message(**given), CHAT)["messages"] == [{"role": "user", "content": "x"}]


@pytest.mark.parametrize("kind", ["input_text", "output_text"])
def test_a_part_of_a_response_has_no_member_that_would_be_ignored(kind: str) -> None:
    def ask(**members: Any) -> dict[str, Any]:
        part = {"type": kind, "text": "x", **members}
        return {"model": "m", "input": [{"role": "user", "content": [part]}]}

    assert parse(ask(annotations=[], logprobs=[], foo=None), RESPONSES)["messages"]
    assert refuse(ask(foo=1), RESPONSES) == ("unknown_parameter", "input.0.content.0.foo")


@pytest.mark.parametrize("name", ["schema", "name"])
def test_what_a_responses_format_lacks_is_named_as_its_body_names_it(name: str) -> None:
    wanted = {"type": "json_schema", "name": "n", "schema": {}}
    body = {"model": "m", "input": "hi", "text": {"format": {**wanted, name: None}}}

    assert refuse(body, RESPONSES) == ("missing_required_parameter", f"text.format.{name}")
