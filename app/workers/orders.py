"""From a claimed job to an engine request, and from an engine output to the job's outcome."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from app import clock, text
from app.errors import AutoglmError, EngineError
from app.inference.engine import (
    FinishReason,
    Guide,
    GuideKind,
    Likely,
    Logprob,
    Output,
    Request,
    Sampling,
)
from app.models import lineage, sessions
from app.models.database import Database
from app.models.states import JobState
from app.text import Tokenizer
from app.wire import responses
from app.wire.rows import Job, Outcome, Problem, Result, Turn
from app.workers import shortening

Messages = list[dict[str, Any]]
_PAGE_TURNS = 1000
_ANSWER_SHARE = (
    4  # at most this part of the context is kept free for an answer whose length nobody set
)


@dataclass(frozen=True)
class Spent:
    """Tokens of the earlier asks of one job, under the names of wire.rows.Result."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def plus(self, output: Output) -> "Spent":
        """With those of this output, all its choices."""
        others = getattr(output, "others", ())
        return Spent(
            self.prompt_tokens + output.prompt_tokens,
            self.completion_tokens + sum(len(each.tokens) for each in (output, *others)),
            self.cached_tokens + output.cached_tokens,
        )


@dataclass(frozen=True)
class Order:
    """A claimed job as the engine will run it."""

    job: Job
    request: Request
    asks: int = 1  # which time this is that the model is asked
    spent: Spent = Spent()

    @property
    def key(self) -> tuple[int, str, int]:
        """Sorts by the policy."""
        return self.job.rank


def prepare(db: Database, tokenizer: Tokenizer, job: Job, max_context: int | None) -> Order:
    """Renders and tokenizes a job, its session's earlier turns first. Raises AutoglmError when
    the job itself cannot run (too long, a template that refuses it)."""
    text.refuse_huge(tokenizer, responses.find_least(job.request), max_context)
    if "prompt" in job.request:
        return make(tokenizer, job, max_context, None)
    said = [message for turn in read_turns(db, job) for message in _repeat(turn)]
    said += job.request["messages"]
    fixed = _read_instructions(job)

    def compose(kept: Messages) -> Order:
        text.refuse_huge(tokenizer, {"messages": kept}, max_context)
        return make(tokenizer, job, max_context, [*fixed, *kept])

    if max_context is not None and responses.may_shorten(job.request):
        said = shortening.shorten(said, lambda kept: _fits(job, kept, compose, max_context))
    return compose(said)


def _fits(job: Job, said: Messages, compose: Callable[[Messages], Order], max_context: int) -> bool:
    """Whether the conversation leaves room for the answer: as long as it may be, or a share."""
    try:
        order = compose(said)
    except AutoglmError as error:
        if error.code != "context_length_exceeded":
            raise
        return False
    wanted = min(_read_sampling(job).max_tokens, max_context // _ANSWER_SHARE)
    return order.request.sampling.max_tokens >= wanted


def make(
    tokenizer: Tokenizer,
    job: Job,
    max_context: int | None,
    messages: Messages | None,
    beginning: str = "",
) -> Order:
    """The order for a conversation; without one, for the job's raw prompt. `beginning` is what the
    answer starts with: the model only goes on from there."""
    if messages is None:
        prompt = tokenizer.encode(job.request["prompt"])
    else:
        prompt = tokenizer.prompt(messages, job.request.get("template"))
        prompt += tokenizer.encode(beginning) if beginning else []
    sampling = _read_sampling(job)
    if max_context is not None:
        sampling = _fit(sampling, job, len(prompt), max_context)
    request = Request(
        id=f"{job.id}:{job.attempt}",
        prompt=tuple(prompt),
        sampling=sampling,
        priority=job.priority,
        deadline=_deadline(job),
        cache_salt=job.tenant_id,
        stream=bool(job.request.get("stream")),
    )
    return Order(job, request)


def hold(order: Order, pattern: str) -> Order:
    """The order whose whole answer must match a regular expression."""
    sampling = replace(order.request.sampling, guided=Guide(GuideKind.REGEX, pattern))
    return replace(order, request=replace(order.request, sampling=sampling))


def draw(order: Order, count: int, heat: float) -> Order:
    """The order that draws several answers, at temperature `heat` unless the job sets one, with the
    log-probability of every token."""
    old = order.request.sampling
    sampling = replace(
        old, n=count, temperature=old.temperature or heat, logprobs=old.logprobs or 0
    )
    return replace(order, request=replace(order.request, sampling=sampling))


def _read_instructions(job: Job) -> Messages:
    """What a response was told beside its input; later turns of its session do not see it."""
    told = job.request.get("instructions")
    return [] if told is None else [{"role": "system", "content": told}]


def _repeat(turn: Turn) -> Messages:
    return [*turn.messages, {"role": "assistant", "content": turn.answer}]


def read_turns(db: Database, job: Job) -> list[Turn]:
    """What was said before: the lines before this one in its batch, or the turns of the session."""
    if job.parent_line is not None:
        return [_as_turn(line) for line in _read_lines(db, job)]
    return [] if job.session_id is None else list(_iterate_turns(db, job.session_id))


def _read_lines(db: Database, job: Job) -> list[Job]:
    """The lines before this one in its batch. EngineError ("dependency_failed") if the nearest has
    no answer: what follows on it would make no sense."""
    before = lineage.list_before(db, job)
    if not before or before[-1].result is None:
        missing = before[-1].custom_id if before else None
        raise EngineError(
            "dependency_failed", param="previous_response_id", custom_id=missing or job.parent_line
        )
    return before


def _as_turn(line: Job) -> Turn:
    answer = line.result.text if line.result else ""
    number = line.line_no or 0
    return Turn("", number, line.id, line.request["messages"], answer, line.created_at)


def _iterate_turns(db: Database, session_id: str) -> Iterator[Turn]:
    """Every turn in order. None can be added meanwhile: a session's jobs run one by one."""
    last = 0
    while page := sessions.list_turns(db, session_id, after=last, limit=_PAGE_TURNS):
        yield from page
        last = page[-1].turn_no


def _read_sampling(job: Job) -> Sampling:
    given = dict(job.request.get("sampling", {}))
    given["stop"] = tuple(given.get("stop", ()))
    given["logit_bias"] = tuple(map(tuple, given.get("logit_bias", ())))
    if guided := given.get("guided"):
        given["guided"] = Guide(GuideKind(guided["kind"]), guided["text"])
    given.setdefault("seed", _default_seed(job.id))
    if job.kind == "code":
        given.setdefault("temperature", 0.0)  # one likeliest program rather than a varied one
    return Sampling(**given)


def _default_seed(job_id: str) -> int:
    """A seed of the job's own: a second attempt draws the same tokens as the first."""
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:4], "big")


def _fit(sampling: Sampling, job: Job, length: int, max_context: int) -> Sampling:
    """max_tokens that the client did not set shrinks to what the context leaves."""
    left = max_context - length
    if left < 1:
        raise EngineError(
            "context_length_exceeded", param=_field(job), tokens=length, limit=max_context
        )
    if "max_tokens" in job.request.get("sampling", {}):
        tokens = length + sampling.max_tokens
        if tokens > max_context:
            raise EngineError(
                "context_length_exceeded", param="max_tokens", tokens=tokens, limit=max_context
            )
        return sampling
    return replace(sampling, max_tokens=min(sampling.max_tokens, left))


def _field(job: Job) -> str:
    return "messages" if "messages" in job.request else "prompt"


def _deadline(job: Job) -> float | None:
    if job.expires_at is None:
        return None
    return time.monotonic() + job.expires_at - clock.earliest()


def refuse(job: Job, error: AutoglmError) -> Outcome:
    """The outcome of a job that the engine never ran."""
    problem = Problem(error.code, error.param, error.values)
    return Outcome(job.id, job.attempt, JobState.FAILED, problem=problem)


_STATES = {
    FinishReason.STOP: JobState.SUCCEEDED,
    FinishReason.LENGTH: JobState.SUCCEEDED,
    FinishReason.CANCELLED: JobState.CANCELLED,
    FinishReason.EXPIRED: JobState.EXPIRED,
    FinishReason.ERROR: JobState.FAILED,
}


def conclude(order: Order, output: Output, provenance: dict[str, Any]) -> Outcome:
    """The outcome that an engine output means for its job."""
    job, state = order.job, _STATES[output.finish_reason]
    if state == JobState.SUCCEEDED:
        return Outcome(
            job.id,
            job.attempt,
            state,
            result=_result(order, output, provenance),
            messages=job.request.get("messages") or _as_message(job),
        )
    problem = None
    if state == JobState.FAILED:
        problem = Problem(output.error_code or "engine_failed", values={"reason": _reason(output)})
    return Outcome(job.id, job.attempt, state, problem=problem)


def _result(order: Order, output: Output, provenance: dict[str, Any]) -> Result:
    return Result(
        text=output.text,
        finish_reason=output.finish_reason.value,
        prompt_tokens=output.prompt_tokens,
        completion_tokens=sum(len(each.tokens) for each in (output, *output.others)),
        cached_tokens=output.cached_tokens,
        provenance=provenance | {"seed": order.request.sampling.seed},
        details=_show_details(output),
    )


def _show_details(output: Output) -> dict[str, Any] | None:
    """What app.wire.rows.Result keeps as `details`."""
    found: dict[str, Any] = {}
    if output.logprobs is not None:
        found["logprobs"] = list(map(show_logprob, output.logprobs))
    if output.others:
        found["others"] = list(map(_show_choice, output.others))
    return found or None


def _show_choice(output: Output) -> dict[str, Any]:
    logprobs = None if output.logprobs is None else list(map(show_logprob, output.logprobs))
    return {
        "text": output.text,
        "finish_reason": output.finish_reason.value,
        "logprobs": logprobs,
    }


def show_logprob(entry: Logprob) -> dict[str, Any]:
    """As app.wire.rows.Choice keeps it."""
    return {**_show_likely(entry), "top_logprobs": list(map(_show_likely, entry.top))}


def _show_likely(entry: Likely) -> dict[str, Any]:
    return {"token": entry.token, "logprob": entry.logprob, "bytes": list(entry.bytes)}


def _as_message(job: Job) -> Messages:
    return [{"role": "user", "content": job.request.get("prompt", "")}]


def _reason(output: Output) -> str:
    return output.error_message or output.error_code or "unknown"
