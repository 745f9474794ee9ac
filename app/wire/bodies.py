"""What a client may send to ask for a generation: strict models, one per endpoint."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.wire import dials, flaws, parts

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_WORD = re.compile(r"[A-Za-z0-9_. -]{0,64}")


class Strict(BaseModel):
    """A body in which every field has its own JSON type and none is unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class OpenAI(Strict):
    """A body of OpenAI's. Its clients send null for parameters that were not given, also for those
    that are not served here."""

    @model_validator(mode="before")
    @classmethod
    def _drop_unserved(cls, given: Any) -> Any:
        if not isinstance(given, dict) or flaws.UNSERVED.isdisjoint(given):
            return given
        absent = flaws.UNSERVED - cls.model_fields.keys()
        return {n: value for n, value in given.items() if value is not None or n not in absent}


class Lenient(Strict):
    """A body of our own: a field that may be absent may be null instead."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        optional = {name for name, each in cls.model_fields.items() if not each.is_required()}
        return {n: value for n, value in given.items() if value is not None or n not in optional}


def read(body: Strict, name: str) -> Any:
    """The field of this name; None where this kind of body has none. `getattr` with a default costs
    twenty times as much on a field that is not there, since pydantic looks for it in vain."""
    return vars(body).get(name)


def _wrap_stop(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


StopText = Annotated[str, Field(min_length=1, max_length=1000)]
Stop = Annotated[
    list[StopText],
    BeforeValidator(_wrap_stop),
    Field(min_length=1, max_length=dials.MAX_STOPS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string"}, "maxItems": dials.MAX_STOPS},
            ]
        }
    ),
]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]


def only(*idle: Any) -> AfterValidator:
    """For a parameter of which null and these values change nothing, and no other can be served.
    Types are told apart: 0 is not false."""

    def refuse(value: Any) -> Any:
        if value is None or any(type(value) is type(each) and value == each for each in idle):
            return value
        raise PydanticCustomError("unsupported_parameter", "unsupported")

    return AfterValidator(refuse)


NoList = Annotated[Any, only([])]


def _refuse_tool(role: Any) -> Any:
    if role in ("tool", "function"):
        raise PydanticCustomError("tool_message", "unsupported")
    return role


class Message(Strict):
    """One message of a conversation. `developer` is a newer word for `system`. Null fields count
    as absent: clients send an earlier answer's message back as it came."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        own = ("role", "content")
        return {name: value for name, value in given.items() if value is not None or name in own}

    role: Annotated[
        Literal["system", "developer", "user", "assistant"], BeforeValidator(_refuse_tool)
    ]
    tool_calls: NoList = None  # these stand before the content, which is null beside a call
    function_call: Annotated[Any, only()] = None
    tool_call_id: Annotated[Any, only()] = None
    refusal: Annotated[Any, only()] = None
    audio: Annotated[Any, only()] = None
    annotations: NoList = None
    content: parts.Content
    name: Annotated[str, Field(max_length=64)] | None = None


Messages = Annotated[list[Message], Field(max_length=10_000)]


class Sampling(Strict):
    """How tokens are chosen; a field that is absent or null has its default. docs/sampling.md."""

    temperature: dials.Temperature | None = None
    top_p: dials.TopP | None = None
    top_k: dials.TopK | None = None
    min_p: dials.MinP | None = None
    seed: dials.Seed | None = None
    max_tokens: dials.Count | None = None
    max_completion_tokens: dials.Count | None = None
    stop: Stop | None = None
    ignore_eos: bool | None = None
    repetition_penalty: dials.Repetition | None = None
    presence_penalty: dials.Penalty | None = None
    frequency_penalty: dials.Penalty | None = None
    logit_bias: dials.Biases | None = None
    n: dials.Choices | None = None
    response_format: dials.ResponseFormat | None = None
    guided_json: dials.Schema | None = None
    guided_regex: dials.Regex | None = None
    guided_choice: dials.Options | None = None
    guided_decoding: bool | None = None
    max_reasks: dials.Reasks | None = None


class Webhook(Strict):
    """Where to tell that it has ended."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]


class StreamOptions(Strict):
    """What a stream tells beside its text."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[Any, only(False)] = None  # ours are never padded


NoCall = Annotated[Any, only("none", "auto")]  # of a tool: without tools these are the same
UsualTier = Annotated[Any, only("auto", "default")]
Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=512)],
    ],
    Field(max_length=16),
]
Label = Annotated[str, Field(max_length=512)]


_RESERVED = frozenset(
    (
        *("messages", "tools", "documents", "add_generation_prompt", "continue_final_message"),
        *("bos_token", "eos_token", "pad_token", "unk_token", "raise_exception", "strftime_now"),
        *("range", "dict", "namespace", "lipsum", "cycler", "joiner", "loop", "self", "super"),
    )
)  # names that a chat template has a meaning for already


def _is_storable(value: Any) -> bool:
    """Whether it is an integer that JSON libraries can write, 64 bits at most."""
    return isinstance(value, int) and -(2**63) <= value < 2**64


def _check_options(options: dict[str, Any]) -> dict[str, Any]:
    """Plain values only: a text of any kind could write a special token into the prompt."""
    for name, value in options.items():
        is_plain = value is None or isinstance(value, bool | float) or _is_storable(value)
        is_word = isinstance(value, str) and _WORD.fullmatch(value)
        is_name = _NAME.fullmatch(name) and name not in _RESERVED
        if not is_name or not (is_plain or is_word):
            raise PydanticCustomError("template_option", "option", {"name": name[:40]})
    return options


TemplateOptions = Annotated[dict[str, Any], Field(max_length=16), AfterValidator(_check_options)]


class _Common(OpenAI, Sampling):
    """Fields that OpenAI's clients send along; of some only the values that change nothing are
    served. Labels are accepted and have no effect here."""

    model: ModelName
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: Metadata | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    store: Annotated[Any, only(False)] = None
    service_tier: UsualTier = None
    user: Annotated[str, Field(max_length=512)] | None = None


class Chat(_Common):
    """The body of /v1/chat/completions."""

    messages: Messages
    tools: NoList = None
    tool_choice: NoCall = None
    functions: NoList = None
    function_call: NoCall = None
    parallel_tool_calls: bool | None = None
    modalities: Annotated[Any, only(["text"])] = None
    reasoning_effort: Annotated[Any, only()] = None
    logprobs: bool | None = None
    top_logprobs: dials.NumTop | None = None
    chat_template_kwargs: TemplateOptions | None = None


class Completion(_Common):
    """The body of /v1/completions."""

    prompt: str
    logprobs: dials.NumTop | None = None


class Native(Sampling):
    """The generation part of the body of /v1/jobs: either `prompt` or `messages`."""

    model: ModelName
    prompt: str | None = None
    messages: Messages | None = None
    logprobs: bool | None = None
    top_logprobs: dials.NumTop | None = None
