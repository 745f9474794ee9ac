"""How rows look to clients. A batch's lines here; jobs, files and the rest in app.wire.objects."""

from collections.abc import Callable, Mapping
from typing import Any

from app.errors import BadRequest, Failed
from app.wire import logprobs, origins, replies, responses
from app.wire.rows import Choice, Job, Result

Explain = Callable[[str, Mapping[str, Any]], str]
"""The text of an error code with these values (`param` among them), in the reader's language."""

SERVER_FAULTS = frozenset(
    {
        "engine_failed",
        "input_lost",
        "internal_error",
        "numerical",
        "schema_violation",
        "out_of_memory",
        "worker_crashed",
    }
)
"""Codes of failed jobs that are ours; whatever else fails a job, its request is the reason."""

CHAT = "/v1/chat/completions"


def output_line(job: Job, explain: Explain) -> dict[str, Any]:
    """A line of a batch's output file (succeeded) or error file, as OpenAI writes it."""
    response, error = None, None
    if job.state == "succeeded":
        assert job.result is not None
        response = _response(job, 200, answer(job, job.result))
    elif job.state == "failed":
        body = failure(job, explain) | {"line": job.line_no}
        response = _response(job, 500 if body["code"] in SERVER_FAULTS else 400, {"error": body})
    else:
        error = _explain_loss(job, explain)
    line_id = _derive("batch_req_", job)
    return {"id": line_id, "custom_id": job.custom_id, "response": response, "error": error}


def _explain_loss(job: Job, explain: Explain) -> dict[str, Any]:
    """Why a line has no answer: its batch ended before it, or it was cancelled by itself."""
    alone = job.error if job.state == "cancelled" else None
    if alone is not None:
        return {"code": alone["code"], "message": explain(alone["code"], alone.get("values") or {})}
    code = f"batch_{job.state}"
    has_begun = job.state == "cancelled" and job.started_at is not None
    return {"code": code, "message": explain(f"{code}_begun" if has_begun else code, {})}


def answer(job: Job, result: Result) -> dict[str, Any]:
    """What a call of the job's endpoint is answered."""
    is_reply = job.endpoint == responses.ENDPOINT
    return replies.show(job) if is_reply else completion(job, result)


def completion(job: Job, result: Result) -> dict[str, Any]:
    """A chat.completion or text_completion object, with what produced it."""
    is_chat = job.endpoint == CHAT
    show = _chat_choice if is_chat else _text_choice
    return {
        "id": name_completion(job),
        "object": "chat.completion" if is_chat else "text_completion",
        "created": int(job.created_at),
        "model": job.model,
        "choices": [show(number, each) for number, each in enumerate(list_choices(result))],
        "usage": usage(result),
        "provenance": result.provenance,
        **origins.show(result),
        **({} if result.coding is None else {"coding": result.coding}),
    }


def name_completion(job: Job) -> str:
    """The id of a completion object, the same whenever it is rendered."""
    return _derive("chatcmpl-" if job.endpoint == CHAT else "cmpl-", job)


def list_choices(result: Result) -> list[Choice]:
    """The answers of a result, in their order."""
    return result.choices


def _chat_choice(number: int, choice: Choice) -> dict[str, Any]:
    message = {"role": "assistant", "content": choice.text, "refusal": None}
    return {
        "index": number,
        "message": message,
        "logprobs": logprobs.chat(choice.logprobs),
        "finish_reason": choice.finish_reason,
    }


def _text_choice(number: int, choice: Choice) -> dict[str, Any]:
    return {
        "index": number,
        "text": choice.text,
        "logprobs": logprobs.text(choice.logprobs),
        "finish_reason": choice.finish_reason,
    }


def usage(result: Result) -> dict[str, Any]:
    """Tokens, with OpenAI's names."""
    counted = {
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.completion_tokens,
        "total_tokens": result.prompt_tokens + result.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": result.cached_tokens},
    }
    asks = result.provenance.get("asks", 1)  # more than one: an answer broke its schema
    return counted if asks == 1 else counted | {"asks": asks}


def as_error(job: Job) -> BadRequest | Failed:
    """A failed job as the error of the call that waited for it."""
    problem = job.error or {"code": "internal_error"}
    kind = Failed if problem["code"] in SERVER_FAULTS else BadRequest
    param = responses.name_param(problem.get("param"), job.endpoint)
    return kind(problem["code"], param=param, **(problem.get("values") or {}))


def failure(job: Job, explain: Explain) -> dict[str, Any]:
    """The `error` body of a failed job."""
    problem = job.error or {"code": "internal_error", "param": None, "values": {}}
    code, param = problem["code"], responses.name_param(problem.get("param"), job.endpoint)
    fault = "server_error" if code in SERVER_FAULTS else "invalid_request_error"
    values = problem.get("values") or {}
    message = explain(choose_text(code, values), {"param": param, **values})
    body = {"message": message, "type": fault, "param": param, "code": code}
    return body | show_last(code, values)


def choose_text(code: str, values: Mapping[str, Any]) -> str:
    """The name of the text that explains an error: of some codes there are several."""
    was_asked_once = code == "schema_violation" and values.get("asks") == 1
    return f"{code}_once" if was_asked_once else code


def show_last(code: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The last text of a job whose answers all broke its schema, and what they cost; nothing for
    any other error."""
    if code != "schema_violation":
        return {}
    spent = values["usage"]
    whole = {**spent, "total_tokens": spent["prompt_tokens"] + spent["completion_tokens"]}
    return {"text": values["text"], "usage": whole | {"asks": values["asks"]}}


def _response(job: Job, status_code: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": status_code, "request_id": _derive("req_", job), "body": body}


def _derive(prefix: str, job: Job) -> str:
    """An id that is the same whenever the line is rendered again."""
    return prefix + job.id.removeprefix("job_")
