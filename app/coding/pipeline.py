"""The code pipeline: parse, retrieve, compose, generate, extract, check, and ask again once.

Nothing generated is ever run. Workers call the steps one by one around their engine
(app.workers.coder); `generate_code` walks the whole way with whatever answers messages.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app import locales
from app.coding import instruction, languages, memory, symbols, syntax
from app.coding.instruction import Intent, Target, Tree
from app.coding.syntax import Fault
from app.wire.rows import NewSymbol, Symbol

Messages = list[dict[str, Any]]
Generate = Callable[[Messages], str]
"""A model back end: the answer to a conversation."""

STYLES = ("plain", "guided")
_LOCALES = {"en": "en-US", "zh": "zh-CN", "ja": "ja-JP"}
_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.S | re.M
)
_MOST_CODE = 200_000  # characters of an answer that are parsed
_USUAL = "python"


def parse_instruction(prompt: str) -> Tree:
    """The syntax tree of an instruction; of any text."""
    return instruction.parse(prompt)


@dataclass(frozen=True)
class Answer:
    """What an answer holds: its code, the language, what it defines, the first fault if any."""

    text: str
    code: str | None = None
    language: str | None = None
    symbols: tuple[NewSymbol, ...] = ()
    fault: Fault | None = None
    is_checked: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether there is code and no parser found a fault in it."""
        return self.code is not None and self.fault is None

    def as_json(self) -> dict[str, Any]:
        """The part of a result that is about code."""
        return {
            "code": self.code,
            "language": self.language,
            "symbols": [_show(symbol) for symbol in self.symbols],
            "checks": self._checks() if self.code is not None else [],
        }

    def _checks(self) -> list[dict[str, Any]]:
        state = "skipped" if not self.is_checked else "failed" if self.fault else "passed"
        fault = vars(self.fault) if self.fault else None
        return [{"name": "syntax", "state": state, "fault": fault}]


def _show(symbol: NewSymbol) -> dict[str, Any]:
    shown = ("name", "kind", "signature", "type", "value")
    return {name: getattr(symbol, name) for name in shown}


# Before the model.


def compose(
    tree: Tree, shown: Sequence[Symbol], turns: Messages, asked: Messages, *, style: str
) -> Messages:
    """The conversation for the model, in the instruction's language: what is known (with style
    "guided" also how to answer), the session's turns, what is asked now."""
    parts = [_say(tree, "coding.answer", language=tree.language or _USUAL)] * (style == "guided")
    if shown:
        heading = _say(tree, "coding.known_definitions")
        parts.append("\n".join([heading, *(symbol.code for symbol in shown)]))
    system = [{"role": "system", "content": "\n\n".join(parts)}] if parts else []
    return [*system, *turns, *asked]


def begin(tree: Tree) -> str:
    """How the answer must begin where the instruction fixes it: the name and the parameters of a
    new Python function. The model goes on from there; the empty string where nothing is fixed."""
    is_new = tree.intent == Intent.CREATE and tree.target == Target.FUNCTION
    if not is_new or tree.language not in (None, _USUAL) or tree.name is None:
        return ""
    listed = ", ".join(parameter.name for parameter in tree.parameters)
    return f"def {tree.name.text}({listed}" if tree.parameters else f"def {tree.name.text}("


def compose_again(tree: Tree, messages: Messages, answer: Answer) -> Messages:
    """The conversation that shows the model its own fault."""
    assert answer.fault is not None
    wrong = {"role": "assistant", "content": answer.text}
    fault = answer.fault
    words = _say(tree, "coding.ask_again", line=fault.line, reason=fault.reason)
    return [*messages, wrong, {"role": "user", "content": words}]


def _say(tree: Tree, key: str, **values: Any) -> str:
    return locales.message(key, _LOCALES[tree.locale], **values)


# After the model.


def read_answer(text: str, tree: Tree) -> Answer:
    """Takes the code out of an answer and checks it. An answer without code, a refusal for
    example, is left as it is."""
    code, label = _extract(text[:_MOST_CODE])
    if code is None:
        return Answer(text)
    language = label or _find_language(code, tree)
    if language is None:
        return Answer(text)
    fault = syntax.find_fault(code, language)
    found = symbols.extract(code, language) if fault is None else []
    kept = tuple(_keep(symbol) for symbol in found)
    return Answer(text, code, language, kept, fault, syntax.can_check(language))


def _keep(found: symbols.Found) -> NewSymbol:
    fields = ("name", "kind", "language", "code", "signature", "type", "value")
    return NewSymbol(**{name: getattr(found, name) for name in fields})


def _extract(text: str) -> tuple[str | None, str | None]:
    """Code and its label: all fenced blocks of the first one's language, else the whole text if it
    looks like code."""
    fences = [(languages.NAMES.get(f[1].lower()), f[2]) for f in _FENCE.findall(text)]
    if fences:
        label = fences[0][0]
        return "\n".join(code.strip("\n") for name, code in fences if name == label), label
    return (text.strip("\n"), None) if text.strip() and languages.looks(text) else (None, None)


def _find_language(code: str, tree: Tree) -> str | None:
    wanted = tree.language
    if wanted is not None and (not syntax.can_check(wanted) or languages.fits(code, wanted)):
        return wanted
    return languages.guess(code) or wanted or _USUAL


# The whole way.


def generate_code(
    prompt: str, *, generate: Generate, scope: memory.Scope | None = None, style: str = "guided"
) -> str:
    """The code that a model writes for an instruction, asked again once if it is not well formed;
    the empty string for an answer without code. `scope` lends what is known there."""
    tree = parse_instruction(prompt)
    found = memory.retrieve(scope) if scope else []
    choice = memory.choose(found, tree, prompt, seen="", count=len, budget=8000)
    messages = compose(tree, choice.used, [], [{"role": "user", "content": prompt}], style=style)
    answer = read_answer(generate(messages), tree)
    if answer.fault is not None:
        answer = read_answer(generate(compose_again(tree, messages, answer)), tree)
    return answer.code or ""
