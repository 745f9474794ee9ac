"""The model behind `generate_code(prompt)` where the caller names none."""

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from app.coding.prompts import Form, Messages


@dataclass(frozen=True)
class Drawn:
    """The text of an answer, and the natural logarithm of its probability."""

    text: str
    likelihood: float


class Backend(Protocol):
    """A model in this process."""

    @property
    def form(self) -> Form:
        """How it is spoken to."""

    def answer(self, messages: Messages, *, beginning: str = "", shape: str | None = None) -> str:
        """Its answer, `beginning` put into its mouth, as the regular expression `shape` wants it."""

    def draw(self, messages: Messages, *, beginning: str, shape: str | None) -> list[Drawn]:
        """As many answers as its form says, drawn."""


@cache
def load() -> Backend:
    """The first configured model, or the shipped one, loaded once. Raises SettingsError or
    WeightsError."""
    # The engine belongs to the workers' rooms, which know this one; importing them from here, and
    # so torch into every process that parses an instruction, is what the late import avoids.
    backend: Backend = importlib.import_module("app.workers.solo").load()
    return backend
