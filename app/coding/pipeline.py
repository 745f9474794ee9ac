"""The code pipeline: parse, retrieve, compose, generate, extract, check, and ask again once.

Nothing generated is ever run. Workers call the steps one by one around their engine
(app.workers.coder); `generate_code` walks the whole way with whatever answers messages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.coding import answers, backends, beginnings, checks, instruction, memory, prompts, ranking
from app.coding.adherence import Said
from app.coding.answers import Answer
from app.coding.backends import Drawn
from app.coding.instruction import Tree
from app.coding.prompts import Form, Messages
from app.coding.ranking import Draw
from app.wire.rows import Symbol

Generate = Callable[[Messages], str]
"""A model back end: the answer to a conversation."""


def parse_instruction(prompt: str) -> Tree:
    """The syntax tree of an instruction; of any text."""
    return instruction.parse(prompt)


def generate_code(
    prompt: str,
    *,
    generate: Generate | None = None,
    scope: memory.Scope | None = None,
    form: Form | None = None,
) -> str:
    """The code that a model writes for an instruction, asked again once if something is wrong with
    it; the empty string for an answer without code. `scope` lends what is known there.

    Without `generate` the first configured model answers, the shipped one if there is none, loaded
    in this process at the first call. Raises SettingsError or WeightsError if it cannot be."""
    if generate is None:
        form = form or backends.load().form
    form = form or Form()
    tree = parse_instruction(prompt)
    found = memory.retrieve(scope) if scope else []
    choice = memory.choose(found, tree, prompt, seen="", count=len, budget=8000)
    asked = [{"role": "user", "content": prompt}]
    messages = prompts.compose(tree, choice.used, [], asked, form=form)
    beginning, shape = beginnings.find(tree, form, found, prompt), prompts.shape(tree, form)
    model = _Model(generate, form, beginning, shape)
    return _Desk(tree, prompt, messages, found, model).write()


@dataclass(frozen=True)
class _Desk:
    """A conversation up to its instruction, what is known, and who answers."""

    tree: Tree
    prompt: str
    messages: Messages
    known: Sequence[Symbol]
    model: "_Model"

    def write(self) -> str:
        """The code of the answer, or of a better one if something is wrong with that."""
        first = self._take(self.model.answer(self.messages))
        if first.wrong is None or not self.model.heeds_faults:
            return first.code or ""
        told = prompts.compose_again(self.tree, self.messages, first)
        second = self._read(self.model.answer_again(told))
        return (second if checks.is_better(second, first) else first).code or ""

    def _take(self, drawn: Sequence[Drawn]) -> Answer:
        found = {text: self._read(text) for text in {each.text for each in drawn}}
        draws = [Draw(found[each.text], each.likelihood) for each in drawn]
        return draws[ranking.pick(draws)].answer

    def _read(self, text: str) -> Answer:
        answer = answers.read(text, self.tree)
        return checks.examine(answer, Said(self.tree, self.prompt), self.messages, self.known)


@dataclass(frozen=True)
class _Model:
    """What answers: `generate`, or the model of this process, held to what the instruction fixes."""

    generate: Generate | None
    form: Form
    beginning: str
    shape: str | None

    @property
    def heeds_faults(self) -> bool:
        return self.form.heeds_faults(self._draws)

    @property
    def _draws(self) -> int:
        return self.form.draws if self.generate is None else 1

    def answer(self, messages: Messages) -> list[Drawn]:
        """One answer, or several to choose from."""
        if self._draws == 1:
            return [Drawn(self.answer_again(messages), 0.0)]
        return backends.load().draw(messages, beginning=self.beginning, shape=self.shape)

    def answer_again(self, messages: Messages) -> str:
        if self.generate is not None:
            return self.generate(messages)
        return backends.load().answer(messages, beginning=self.beginning, shape=self.shape)
