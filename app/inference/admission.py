"""What every engine demands of a request before it is let in."""

import math

from app.errors import EngineError
from app.inference import engine


def check(request: engine.Request, *, vocabulary: int, context: int) -> None:
    """Raises EngineError unless prompt and max_tokens fit `context` tokens, all ids lie below
    `vocabulary`, and the sampling parameters are in range."""
    _check_sampling(request.sampling)
    if not request.prompt:
        raise EngineError("empty_prompt", param="prompt")
    _check_length(len(request.prompt), request.sampling.max_tokens, context)
    if min(request.prompt) < 0 or max(request.prompt) >= vocabulary:
        bad = next(token for token in request.prompt if not 0 <= token < vocabulary)
        raise EngineError("bad_token", param="prompt", token=bad, vocabulary=vocabulary)


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
        "stop": all(sampling.stop),
    }
    for name, is_allowed in allowed.items():
        if not is_allowed:
            value = getattr(sampling, name)
            raise EngineError("bad_sampling", param=name, name=name, value=value)
