"""The rows of the store as frozen dataclasses. Times are Unix seconds."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """Why a job failed: an error code, the parameter at fault, and the values of its message."""

    code: str
    param: str | None = None
    values: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "param": self.param, "values": self.values or {}}

    @property
    def spent(self) -> dict[str, int] | None:
        """The tokens of answers that were made and refused, under the names of Result."""
        return (self.values or {}).get("usage") if self.code == "schema_violation" else None


@dataclass(frozen=True)
class Choice:
    """One answer. `logprobs` has an entry for each token, as OpenAI's chat completions write it:
    {"token": str, "logprob": float, "bytes": [int], "top_logprobs": [{"token", "logprob", "bytes"}]};
    app.wire.logprobs makes both endpoints' objects of it."""

    text: str
    finish_reason: str
    logprobs: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Result:
    """What a succeeded job produced, and what produced it. `completion_tokens` counts the tokens of
    all choices. `details` is what few jobs have: {"logprobs": [entries of the first choice],
    "others": [{"text", "finish_reason", "logprobs"}: the second and further choices]}."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    provenance: dict[str, Any]
    coding: dict[str, Any] | None = None  # of a code job: see app.coding.pipeline
    details: dict[str, Any] | None = None
    reused_from: dict[str, str] | None = None  # the line that was run for it: job_id, custom_id

    @property
    def choices(self) -> list[Choice]:
        """All answers in their order; a job without `n` has one."""
        details = self.details or {}
        first = Choice(self.text, self.finish_reason, details.get("logprobs"))
        return [first, *(Choice(**other) for other in details.get("others", ()))]


@dataclass(frozen=True)
class NewSymbol:
    """A symbol that a code answer defines; `kind` is function, class, variable or import."""

    name: str
    kind: str
    language: str
    code: str
    signature: str | None = None
    type: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Memo:
    """What an answer leaves in the context memory, and where: in its session, in a scope, or both."""

    tenant_id: str
    job_id: str
    session_id: str | None
    scope: str | None
    symbols: tuple[NewSymbol, ...]
    max_symbols: int


@dataclass(frozen=True)
class Symbol:
    """A stored symbol. Only the newest version is current."""

    id: int
    tenant_id: str
    session_id: str | None
    scope: str | None
    name: str
    kind: str
    language: str
    version: int
    signature: str | None
    type: str | None
    value: str | None
    code: str
    job_id: str
    pinned: bool
    is_current: bool
    created_at: float


@dataclass(frozen=True)
class Job:
    """One generation request with its outcome. `request` holds `messages` or `prompt`, and
    `sampling` (the fields of inference.engine.Sampling that the client set)."""

    id: str
    seq: int
    tenant_id: str
    kind: str
    model: str
    endpoint: str
    state: str
    priority: int
    attempt: int
    crashes: int
    request: dict[str, Any]
    session_id: str | None
    batch_id: str | None
    custom_id: str | None
    line_no: int | None
    cancel_requested: bool
    error: dict[str, Any] | None
    metadata: dict[str, str] | None
    trace_id: str | None
    created_at: float
    queued_at: float
    started_at: float | None
    finished_at: float | None
    expires_at: float | None
    parent_line: int | None = None  # the line of the same batch that this one follows on
    place: str = ""  # among the jobs of its priority: see app.models.picks
    is_twin: bool = False  # answered from an identical line, not run
    result: Result | None = None

    @property
    def rank(self) -> tuple[int, str, int]:
        """The smaller is claimed first: priority, then place, then arrival."""
        return -self.priority, self.place, self.seq


@dataclass(frozen=True)
class NewJob:
    """What a client asks for, checked, before it has an id."""

    tenant_id: str
    key_id: str | None
    model: str
    request: dict[str, Any]
    kind: str = "text"
    endpoint: str = "/v1/jobs"
    priority: int = 0
    session_id: str | None = None
    idempotency_key: str | None = None
    request_hash: str | None = None
    metadata: dict[str, str] | None = None
    trace_id: str | None = None
    expires_at: float | None = None
    webhook: str | None = None  # the URL to tell when it has ended
    is_announced: bool = False  # to the configured endpoints


@dataclass(frozen=True)
class File:
    """A stored file; `path` is relative to the files folder."""

    id: str
    tenant_id: str
    key_id: str | None
    filename: str
    purpose: str
    bytes: int
    sha256: str
    path: str
    created_at: float
    expires_at: float | None


@dataclass(frozen=True)
class Batch:
    """OpenAI's batch object, with our bookkeeping."""

    id: str
    seq: int
    tenant_id: str
    key_id: str | None
    endpoint: str
    model: str | None
    status: str
    completion_window: str
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None
    request_hash: str
    errors: list[dict[str, Any]] | None
    metadata: dict[str, str] | None
    output_expires_seconds: int | None
    locale: str
    trace_id: str | None
    lines_ingested: int
    total: int
    completed: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    created_at: float
    expires_at: float
    in_progress_at: float | None
    finalizing_at: float | None
    completed_at: float | None
    failed_at: float | None
    expired_at: float | None
    cancelling_at: float | None
    cancelled_at: float | None
    settles: int = 0
    paused_at: float | None = None
    retried_from: str | None = None
    reused_lines: int = 0  # answered from identical lines
    unrun: int = 0  # of `failed`: refused or cancelled before a worker had them
    reused_tokens: int = 0  # of those answers: shown as output, but not computed again


@dataclass(frozen=True)
class NewBatch:
    """A batch that a client asks for, checked, before it has an id. `retry_seconds`: the request
    repeats one that was sent at most so long ago, and whose answer was lost. `tries`: how many came
    before it; None if the client does not count them."""

    tenant_id: str
    key_id: str | None
    endpoint: str
    input_file_id: str
    completion_window: str
    window_seconds: int
    request_hash: str
    locale: str
    idempotency_key: str | None = None
    metadata: dict[str, str] | None = None
    output_expires_seconds: int | None = None
    trace_id: str | None = None
    webhook: str | None = None  # the URL to tell when it has ended
    retry_seconds: float | None = None
    tries: int | None = None
    retried_from: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What a worker left that died. `cause`: `hang` (a step did not end), `fault` (the process
    broke), `error` (the engine raised), `killed` (from outside: the system ran out of memory, or an
    operator). `stacks` is text, `log` the last lines."""

    cause: str
    stacks: str
    log: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One attempt at a job, by the worker that had it; `outcome` is `running` for the present one."""

    attempt: int
    slot: str | None
    epoch: int | None
    claimed_at: float | None
    ended_at: float | None
    outcome: str


@dataclass(frozen=True)
class Event:
    """What happened to an object: webhooks tell it."""

    id: str
    tenant_id: str
    type: str
    object_id: str
    created_at: float


@dataclass(frozen=True)
class Line:
    """One checked line of a batch file; `problem` is why it cannot run, its neighbours do.
    `custom_id` is None where it could not be read."""

    line_no: int
    custom_id: str | None
    model: str
    request: dict[str, Any]
    problem: Problem | None = None
    kind: str = "text"
    session_id: str | None = None
    parent_line: int | None = None
    place_key: str = ""  # see app.intake.places
    twin_no: int | None = None  # the first line with the same request; see app.intake.twins


@dataclass(frozen=True)
class Delivery:
    """An event about an object, on its way to one URL. `is_general` marks the operator's own URL."""

    id: str
    tenant_id: str
    object_id: str
    type: str
    url: str
    is_general: bool
    state: str  # pending | delivered | failed
    attempts: int
    status_code: int | None
    reason: str | None
    created_at: float
    next_at: float
    ended_at: float | None


@dataclass(frozen=True)
class Session:
    """A conversation."""

    id: str
    tenant_id: str
    metadata: dict[str, str] | None
    num_turns: int
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class Turn:
    """One exchange of a session: what the client said, and the answer."""

    session_id: str
    turn_no: int
    job_id: str
    messages: list[dict[str, Any]]
    answer: str
    created_at: float
    pinned: bool = False


@dataclass(frozen=True)
class Key:
    """A bearer key; the secret itself is never stored."""

    id: str
    tenant_id: str
    name: str
    prefix: str
    created_at: float
    revoked_at: float | None


@dataclass(frozen=True)
class Worker:
    """A worker incarnation: the holder of a slot's lease under `epoch`."""

    slot: str
    epoch: int
    state: str
    reason: str | None
    model: str
    machine: str
    pid: int
    parent_pid: int
    pulse: int
    step: int
    in_flight: int
    in_shift: bool
    shifts: int
    model_loads_total: int
    provenance: dict[str, Any] | None
    started_at: float
    pulsed_at: float


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed job's text: what its attempt added to a choice after `start`
    characters, and the log-probabilities of its tokens as in `Choice.logprobs`, None if they were not
    asked for. `id` grows; a chunk that is not stored yet has 0."""

    job_id: str
    attempt: int
    choice: int
    start: int
    text: str
    id: int = 0
    logprobs: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Outcome:
    """How one attempt of a job ended, for the store to accept or refuse."""

    job_id: str
    attempt: int
    state: str  # succeeded | failed | cancelled | expired
    result: Result | None = None
    problem: Problem | None = None
    messages: list[dict[str, Any]] | None = None  # the session turn, when the job has a session
    memo: Memo | None = None  # what a code job leaves in the context memory
