"""The request and the answer of /predict."""

import math
from typing import Any

from app.wire import render
from app.wire.rows import Job


def ask(text: str, top_k: int) -> dict[str, Any]:
    """The request of a job that generates one token, whichever it is, and tells the likeliest."""
    sampling = {"max_tokens": 1, "temperature": 0.0, "logprobs": top_k, "ignore_eos": True}
    return {"prompt": text, "sampling": sampling}


def show(job: Job) -> dict[str, Any]:
    """The candidates, best first; probabilities are those of the model itself."""
    assert job.result is not None
    (entry,) = job.result.choices[0].logprobs or [{"top_logprobs": []}]
    return {
        "object": "prediction",
        "model": job.model,
        "predictions": [_show_candidate(each) for each in entry["top_logprobs"]],
        "usage": render.usage(job.result),
        "provenance": job.result.provenance,
    }


def _show_candidate(candidate: dict[str, Any]) -> dict[str, Any]:
    """`token` shows the bytes as text; bytes that are no text by themselves as U+FFFD."""
    return {**candidate, "probability": math.exp(candidate["logprob"])}
