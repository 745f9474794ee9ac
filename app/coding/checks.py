"""What is wrong with an answer beside its syntax, and which of two answers is the better one."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from app import locales
from app.coding import adherence, lint, memory, native, prompts
from app.coding.adherence import Said
from app.coding.answers import Answer
from app.coding.instruction import Intent, Tree
from app.coding.lint import Flaw, Known
from app.coding.prompts import Messages
from app.coding.syntax import Fault
from app.wire.rows import Symbol

_MOST_CODE = 20_000  # characters that are examined: these take a third of a second


def examine(answer: Answer, said: Said, messages: Messages, known: Sequence[Symbol]) -> Answer:
    """The answer with its flaws, of Python code that can be read. `messages` are the conversation with
    the instruction, `known` the symbols from before the answer."""
    code, is_python = answer.code or "", answer.language == prompts.USUAL
    is_wanted = is_python and said.tree.intent != Intent.EXPLAIN  # that quotes pieces of code
    module = native.parse(code) if is_wanted and 0 < len(code) <= _MOST_CODE else None
    if module is None:
        return answer
    shown = {word for each in messages for word in memory.WORD.findall(str(each["content"]))}
    try:
        found = list(_find(code, module, said, shown, Known(known)))
    except RecursionError:  # too deep to be compared
        found = []
    first = {flaw.check: flaw for flaw in reversed(found)}
    faults = {check: _say(flaw, said.tree) for check, flaw in first.items()}
    return replace(answer, flaws=faults, is_examined=True)


def _find(
    code: str, module: ast.Module, said: Said, shown: set[str], known: Known
) -> Iterator[Flaw]:
    yield from lint.find(module, known, memory.list_words(said.tree, said.text), shown)
    yield from adherence.find(code, module, said, known)


def _say(flaw: Flaw, tree: Tree) -> Fault:
    reason = locales.message(f"flaws.{flaw.key}", prompts.LOCALES[tree.locale], **flaw.values)
    return Fault(flaw.line, 1, reason)


def is_better(second: Answer, first: Answer) -> bool:
    """Whether the answer of a model that was shown what is wrong with its first one replaces that:
    unless it is worse."""
    return weigh(second) <= weigh(first)


def weigh(answer: Answer) -> int:
    """How bad an answer is."""
    return len(answer.flaws) if answer.is_sound else 99
