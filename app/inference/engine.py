"""The engine's contract: what goes in, what comes out, and the Protocol all back ends share."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class FinishReason(StrEnum):
    """Why a sequence ended; the first two are OpenAI's words."""

    STOP = "stop"  # an end-of-sequence token or a stop string
    LENGTH = "length"  # max_tokens reached
    CANCELLED = "cancelled"  # cancel() was called
    EXPIRED = "expired"  # the request's deadline passed
    ERROR = "error"  # this request alone failed; see Output.error_code


class GuideKind(StrEnum):
    """How Guide.text is to be read."""

    JSON_OBJECT = "json_object"  # any JSON object; no text
    JSON_SCHEMA = "json_schema"  # a JSON schema
    REGEX = "regex"  # a regular expression that the whole text matches
    CHOICE = "choice"  # a JSON list of strings, one of which is the text


@dataclass(frozen=True)
class Guide:
    """What the whole text must look like."""

    kind: GuideKind
    text: str = ""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen, with the names and meanings of OpenAI and vLLM: docs/sampling.md has
    each formula and the order.

    temperature 0 is greedy. top_k 0 means no limit. The draw at position p depends on (seed, p)
    alone, never on neighbours in the batch. `logprobs` N asks for the log-probability of each
    token and of the N likeliest in its place. `n` choices are made of one prompt.
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()  # (token id, what is added to its logit)
    logprobs: int | None = None
    n: int = 1
    guided: Guide | None = None

    @property
    def has_penalties(self) -> bool:
        """Whether earlier tokens change the logits of later ones."""
        penalties = self.repetition_penalty, self.presence_penalty, self.frequency_penalty
        return penalties != (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Request:
    """One sequence to generate. Higher `priority` is served first; `deadline` is time.monotonic().
    Below 0 nobody waits for this answer alone, and neighbours of one priority may change places.

    `cache_salt` (the tenant) keeps prefix blocks from being shared between tenants. Of a request
    with `stream` the engine also reports the text as it grows, see Engine.deltas.
    """

    id: str
    prompt: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)
    priority: int = 0
    deadline: float | None = None
    cache_salt: str = ""
    stream: bool = False


@dataclass(frozen=True)
class Likely:
    """A token with the natural logarithm of its probability. `bytes` are what it adds to the text;
    `token` shows them, with U+FFFD for those that are no UTF-8 by themselves."""

    token: str
    bytes: bytes
    logprob: float


@dataclass(frozen=True)
class Logprob(Likely):
    """A generated token, and the likeliest in its place, best first."""

    top: tuple[Likely, ...] = ()


@dataclass(frozen=True)
class Output:
    """The end of one request: its generated token ids (EOS excluded) and their text. With
    `logprobs` there is one entry for each token; with `n` > 1 `others` are the second and further
    choices, under the same id."""

    id: str
    tokens: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int = 0
    error_code: str | None = None
    error_message: str | None = None
    logprobs: tuple[Logprob, ...] | None = None
    others: tuple["Output", ...] = ()


@dataclass(frozen=True)
class Delta:
    """What became certain of a streamed request since the last: whole characters that no stop
    string can take back, and how many tokens were chosen meanwhile, with their log-probabilities
    if those were asked for. `choice` counts from 0."""

    id: str
    text: str
    tokens: int
    choice: int = 0
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True)
class Stats:
    """Counters since the engine was built, and gauges of now."""

    steps: int = 0
    waiting: int = 0
    running: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0
    blocks_total: int = 0
    blocks_free: int = 0


class Engine(Protocol):
    """What a shift drives. Single-threaded: every method is called from one thread."""

    def add(self, request: Request) -> None:
        """Accepts a request, or raises EngineError with its code (prompt_too_long, bad_token,
        duplicate_id, ...). The engine and its neighbours are untouched by a refusal."""

    def cancel(self, request_id: str) -> None:
        """Ends a request at the next step with FinishReason.CANCELLED; unknown ids are ignored."""

    def step(self) -> list[Output]:
        """One forward pass over the sequences in flight; returns those that ended. Never raises
        for one request's fault. With nothing in flight it returns [] at once."""

    def deltas(self) -> list[Delta]:
        """What the streamed requests gained since the last call. Asked after each step; the texts
        of one request add up to its Output's text, and its tokens to the Output's. Of a request
        that step() has just returned the last delta is among these."""

    @property
    def room(self) -> int:
        """How many more requests it is worth adding now; 0 when full."""

    @property
    def num_unfinished(self) -> int:
        """Requests added and not yet returned."""

    @property
    def stats(self) -> Stats:
        """Counters and gauges."""

    @property
    def provenance(self) -> dict[str, str | None]:
        """weights_sha256, model, revision, dtype, device, engine (name and version)."""
