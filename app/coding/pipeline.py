"""The code pipeline: parse, retrieve, compose, generate, extract, check, and ask again once.

Nothing generated is ever run. Workers call the steps one by one around their engine
(app.workers.coder); `generate_code` walks the whole way with whatever answers messages.
"""

from collections.abc import Callable

from app.coding import answers, backends, beginnings, instruction, memory, prompts
from app.coding.backends import Backend
from app.coding.instruction import Tree
from app.coding.prompts import Form, Messages

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
    """The code that a model writes for an instruction, asked again once if it is not well formed;
    the empty string for an answer without code. `scope` lends what is known there.

    Without `generate` the first configured model answers, the shipped one if there is none, loaded
    in this process at the first call. Raises SettingsError or WeightsError if it cannot be."""
    if generate is None:
        form = form or backends.load().form
    form = form or Form()
    tree = parse_instruction(prompt)
    found = memory.retrieve(scope) if scope else []
    choice = memory.choose(found, tree, prompt, seen="", count=len, budget=8000)
    beginning = beginnings.find(tree, form, found, prompt)
    answer_to = generate or _hold(backends.load(), beginning, prompts.shape(tree, form))
    asked = [{"role": "user", "content": prompt}]
    messages = prompts.compose(tree, choice.used, [], asked, form=form)
    answer = answers.read(answer_to(messages), tree)
    if answer.fault is not None:
        answer = answers.read(answer_to(prompts.compose_again(tree, messages, answer)), tree)
    return answer.code or ""


def _hold(backend: Backend, beginning: str, shape: str | None) -> Generate:
    """A model in this process, held to what the instruction fixes."""
    return lambda messages: backend.answer(messages, beginning=beginning, shape=shape)
