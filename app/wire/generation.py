"""From a client's body to the `request` of a job: checked, normal, and only what was set."""

from typing import Any

from pydantic import ValidationError

from app.errors import BadRequest
from app.settings.schema import Limits
from app.wire import bodies, flaws, guides, responses

SCHEMAS: dict[str, type[bodies.Strict]] = {
    "/v1/jobs": bodies.Native,
    "/v1/chat/completions": bodies.Chat,
    "/v1/completions": bodies.Completion,
    responses.ENDPOINT: responses.Body,
}
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", responses.ENDPOINT)  # what a batch may name

_PLAIN = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "ignore_eos", "n"),
    *("repetition_penalty", "presence_penalty", "frequency_penalty"),
)


def parse(body: Any, *, endpoint: str, limits: Limits) -> dict[str, Any]:
    """The request of a job: `messages` or `prompt`, and `sampling` with the fields that were set,
    under the names of inference.engine.Sampling: `logit_bias` as pairs of a token id and a number,
    `guided` as an object with `kind` and `text`, or beside them `judged`, the same for an engine that
    is not held to it. BadRequest with code and param otherwise.

    The model's name is checked for its type only: `body["model"]` is the caller's to look up.
    """
    try:
        checked = SCHEMAS[endpoint].model_validate(body)
    except ValidationError as error:
        raise flaws.explain(error) from error
    for name in ("stream", "stream_options"):
        if bodies.read(checked, name):
            raise BadRequest("streaming_unsupported", param=name)
    _refuse_calls(checked)
    return extract(checked, limits)


def _refuse_calls(body: bodies.Strict) -> None:
    """What makes sense in a call of its own only, not in a line of a batch. Whether there is the line
    that it follows on, the caller has seen to."""
    names = ["background", "webhook"]
    if not responses.names_line(bodies.read(body, "previous_response_id")):
        names.append("previous_response_id")
    # A line of the one kind is answered in the output file alone, of the other has no metadata.
    names.append("store" if isinstance(body, responses.Body) else "metadata")
    for name in names:
        if bodies.read(body, name):
            raise BadRequest("unsupported_parameter", param=name)


def extract(body: bodies.Strict, limits: Limits) -> dict[str, Any]:
    """The same for a body that has passed its schema. `unguided_unjudged` for an answer that only a
    judge could hold to its schema and that is out before it could be judged."""
    if isinstance(body, responses.Body):
        request = _extract_response(body, limits)
    else:
        assert isinstance(body, bodies.Sampling)
        request = _extract(body, limits)
    if "judged" in request and bodies.read(body, "stream"):
        raise BadRequest("unguided_unjudged", param="guided_decoding")
    return request


def _extract(body: bodies.Sampling, limits: Limits) -> dict[str, Any]:
    held, judged = guides.split(body)
    guided = {} if held is None else {"guided": held}
    return {
        **_read_input(body),
        "sampling": _read_sampling(body, limits) | guided,
        **({} if judged is None else {"judged": judged}),
        **_read_reasks(body),
        **_read_template(body),
    }


def _read_reasks(body: bodies.Sampling) -> dict[str, int]:
    return {} if body.max_reasks is None else {"max_reasks": body.max_reasks}


def _read_template(body: bodies.Sampling) -> dict[str, Any]:
    """Variables of the chat template, where the endpoint takes them."""
    given = bodies.read(body, "chat_template_kwargs")
    return {"template": given} if given else {}


def _extract_response(body: responses.Body, limits: Limits) -> dict[str, Any]:
    try:
        request = parse(responses.as_chat(body), endpoint="/v1/chat/completions", limits=limits)
    except BadRequest as error:
        raise responses.rename(error) from error
    return request | responses.keep(body)


def _read_input(body: bodies.Sampling) -> dict[str, Any]:
    prompt: str | None = bodies.read(body, "prompt")
    messages: list[bodies.Message] | None = bodies.read(body, "messages")
    if prompt is not None and messages is not None:
        raise BadRequest("prompt_and_messages", param="prompt")
    if messages is not None:
        return {"messages": _read_messages(messages)}
    if prompt is None:
        raise BadRequest("missing_required_parameter", param="prompt")
    if not prompt.strip():
        raise BadRequest("empty_prompt", param="prompt")
    return {"prompt": prompt}


def _read_messages(messages: list[bodies.Message]) -> list[dict[str, str]]:
    if not messages:
        raise BadRequest("empty_messages", param="messages")
    if not any(message.content.strip() for message in messages):
        raise BadRequest("empty_prompt", param="messages")
    return [_read_message(message) for message in messages]


def _read_message(message: bodies.Message) -> dict[str, str]:
    role = "system" if message.role == "developer" else message.role
    name = {} if message.name is None else {"name": message.name}
    return {"role": role, "content": message.content, **name}


def _read_sampling(body: bodies.Sampling, limits: Limits) -> dict[str, Any]:
    found = {name: getattr(body, name) for name in _PLAIN}
    found["max_tokens"] = _read_max_tokens(body, limits.max_tokens)
    found["logit_bias"] = sorted(map(list, (body.logit_bias or {}).items())) or None
    found["logprobs"] = _read_logprobs(body)
    return {name: value for name, value in found.items() if value is not None}


def _read_logprobs(body: bodies.Sampling) -> int | None:
    """/v1/completions gives a number; elsewhere `logprobs` says whether, `top_logprobs` how many."""
    asked: bool | int | None = bodies.read(body, "logprobs")
    top: int | None = bodies.read(body, "top_logprobs")
    if isinstance(asked, int) and not isinstance(asked, bool):
        return asked
    if top is not None and not asked:
        raise BadRequest("requires_logprobs", param="top_logprobs")
    return (top or 0) if asked else None


def _read_max_tokens(body: bodies.Sampling, limit: int) -> int | None:
    old, new = body.max_tokens, body.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise BadRequest("max_tokens_twice", param="max_tokens")
    value = old if new is None else new
    if value is not None and value > limit:
        name, shown = name_limit(new), flaws.show(value)
        raise BadRequest("out_of_range", param=name, value=shown, allowed=f"<= {limit}")
    return value


def name_limit(max_completion_tokens: object) -> str:
    """What a body with this `max_completion_tokens` calls the most tokens of its answer."""
    return "max_tokens" if max_completion_tokens is None else "max_completion_tokens"
