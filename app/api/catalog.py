"""The served models: names and aliases, and how many tokens a request has."""

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from app import text, weights
from app.errors import BadRequest, NotFound, WeightsError
from app.settings import Model

RETRY_SECONDS = 10.0  # before a tokenizer that could not be loaded is tried again
FAKE_CONTEXT = 131_072  # what the fake back end accepts when nothing is configured

_logger = logging.getLogger(__name__)


class Catalog:
    """Finds models by name. A tokenizer is loaded once, when first needed."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = {name: model for model in models for name in (model.name, *model.aliases)}
        self._tokenizers: dict[str, text.Tokenizer] = {}
        self._failed_at: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name a client may send."""
        return tuple(self._models)

    def preload(self) -> None:
        """Loads every tokenizer now, so that no request waits for one."""
        for model in self._models.values():
            self._tokenizer(model)

    def find(self, name: str) -> Model:
        """The model of this name or alias; NotFound("model_not_found") otherwise."""
        if name not in self._models:
            available = ", ".join(self._models) or "-"
            raise NotFound("model_not_found", param="model", model=name[:80], available=available)
        return self._models[name]

    def check_length(
        self, model: Model, request: Mapping[str, Any], *, limit_name: str = "max_tokens"
    ) -> None:
        """BadRequest("context_length_exceeded") unless prompt and answer fit the model's context;
        see `measure`."""
        self.measure(model, request, limit_name=limit_name)

    def measure(
        self, model: Model, request: Mapping[str, Any], *, limit_name: str = "max_tokens"
    ) -> int | None:
        """The prompt's tokens; None for a model whose tokenizer cannot be loaded. BadRequest
        ("context_length_exceeded") unless prompt and answer fit the model's context, if it has one,
        and "bad_bias" for a token in `logit_bias` that the model does not have.

        An answer whose length the client left open needs one token; `limit_name` is what the client
        calls that length. A tokenizer that cannot be loaded is the worker's to report: the request
        is let in unchecked.
        """
        tokenizer = self._tokenizer(model)
        limit = _limit(model, tokenizer)
        if tokenizer is None:
            return None
        _refuse_bias(request, tokenizer.vocabulary)
        text.refuse_huge(tokenizer, request, limit)
        prompt_tokens = _count(tokenizer, request)
        if limit is not None:
            _refuse_long(request, prompt_tokens, limit, limit_name)
        return prompt_tokens

    def _tokenizer(self, model: Model) -> text.Tokenizer | None:
        with self._lock:
            found = self._tokenizers.get(model.name)
            return self._try_load(model) if found is None else found

    def _try_load(self, model: Model) -> text.Tokenizer | None:
        """None if it cannot be loaded, or could not a moment ago."""
        now = time.monotonic()
        if now - self._failed_at.get(model.name, -math.inf) < RETRY_SECONDS:
            return None
        found = _load(model)
        if found is None:
            self._failed_at[model.name] = now
        else:
            self._tokenizers[model.name] = found
        return found


def _load(model: Model) -> text.Tokenizer | None:
    if model.backend == "fake":
        return text.Bytes(model.max_context or FAKE_CONTEXT)
    assert model.path is not None  # settings demand it of every other back end
    try:
        sealed = model.verify
        path = weights.verify_text(
            model.path, manifest=sealed.manifest, public_keys=sealed.public_keys
        )
        return text.load(path)
    except WeightsError as error:
        values = {"action": "tokenizer_failed", "model": model.name}
        _logger.warning("lengths of prompts are not checked: %s", error, extra=values)
        return None


def _refuse_bias(request: Mapping[str, Any], vocabulary: int | None) -> None:
    """As the engine would."""
    biases = request["sampling"].get("logit_bias") or ()
    bad = next(
        (token for token, _ in biases if vocabulary is not None and token >= vocabulary), None
    )
    if bad is not None:
        raise BadRequest("bad_bias", param="logit_bias", token=bad, vocabulary=vocabulary)


def _refuse_long(
    request: Mapping[str, Any], prompt_tokens: int, limit: int, limit_name: str
) -> None:
    tokens = prompt_tokens + request["sampling"].get("max_tokens", 1)
    if tokens > limit:
        values = {"prompt_tokens": prompt_tokens, "tokens": tokens, "limit": limit}
        field = "messages" if "messages" in request else "prompt"
        fault = field if prompt_tokens >= limit else limit_name
        raise BadRequest("context_length_exceeded", param=fault, **values)


def _limit(model: Model, tokenizer: text.Tokenizer | None) -> int | None:
    known = [model.max_context, tokenizer.max_context if tokenizer else None]
    return min((limit for limit in known if limit is not None), default=None)


def _count(tokenizer: text.Tokenizer, request: Mapping[str, Any]) -> int:
    if "messages" in request:
        return tokenizer.count(request["messages"], request.get("template"))
    return len(tokenizer.encode(request["prompt"]))
