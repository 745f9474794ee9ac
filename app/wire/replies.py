"""The response object of /v1/responses. Its times are fractions of seconds, as OpenAI's are."""

from typing import Any

from app.wire import origins
from app.wire.rows import Job, Result

_STATUSES = {
    "queued": "queued",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "failed",
}
_TEXT: dict[str, Any] = {"format": {"type": "text"}}
_NAMES = ("previous_response_id", "max_output_tokens", "user", "safety_identifier")


def name(job: Job) -> str:
    """The id of a job's response."""
    return find_id(job.id)


def find_id(job_id: str) -> str:
    """The id of the response that a job is."""
    return "resp_" + job_id.removeprefix("job_")


def find_job_id(response_id: str) -> str:
    """The id of the job behind a response."""
    return "job_" + response_id.removeprefix("resp_")


def is_reply(job: Job) -> bool:
    """Whether this job is a response that may be read again, and gone on with. A line of a batch is
    answered in the output file alone."""
    return bool(job.request.get("response", {}).get("store")) and job.batch_id is None


def show(job: Job, error: dict[str, Any] | None = None) -> dict[str, Any]:
    """The response object; `error` is the error body of a job that failed."""
    asked = job.request.get("response", {})
    return {
        "id": name(job),
        "object": "response",
        "created_at": float(int(job.created_at)),
        "completed_at": _completed_at(job),
        "status": _status(job),
        "background": asked.get("background", False),
        "error": _show_error(job, error),
        "incomplete_details": {"reason": "max_output_tokens"} if _is_cut(job) else None,
        "instructions": job.request.get("instructions"),
        "metadata": asked.get("metadata") or {},
        "model": job.model,
        "output": [show_message(job, job.result)] if job.result else [],
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "store": asked.get("store", True) and job.batch_id is None,
        "temperature": asked.get("temperature", 1.0),
        "text": asked.get("text") or _TEXT,
        "tool_choice": "auto",
        "tools": [],
        "top_p": asked.get("top_p", 1.0),
        "truncation": asked.get("truncation", "disabled"),
        "usage": _show_usage(job.result) if job.result else None,
        **{name: asked.get(name) for name in _NAMES},
        **({"provenance": job.result.provenance} if job.result else {}),
        **origins.show(job.result),
    }


def _is_cut(job: Job) -> bool:
    return _status(job) == "incomplete"


def _status(job: Job) -> str:
    return name_status(job.state, job.result.finish_reason if job.result else None)


def name_status(state: str, finish_reason: str | None) -> str:
    """OpenAI's word for a job's state; a succeeded job has a finish reason."""
    return "incomplete" if finish_reason == "length" else _STATUSES[state]


def _completed_at(job: Job) -> float | None:
    done = job.state == "succeeded" and job.finished_at is not None
    return float(int(job.finished_at or 0)) if done else None


def _show_error(job: Job, error: dict[str, Any] | None) -> dict[str, Any] | None:
    """OpenAI's clients know few codes; ours is told by `param` and message, and by the job."""
    if job.state not in ("failed", "expired"):
        return None
    found = error or {"message": "", "type": "server_error", "param": None}
    code = "invalid_prompt" if found["type"] == "invalid_request_error" else "server_error"
    return {"code": code, "message": found["message"]}


def show_message(job: Job, result: Result) -> dict[str, Any]:
    """The one output item: what the model said."""
    return {
        "id": name_message(job),
        "type": "message",
        "role": "assistant",
        "status": "incomplete" if _is_cut(job) else "completed",
        "content": [show_text(result.text)],
    }


def name_message(job: Job) -> str:
    """The id of a response's message."""
    return "msg_" + job.id.removeprefix("job_")


def show_text(text: str) -> dict[str, Any]:
    """A part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _show_usage(result: Result) -> dict[str, Any]:
    return {
        "input_tokens": result.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": result.cached_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": result.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": result.prompt_tokens + result.completion_tokens,
    }
