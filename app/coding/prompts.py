"""What the model is told: the known definitions, how to answer, its own fault."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any

from app import locales
from app.coding.answers import Answer
from app.coding.instruction import Intent, Target, Tree
from app.wire.rows import Symbol

Messages = list[dict[str, Any]]
LOCALES = {"en": "en-US", "zh": "zh-CN", "ja": "ja-JP"}
USUAL = "python"
_FUNCTION = r"((import|from) [^\n]+\n)*\n{0,2}(async )?def NAME\([^\n]*\)( -> [^\n]+)?:\n(( {4}[^\n]*)?\n)* {4} *[^ \n][^\n]*\n?"
_BLOCK = r"```LANGUAGE\n([^`\n][^\n]*\n|\n)+```"


@dataclass(frozen=True)
class Form:
    """How a model is spoken to: the style "plain" or "guided", its operator's own words for the
    system message by the language of the instruction ("en", "zh", "ja") or for any ("all"), and
    what its answers are held to, how many are drawn for one instruction."""

    style: str = "guided"
    words: Mapping[str, str] = field(default_factory=dict)
    guide: str = "none"  # "block" or "function": the shape that the engine holds the answer to
    draws: int = 1

    def heeds_faults(self, draws: int) -> bool:
        """Whether the model is shown what is wrong with the best of so many answers. One of style "plain"
        was not trained on such talk: the best of several is the best that it has."""
        return self.style == "guided" or draws == 1

    def find(self, locale: str) -> str | None:
        """The operator's words for an instruction in this language."""
        return self.words.get(locale) or self.words.get("all")


def compose(
    tree: Tree, shown: Sequence[Symbol], turns: Messages, asked: Messages, *, form: Form
) -> Messages:
    """The conversation for the model, in the instruction's language: what is known (with style
    "guided" also how to answer, or the operator's own words), the turns, what is asked now."""
    own = form.find(tree.locale)
    parts = [_write(own, tree, shown)] if own else _say_usual(tree, shown, form.style)
    said = "\n\n".join(part for part in parts if part)
    system = [{"role": "system", "content": said}] if said else []
    return [*system, *turns, *asked]


def _say_usual(tree: Tree, shown: Sequence[Symbol], style: str) -> list[str]:
    answer = _say(tree, "coding.answer", language=tree.language or USUAL)
    return [*[answer] * (style == "guided"), _list(tree, shown)]


def _list(tree: Tree, shown: Sequence[Symbol]) -> str:
    """The known definitions under their heading, once each; empty if there are none."""
    heading = _say(tree, "coding.known_definitions")
    once = dict.fromkeys(symbol.code for symbol in shown)
    return "\n".join([heading, *once]) if shown else ""


def _write(words: str, tree: Tree, shown: Sequence[Symbol]) -> str:
    """The operator's words with $definitions, $language, $intent, $target, $name, $parameters and
    $returns put in; what the instruction leaves open is empty."""
    values = {
        "definitions": _list(tree, shown),
        "language": tree.language or USUAL,
        "intent": tree.intent.value,
        "target": tree.target.value,
        "name": tree.name.text if tree.name else "",
        "parameters": ", ".join(parameter.name for parameter in tree.parameters),
        "returns": tree.returns.text if tree.returns else "",
    }
    return Template(words).safe_substitute(values).strip()


def is_new_function(tree: Tree) -> bool:
    """Whether a new Python function is asked for by its name."""
    is_new = tree.intent == Intent.CREATE and tree.target == Target.FUNCTION
    return is_new and tree.language in (None, USUAL) and tree.name is not None


def shape(tree: Tree, form: Form) -> str | None:
    """The regular expression that the whole answer must match, if the model's guide and the
    instruction allow one: a Python function of the given name, or one fenced block of code."""
    if form.guide == "function" and is_new_function(tree):
        assert tree.name is not None
        return _FUNCTION.replace("NAME", re.escape(tree.name.text))
    if form.guide == "block" and tree.intent != Intent.EXPLAIN:
        return _BLOCK.replace("LANGUAGE", re.escape(tree.language or USUAL))
    return None


def compose_again(tree: Tree, messages: Messages, answer: Answer) -> Messages:
    """The conversation that shows the model what is wrong with its answer."""
    fault = answer.wrong
    assert fault is not None
    wrong = {"role": "assistant", "content": answer.text}
    key = "coding.ask_again" if answer.fault else "coding.mend"
    words = _say(tree, key, line=fault.line, reason=fault.reason)
    return [*messages, wrong, {"role": "user", "content": words}]


def _say(tree: Tree, key: str, **values: Any) -> str:
    return locales.message(key, LOCALES[tree.locale], **values)
