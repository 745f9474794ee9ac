"""What the routes answer, as OpenAPI shows it."""

from typing import Any, Literal

from flask_openapi.types import ResponseDict
from pydantic import BaseModel, ConfigDict


class ErrorDetail(BaseModel):
    """What went wrong; `code` is stable (null where OpenAI's is), `message` is in the client's
    language."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The one shape of every error answer."""

    error: ErrorDetail


class ReusedFrom(BaseModel):
    """The line that was run in this one's place: see docs/batches.md."""

    custom_id: str
    job_id: str
    request_id: str


class JobObject(BaseModel):
    """A job: see docs/api.md."""

    id: str
    object: Literal["job"]
    status: Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
    kind: str
    model: str
    session_id: str | None
    batch_id: str | None
    custom_id: str | None
    priority: int
    created_at: int
    queued_at: int
    started_at: int | None
    finished_at: int | None
    attempt: int
    evidence: list[dict[str, Any]] | None = None
    cancel_requested: bool
    position: int | None
    reason: str | None
    result: dict[str, Any] | None
    usage: dict[str, Any] | None
    provenance: dict[str, Any] | None
    reused_from: ReusedFrom | None
    error: ErrorDetail | None
    trace_id: str | None
    metadata: dict[str, str] | None


class SessionObject(BaseModel):
    """A conversation."""

    id: str
    object: Literal["session"]
    num_turns: int
    metadata: dict[str, str] | None
    created_at: int
    updated_at: int


class TurnObject(BaseModel):
    """One exchange of a session."""

    object: Literal["session.turn"]
    number: int
    job_id: str
    messages: list[dict[str, Any]]
    answer: str
    pinned: bool
    created_at: int


class SymbolObject(BaseModel):
    """A symbol of the context memory; `versions` are its earlier ones, the newest first."""

    id: str
    object: Literal["session.symbol"]
    name: str
    kind: Literal["function", "class", "variable", "import"]
    language: str
    version: int
    signature: str | None
    type: str | None
    value: str | None
    code: str
    session_id: str | None
    scope: str | None
    job_id: str
    pinned: bool
    created_at: int
    versions: list[dict[str, Any]]


class ForgottenObject(BaseModel):
    """How many stored versions of symbols are gone."""

    object: Literal["list"]
    deleted: int


class PinnedObject(BaseModel):
    """Whether a symbol of a scope is kept beyond limit and age."""

    object: Literal["scope.symbol"]
    name: str
    pinned: bool


class InstructionObject(BaseModel):
    """The syntax tree of an instruction: see docs/coding.md."""

    object: Literal["instruction"]
    intent: Literal["create", "change", "fix", "explain", "test", "convert"]
    target: Literal["function", "class", "script", "query", "configuration"]
    language: str | None
    locale: Literal["en", "zh", "ja"]
    name: str | None
    parameters: list[dict[str, str | None]]
    returns: str | None
    constraints: list[str]
    examples: list[str]
    references: list[str]
    scope: Literal["session", "file", "module"] | None
    confidence: float
    text: list[str]
    code: list[dict[str, Any]]
    spans: dict[str, Any]


class FileObject(BaseModel):
    """OpenAI's file object."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["uploaded", "processed", "error"]
    status_details: str | None


class RequestCounts(BaseModel):
    """Lines of a batch; those that expired or were cancelled count as failed."""

    total: int
    completed: int
    failed: int


class BatchObject(BaseModel):
    """OpenAI's batch object; from `paused` on fields of ours. Times are Unix seconds."""

    id: str
    object: Literal["batch"]
    endpoint: str
    model: str | None
    errors: dict[str, Any] | None
    input_file_id: str
    completion_window: str
    status: Literal[
        "validating",
        "failed",
        "in_progress",
        "finalizing",
        "completed",
        "expired",
        "cancelling",
        "cancelled",
    ]
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: dict[str, Any]
    metadata: dict[str, str] | None
    paused: bool
    retried_from: str | None
    reused_lines: int
    eta_at: int | None
    at_risk: bool
    lines_per_second: float | None
    tokens_per_second: float | None
    remaining_tokens: int | None
    retries: list[str]
    model_config = ConfigDict(extra="allow")


class ChatCompletion(BaseModel):
    """OpenAI's chat completion; streamed, `chat.completion.chunk` events and `[DONE]`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]
    provenance: dict[str, Any]


class TextCompletion(BaseModel):
    """OpenAI's completion; streamed, events of the same shape and `[DONE]`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]
    provenance: dict[str, Any]


class ResponseObject(BaseModel):
    """OpenAI's response object."""

    id: str
    object: Literal["response"]
    created_at: float
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    instructions: str | None
    metadata: dict[str, str]
    model: str
    output: list[dict[str, Any]]
    previous_response_id: str | None
    truncation: Literal["auto", "disabled"]
    usage: dict[str, Any] | None
    model_config = ConfigDict(extra="allow")


class PredictionObject(BaseModel):
    """The likeliest next tokens, best first."""

    object: Literal["prediction"]
    model: str
    predictions: list[dict[str, Any]]
    usage: dict[str, Any]
    provenance: dict[str, Any]


class ListObject(BaseModel):
    """A page of a list."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class BatchList(BaseModel):
    """A page of batches."""

    object: Literal["list"]
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ResultList(ListObject):
    """A page of a batch's results; `cursor` is where the next one begins."""

    cursor: str
    batch_status: str


class ManifestObject(BaseModel):
    """What binds a batch's files to what made them."""

    model_config = ConfigDict(extra="allow")

    object: Literal["batch.manifest"]
    version: int
    batch_id: str
    input: dict[str, Any]
    output: dict[str, Any] | None
    errors: dict[str, Any] | None
    request_counts: dict[str, int]
    origins: list[dict[str, Any]]


class ValidationObject(BaseModel):
    """What a batch of a file would meet: the findings, and what they add up to."""

    object: Literal["batch.validation"]
    data: list[dict[str, Any]]
    valid: bool
    model: str | None
    lines: int
    errors: int
    warnings: int
    prompt_tokens: int | None
    max_answer_tokens: int
    estimate: dict[str, Any]


class DeletedObject(BaseModel):
    """What is no more."""

    id: str
    object: str
    deleted: Literal[True]


class HealthObject(BaseModel):
    """Whether the service can serve, and why not."""

    status: Literal["healthy", "unhealthy"]
    reasons: list[dict[str, str]] | None = None


ERRORS: ResponseDict = dict.fromkeys((400, 401, 404, 405, 429, 500, 503), ErrorBody)
"""What any route may answer when it refuses or cannot serve."""

CHANGES: ResponseDict = ERRORS | dict.fromkeys((409, 413, 415, 507), ErrorBody)
"""The same of routes that take bodies and change what is stored."""

WAITS: ResponseDict = CHANGES | dict.fromkeys((499, 504), ErrorBody)
"""The same of calls that wait for a job; 499 (the client hung up) stands in logs and metrics only."""

CONTENTS: ResponseDict = CHANGES | {416: ErrorBody}
"""The same of routes that give out bytes."""
