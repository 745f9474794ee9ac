"""What the real engine with the shipped model answers when nothing disturbs it."""

from dataclasses import replace
from functools import cached_property

from app import settings
from app.inference.engine import Request, Sampling
from app.workers import loading
from app.workers.loading import Loaded
from tests.faults.sent import Body, Messages, compose
from tests.faults.toxics import KINDS

MODEL = replace(settings.load(environ={}).models[0], max_sequences=8)
STEP_TIMEOUT_SECONDS = 60.0
_SINGLE = ("F01", "F02", "F05", "F06", "F07", "F09", "F11", "F14", "F16", "F21", "F32", "F34")
FAULTS = (*_SINGLE, *(f"F12 {kind}" for kind in KINDS))
"""Those that need no marks in prompts, which only the fake engine obeys."""


class Oracle:
    """Runs one request alone; a campaign compares each result with it."""

    @cached_property
    def _loaded(self) -> Loaded:
        return loading.load(MODEL, "cpu")

    def __call__(self, body: Body, said: Messages = ()) -> str:
        prompt = self._loaded.tokenizer.prompt(compose(body, said))
        sampling = Sampling(max_tokens=body["max_tokens"], seed=body["seed"])
        self._loaded.engine.add(Request("r", tuple(prompt), sampling))
        while not (outputs := self._loaded.engine.step()):
            pass
        return outputs[0].text
