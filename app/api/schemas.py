"""Paths, queries and bodies of the routes, as OpenAPI shows them."""

from functools import cache
from typing import Annotated, Any, Literal

from flask_openapi.models.file import FileStorage
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.wire import bodies

MAX_PRIORITY = 100
_MAX_PAGE = 100
_MAX_KEPT_ID = 64  # characters of an id that the store keeps

Metadata = bodies.Metadata
UploadPurpose = Literal["batch", "assistants", "fine-tune", "vision", "user_data", "evals"]
Purpose = Literal[  # of files that nobody uploads, too
    UploadPurpose, "assistants_output", "batch_output", "fine-tune-results"
]
ScopeName = Annotated[str, Field(min_length=1, max_length=128)]
ObjectId = Annotated[str, Field(min_length=1, max_length=128)]


def _cut(file_id: str) -> str:
    """An id longer than any of ours, so that it can be kept: it is unknown as every other is."""
    return file_id if len(file_id) <= _MAX_KEPT_ID else f"{file_id[: _MAX_KEPT_ID - 1]}…"


FileId = Annotated[str, AfterValidator(_cut)]


class _Query(BaseModel):
    """Query strings are text, so numbers in them are converted; unknown names are refused."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Remembered where nothing is asked for: the routing library asks on every request."""
        return super().model_json_schema(*args, **kwargs) if args or kwargs else _schema(cls)


@cache
def _schema(kind: type[_Query]) -> dict[str, Any]:
    return super(_Query, kind).model_json_schema()


class NoQuery(_Query):
    """No parameters are known."""


class Page(_Query):
    """A page of a list: what comes `after` an id."""

    limit: Annotated[int, Field(ge=1, le=_MAX_PAGE)] = 20
    after: ObjectId | None = None


class JobPage(Page):
    """A page of jobs, filtered."""

    status: Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"] | None = (
        None
    )
    model: bodies.ModelName | None = None
    session_id: ObjectId | None = None
    batch_id: ObjectId | None = None


class TurnPage(_Query):
    """A page of turns: those after turn number `after`."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[int, Field(ge=0, le=2**31)] = 0


class ResultPage(_Query):
    """A page of a batch's results: what ended after a cursor."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[str, Field(max_length=64)] | None = None


class SymbolPage(_Query):
    """A page of symbols: those after the number in an id (`sym_7`: 7)."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[int, Field(ge=0, le=2**62)] = 0


class FilePage(_Query):
    """A page of files."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    after: ObjectId | None = None
    order: Literal["asc", "desc"] = "desc"
    purpose: Purpose | None = None


class Wait(_Query):
    """How many seconds to wait for the job's end."""

    wait: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class JobPath(BaseModel):
    job_id: str


class SessionPath(BaseModel):
    session_id: str


class TurnPath(SessionPath):
    number: Annotated[int, Field(ge=1, le=2**31)]


class SymbolPath(SessionPath):
    name: Annotated[str, Field(max_length=256)]


class ScopePath(BaseModel):
    scope: Annotated[str, Field(max_length=128)]


class ScopedPath(ScopePath):
    name: Annotated[str, Field(max_length=256)]


class FilePath(BaseModel):
    file_id: str


class ResponsePath(BaseModel):
    response_id: str


class ResponseQuery(_Query):
    """Whether to follow a streamed response's events, and after which number."""

    stream: bool = False
    starting_after: Annotated[int, Field(ge=0, le=2**62)] | None = None
    include_obfuscation: Literal["false"] | None = None


class BatchPath(BaseModel):
    batch_id: str


class LinePath(BaseModel):
    batch_id: str
    line: str


class LineQuery(_Query):
    """What the line's name is, where it could be both; without it, the custom_id first."""

    by: Literal["custom_id", "number"] | None = None


class LineName(_Query):
    """A line's custom_id, whatever characters it has."""

    custom_id: Annotated[str, Field(min_length=1, max_length=256)]


class ModelPath(BaseModel):
    model: str


class JobBody(bodies.Native, bodies.Lenient):
    """A generation job: `prompt` (one user message) or `messages`, and how to sample."""

    session_id: ObjectId | None = None
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    kind: Literal["text", "code"] = "text"
    scope: ScopeName | None = None
    metadata: Metadata | None = None
    webhook: bodies.Webhook | None = None


class PredictBody(bodies.Lenient):
    """A raw text, and how many next tokens to name."""

    text: str
    top_k: Annotated[int, Field(ge=1, le=20)] = 5
    model: bodies.ModelName | None = None


class SessionBody(bodies.Strict):
    """A new conversation."""

    metadata: Metadata | None = None


class PinBody(bodies.Strict):
    """Whether something is kept when others are forgotten."""

    pinned: bool


class InstructionBody(bodies.Strict):
    """An instruction in English, Chinese or Japanese, with or without code in it."""

    instruction: Annotated[str, Field(max_length=1_000_000)]


class Expiry(bodies.Strict):
    """When an output file expires, counted from its own creation."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class BatchBody(bodies.Strict):
    """A batch over an uploaded file."""

    input_file_id: FileId
    endpoint: Literal["/v1/chat/completions", "/v1/completions", "/v1/responses"]
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: Expiry | None = None
    webhook: bodies.Webhook | None = None


class ValidateBody(BatchBody):
    """The batch whose file is to be judged: what POST /v1/batches takes."""

    completion_window: Literal["24h"] = "24h"


class FileForm(BaseModel):
    """The upload form, as OpenAI's clients send it."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    file: FileStorage
    purpose: UploadPurpose
    anchor: Literal["created_at"] | None = Field(None, alias="expires_after[anchor]")
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)] | None = Field(
        None, alias="expires_after[seconds]"
    )
