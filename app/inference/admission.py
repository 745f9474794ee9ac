"""What every engine demands of a request before it is let in."""

import math
from collections.abc import Collection

from app.errors import EngineError
from app.inference import engine


def check(request: engine.Request, *, vocabulary: int, context: int) -> None:
    """Raises EngineError unless prompt and max_tokens fit `context` tokens, all ids lie below
    `vocabulary`, and the sampling parameters are in range and of their types."""
    _check_types(request)
    _check_sampling(request.sampling)
    for token, _ in request.sampling.logit_bias:
        if not 0 <= token < vocabulary:
            raise EngineError("bad_bias", param="logit_bias", token=token, vocabulary=vocabulary)
    if not request.prompt:
        raise EngineError("empty_prompt", param="prompt")
    _check_length(len(request.prompt), request.sampling.max_tokens, context)
    if min(request.prompt) < 0 or max(request.prompt) >= vocabulary:
        bad = next(token for token in request.prompt if not 0 <= token < vocabulary)
        raise EngineError("bad_token", param="prompt", token=bad, vocabulary=vocabulary)


def _check_types(request: engine.Request) -> None:
    """Values that would be let in by their comparisons and stop the step of all, later."""
    allowed = {
        "id": isinstance(request.id, str),
        "prompt": all(isinstance(token, int) for token in request.prompt),
        "priority": isinstance(request.priority, int),
        "deadline": request.deadline is None or isinstance(request.deadline, int | float),
        "cache_salt": _is_text(request.cache_salt),
        "sampling": _has_types(request.sampling),
    }
    for name, is_allowed in allowed.items():
        if not is_allowed:
            value = getattr(request, name)
            raise EngineError("bad_sampling", param=name, name=name, value=repr(value)[:80])


def _has_types(sampling: engine.Sampling) -> bool:
    whole = (sampling.max_tokens, sampling.top_k, sampling.seed, sampling.n, sampling.logprobs or 0)
    real = (
        sampling.temperature,
        sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty,
        sampling.presence_penalty,
        sampling.frequency_penalty,
        *(added for _, added in sampling.logit_bias),
    )
    return (
        all(type(each) is int for each in (*whole, *(token for token, _ in sampling.logit_bias)))
        and all(type(each) in (int, float) for each in real)
        and type(sampling.stop) is tuple
        and all(_is_text(each) for each in sampling.stop)
    )


def _is_text(value: object) -> bool:
    """Whether it is a string that has bytes: a lone surrogate has none."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _check_length(prompt: int, max_tokens: int, context: int) -> None:
    if prompt + max_tokens > context:
        raise EngineError(
            "prompt_too_long",
            param="prompt",
            prompt_tokens=prompt,
            max_tokens=max_tokens,
            limit=context,
        )


def _check_sampling(sampling: engine.Sampling) -> None:
    allowed = {
        "max_tokens": sampling.max_tokens >= 1,
        "temperature": 0 <= sampling.temperature < math.inf,
        "top_p": 0 < sampling.top_p <= 1,
        "top_k": sampling.top_k >= 0,
        "min_p": 0 <= sampling.min_p <= 1,
        "stop": all(sampling.stop),
        "repetition_penalty": 0.01 <= sampling.repetition_penalty <= 100,
        "presence_penalty": -2 <= sampling.presence_penalty <= 2,
        "frequency_penalty": -2 <= sampling.frequency_penalty <= 2,
        "logit_bias": _is_bias(sampling.logit_bias),
        "logprobs": sampling.logprobs is None or 0 <= sampling.logprobs <= 20,
        "n": sampling.n == 1,  # app.inference.choices makes single requests of several choices
    }
    for name, is_allowed in allowed.items():
        if not is_allowed:
            value = getattr(sampling, name)
            raise EngineError("bad_sampling", param=name, name=name, value=value)


def _is_bias(entries: Collection[tuple[int, float]]) -> bool:
    """Whether all is in range, and each token named once."""
    in_range = all(-100 <= added <= 100 for _, added in entries)
    return in_range and len({token for token, _ in entries}) == len(entries)
