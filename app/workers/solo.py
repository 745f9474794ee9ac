"""One model in this process without queue and store: for `generate_code(prompt)` in Python."""

import itertools
import threading
from typing import Any

from app import settings
from app.coding.backends import Drawn
from app.coding.prompts import Form, Messages
from app.coding.ranking import HEAT
from app.errors import EngineError
from app.inference import devices
from app.inference.engine import Guide, GuideKind, Output, Request, Sampling
from app.workers import loading
from app.workers.loading import Loaded

_MOST_TOKENS = 1024  # of an answer


class Solo:
    """Answers one conversation at a time, with the likeliest tokens or several drawn ones."""

    def __init__(self, loaded: Loaded, form: Form) -> None:
        self.form = form
        self._loaded = loaded
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def answer(self, messages: Messages, *, beginning: str = "", shape: str | None = None) -> str:
        """The answer, `beginning` included. EngineError("context_length_exceeded") for a
        conversation that leaves no room for one."""
        return self._ask(messages, beginning, shape, {"temperature": 0.0})[0].text

    def draw(self, messages: Messages, *, beginning: str, shape: str | None) -> list[Drawn]:
        """Several answers to choose from, each with `beginning`. Errors as above."""
        how = {"temperature": HEAT, "n": self.form.draws, "logprobs": 0}
        return self._ask(messages, beginning, shape, how)

    def _ask(
        self, messages: Messages, beginning: str, shape: str | None, how: dict[str, Any]
    ) -> list[Drawn]:
        tokenizer, limit = self._loaded.tokenizer, self._loaded.max_context
        prompt = [*tokenizer.prompt(messages), *(tokenizer.encode(beginning) if beginning else ())]
        left = _MOST_TOKENS if limit is None else min(_MOST_TOKENS, limit - len(prompt))
        if left < 1:
            raise EngineError(
                "context_length_exceeded", param="messages", tokens=len(prompt), limit=limit
            )
        guide = Guide(GuideKind.REGEX, shape) if shape else None
        sampling = Sampling(max_tokens=left, seed=0, guided=guide, **how)
        output = self._run(Request(self._name(), tuple(prompt), sampling))
        return [_show(each, beginning) for each in (output, *output.others)]

    def _name(self) -> str:
        return f"solo:{next(self._numbers)}"

    def _run(self, request: Request) -> Output:
        engine = self._loaded.engine
        with self._lock:
            engine.add(request)
            while not (outputs := engine.step()):
                pass
        if outputs[0].error_code is not None:
            raise EngineError(outputs[0].error_code, reason=outputs[0].error_message)
        return outputs[0]


def _show(output: Output, beginning: str) -> Drawn:
    likelihood = sum(each.logprob for each in output.logprobs or ())
    return Drawn(beginning + output.text, likelihood)


def load() -> Solo:
    """The first model of the configuration on the CPU or, where there is one, its GPU."""
    options = settings.load()
    model = options.models[0]
    visible = settings.variable("CUDA_VISIBLE_DEVICES")
    (device, *_) = devices.resolve(options.devices, visible=visible)
    return Solo(loading.load(model, device), read_form(model))


def read_form(model: settings.Model) -> Form:
    """How this model is spoken to."""
    words = {name: text for name, text in vars(model.code_template).items() if text}
    return Form(model.code_prompt, words, model.code_guide, model.code_draws)
