"""The body of /v1/responses, and the same request as a chat."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from app.errors import BadRequest
from app.wire import bodies, dials, parts

ENDPOINT = "/v1/responses"
LINE_PREFIX = "custom_id:"  # of a predecessor that is a line of the same batch
_TEXTS = ("input_text", "output_text", "text")
_SENT_BACK = ("annotations", "logprobs")  # as an earlier response had them
_STEERED = ("guided_decoding", "max_reasks")  # ours, not OpenAI's: its object does not repeat them
_PASSED = ("temperature", "top_p", "user", "safety_identifier", "prompt_cache_key", *_STEERED)
_NAMES = {
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format.json_schema": "text.format",  # before what it begins with
    "response_format": "text.format",
}


def wrap_text(value: Any) -> Any:
    """An input that is a text as the list of messages that it stands for."""
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class Item(bodies.Strict):
    """One message of the input, or of an earlier response's output, sent back as it came."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, parts.join(*_TEXTS, idle=_SENT_BACK)]
    id: Annotated[str, Field(max_length=128)] | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None


class Format(bodies.Strict):
    """What the text must look like."""

    type: Literal["text", "json_object", "json_schema"]
    name: Annotated[str, Field(max_length=64)] | None = None
    description: str | None = None
    schema_: dials.SchemaObject | None = Field(None, alias="schema")
    strict: bool | None = None


class Text(bodies.Strict):
    """How the text is to be."""

    format: Format | None = None
    verbosity: Annotated[Any, bodies.only("medium")] = None


Input = Annotated[
    list[Item],
    BeforeValidator(wrap_text),
    Field(min_length=1, max_length=10_000),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}),
]


class Body(bodies.OpenAI):
    """The body of /v1/responses. Of some fields only the value that changes nothing is served."""

    model: bodies.ModelName
    input: Input
    instructions: str | None = None
    background: bool | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    text: Text | None = None
    guided_decoding: bool | None = None
    max_reasks: dials.Reasks | None = None
    metadata: bodies.Metadata | None = None
    user: bodies.Label | None = None
    safety_identifier: bodies.Label | None = None
    prompt_cache_key: bodies.Label | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: bodies.UsualTier = None
    tools: bodies.NoList = None
    tool_choice: bodies.NoCall = None
    include: bodies.NoList = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    webhook: bodies.Webhook | None = None


def names_line(previous: Any) -> bool:
    """Whether this `previous_response_id` is an earlier line of the batch, by its custom_id."""
    return isinstance(previous, str) and previous.startswith(LINE_PREFIX)


def as_chat(body: Body) -> dict[str, Any]:
    """The body of /v1/chat/completions that asks for the same answer."""
    chat: dict[str, Any] = {"model": body.model, "messages": _list_messages(body)}
    chat |= {name: getattr(body, name) for name in _PASSED}
    chat["max_completion_tokens"] = body.max_output_tokens
    if body.text is not None and body.text.format is not None and body.text.format.type != "text":
        chat["response_format"] = _as_response_format(body.text.format)
    return {name: value for name, value in chat.items() if value is not None}


def _list_messages(body: Body) -> list[dict[str, str]]:
    return [{"role": item.role, "content": item.content} for item in body.input]


def _as_response_format(wanted: Format) -> dict[str, Any]:
    if wanted.type == "json_object":
        return {"type": "json_object"}
    given = wanted.model_dump(by_alias=True, exclude_none=True, exclude={"type"})
    return {"type": "json_schema", "json_schema": given}


def rename(error: BadRequest) -> BadRequest:
    """An error of the chat, with the names of this body."""
    param = name_param(error.param, ENDPOINT)
    return type(error)(error.code, param=param, **error.values)


def name_param(param: str | None, endpoint: str) -> str | None:
    """What a parameter of the chat is called at this endpoint; one that has this name already keeps
    it."""
    if param is None or endpoint != ENDPOINT:
        return param
    for chat, own in {"max_completion_tokens": "max_output_tokens", **_NAMES}.items():
        if param == chat or param.startswith(f"{chat}."):
            return own + param.removeprefix(chat)
    return param


def keep(body: Body) -> dict[str, Any]:
    """What is stored beside the chat: `instructions`, which precede everything and are said in
    this turn alone, and what the response object repeats of its request."""
    asked = body.model_dump(
        by_alias=True,
        exclude_none=True,
        exclude={"model", "input", "instructions", "stream", "webhook", *_STEERED},
    )
    own = {"store": True} | asked
    said = {} if body.instructions is None else {"instructions": body.instructions}
    return {"response": own, **said}


def may_shorten(request: Mapping[str, Any]) -> bool:
    """Whether the beginning of this request's conversation may be dropped to make it fit."""
    kept: Mapping[str, Any] = request.get("response", {})
    return kept.get("truncation") == "auto"


def find_least(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request without what may be dropped of it: at least this must fit into the context."""
    return {**request, "messages": request["messages"][-1:]} if may_shorten(request) else request
